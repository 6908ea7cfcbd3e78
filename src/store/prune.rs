//! Pruning: deletes history before a retention limit (the horizon), in bounded transactions that each check the lease.
//!
//! The horizon moves first, so that no answer comes from a partly deleted record. If the process is killed after that,
//! the next prune deletes the rest. Every answer about the horizon and later stays the same (promise 1), because these
//! are kept:
//!
//! - the newest snapshot that was published by then, and every interval that had not ended with it;
//! - for a removed object, the snapshot that saw it first (`pruned_object`), in case it returns;
//! - for a snapshot that a remaining row refers to, its time. It is marked as pruned, and no view shows it. Each object
//!   refers to the snapshot that saw it first, so this applies to all that created objects.

use std::time::Duration;

use time::OffsetDateTime;

use super::error::Doing;
use super::{Lease, Store, StoreError};

const DROPPING: &str = "delete old history";

/// A snapshot from before the horizon.
#[derive(Debug, Clone, Copy)]
pub struct OldSnapshot {
    pub snapshot_id: i32,
    /// A remaining row refers to it.
    pub named: bool,
    /// An earlier prune deleted it, apart from its time.
    pub pruned: bool,
}

/// The start of a namespace's record after a prune.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// Later than requested if an earlier prune went further.
    pub at: OffsetDateTime,
    /// The newest snapshot that was published by then.
    pub snapshot_id: i32,
}

impl Store {
    /// The time `ago` before now, by the database's clock.
    pub async fn moment_ago(&self, ago: Duration) -> Result<OffsetDateTime, StoreError> {
        sqlx::query_scalar!(
            "select pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1) as \"moment!\"",
            ago.as_secs_f64()
        )
        .fetch_one(&mut *self.acquire().await?)
        .await
        .doing("read the time")
    }

    /// The new horizon, or `None` if nothing was published by then and there is no history to delete.
    pub async fn horizon_at(&self, namespace_key: i32, before: OffsetDateTime) -> Result<Option<Horizon>, StoreError> {
        sqlx::query_as!(
            Horizon,
            "select greatest(n.horizon, $2) as \"at!\", s.snapshot_id
             from inventory.namespace n join inventory.snapshot s using (namespace_key)
             where n.namespace_key = $1 and s.status = 'complete' and s.recorded_at <= greatest(n.horizon, $2)
             order by s.snapshot_id desc limit 1",
            namespace_key,
            before
        )
        .fetch_optional(&mut *self.acquire().await?)
        .await
        .doing("find the newest snapshot to delete")
    }

    /// The number of intervals that ended with the horizon's snapshot or before.
    pub async fn count_ended_intervals(&self, namespace_key: i32, horizon: Horizon) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar!(
            "select pg_catalog.count(*) as \"count!\"
             from inventory.snapshot s join inventory.closed_interval c on c.to_snapshot = s.snapshot_id
             where s.namespace_key = $1 and s.status = 'complete' and s.snapshot_id <= $2",
            namespace_key,
            horizon.snapshot_id
        )
        .fetch_one(&mut *self.acquire().await?)
        .await
        .doing("count the old intervals")?;
        Ok(count as u64)
    }

    /// The number of rows staged or spooled by walks that ended without clearing them, or that were not resumed.
    pub async fn count_leftovers(&self, namespace_key: i32, before: OffsetDateTime) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar!(
            "select coalesce(pg_catalog.sum(
                 case when s.status = 'held' then 0
                      else (select pg_catalog.count(*) from inventory.staged_change c where c.snapshot_id = s.snapshot_id) end
                 + (select pg_catalog.count(*) from inventory.spooled_object o where o.snapshot_id = s.snapshot_id)
             ), 0)::bigint as \"count!\"
             from inventory.snapshot s
             where s.namespace_key = $1
               and (s.status not in ('running', 'interrupted') or s.checkpoint_at < $2)",
            namespace_key,
            before
        )
        .fetch_one(&mut *self.acquire().await?)
        .await
        .doing("count the leftovers of finished syncs")?;
        Ok(count as u64)
    }

    async fn has_old_walk(&self, namespace_key: i32, before: OffsetDateTime) -> Result<bool, StoreError> {
        sqlx::query_scalar!(
            "select exists (
                 select from inventory.snapshot
                 where namespace_key = $1 and status in ('running', 'interrupted') and checkpoint_at < $2
             ) as \"old!\"",
            namespace_key,
            before
        )
        .fetch_one(&mut *self.acquire().await?)
        .await
        .doing("find an unfinished sync")
    }

    /// The snapshots to delete: published ones before the horizon's, and walks that were not published. A held one is
    /// kept until its decision. `named` is as of the state after the intervals are deleted.
    pub async fn old_snapshots(
        &self,
        namespace_key: i32,
        before: OffsetDateTime,
        horizon: Option<Horizon>,
    ) -> Result<Vec<OldSnapshot>, StoreError> {
        let old = sqlx::query_as!(
            OldSnapshot,
            "select s.snapshot_id, s.pruned,
                    s.status = 'complete' and (
                        s.snapshot_id = n.baseline_snapshot or s.created > 0
                        or exists (select from inventory.open_interval o where o.from_snapshot = s.snapshot_id)
                        or exists (
                            select from inventory.closed_interval c
                            where c.from_snapshot = s.snapshot_id and c.to_snapshot > $3)) as \"named!\"
             from inventory.snapshot s join inventory.namespace n using (namespace_key)
             where s.namespace_key = $1 and (
                 s.status in ('failed', 'discarded', 'superseded', 'running', 'interrupted') and s.checkpoint_at < $2
                 or s.status = 'complete' and s.snapshot_id < $3)
             order by s.snapshot_id",
            namespace_key,
            before,
            horizon.map(|horizon| horizon.snapshot_id)
        )
        .fetch_all(&mut *self.acquire().await?)
        .await
        .doing("find old snapshots")?;
        Ok(old.into_iter().filter(|old| !(old.pruned && old.named)).collect())
    }

    /// The number of runs that ended before then and have no snapshots left after these are deleted.
    pub async fn count_runs(&self, before: OffsetDateTime, dropped_snapshots: &[i32]) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar!(
            "select pg_catalog.count(*) as \"count!\" from inventory.run r
             where r.outcome <> 'running' and coalesce(r.finished_at, r.started_at) < $1
               and not exists (
                   select from inventory.snapshot s
                   where s.run_id = r.run_id and s.snapshot_id <> all($2))",
            before,
            dropped_snapshots
        )
        .fetch_one(&mut *self.acquire().await?)
        .await
        .doing("count the old runs")?;
        Ok(count as u64)
    }

    /// Deletes runs without snapshots and returns their number. No lock is needed: a run that has ended begins no more
    /// snapshots.
    pub async fn drop_runs(&self, before: OffsetDateTime, batch: u32) -> Result<u64, StoreError> {
        self.end_dead_runs().await?;
        let mut dropped = 0;
        loop {
            let some = sqlx::query!(
                "delete from inventory.run where run_id = any(array(
                     select r.run_id from inventory.run r
                     where r.outcome <> 'running' and coalesce(r.finished_at, r.started_at) < $1
                       and not exists (select from inventory.snapshot s where s.run_id = r.run_id)
                     limit $2))",
                before,
                i64::from(batch)
            )
            .execute(&mut *self.acquire().await?)
            .await
            .doing("delete the old runs")?;
            dropped += some.rows_affected();
            if some.rows_affected() < u64::from(batch) {
                return Ok(dropped);
            }
        }
    }
}

impl Lease {
    /// Moves the horizon, before which no point in time can be read any more. It never moves back.
    pub async fn move_horizon(&self, horizon: Horizon) -> Result<(), StoreError> {
        let moved = self.write("record the retention limit", async |connection| {
            sqlx::query!(
                "update inventory.namespace set horizon = $2, horizon_snapshot = $3
                 where namespace_key = $1 and (horizon is null or horizon <= $2)",
                self.namespace_key,
                horizon.at,
                horizon.snapshot_id
            )
            .execute(connection)
            .await
        });
        moved.await.map(drop)
    }

    /// Deletes the intervals that ended with the horizon's snapshot or before, and returns their number.
    pub async fn drop_ended_intervals(&self, horizon: Horizon, batch: u32) -> Result<u64, StoreError> {
        // In the order of their ends: only the last interval of an object shows whether it was removed.
        let ends = sqlx::query_scalar!(
            "select s.snapshot_id from inventory.snapshot s
             where s.namespace_key = $1 and s.status = 'complete' and s.snapshot_id <= $2
               and exists (select from inventory.closed_interval c where c.to_snapshot = s.snapshot_id)
             order by s.snapshot_id",
            self.namespace_key,
            horizon.snapshot_id
        )
        .fetch_all(&mut *self.store.acquire().await?)
        .await
        .doing(DROPPING)?;
        let mut dropped = 0;
        for end in ends {
            loop {
                let batch_of = self.drop_intervals_that_ended_with(end, batch).await?;
                dropped += batch_of;
                if batch_of < u64::from(batch) {
                    break;
                }
            }
        }
        Ok(dropped)
    }

    async fn drop_intervals_that_ended_with(&self, end: i32, batch: u32) -> Result<u64, StoreError> {
        let dropped = self.write(DROPPING, async |connection| {
            sqlx::query_scalar!(
                "with dropped as (
                 delete from inventory.closed_interval where ctid = any(array(
                     select ctid from inventory.closed_interval where to_snapshot = $2 limit $3))
                 returning id, first_snapshot, next_state),
             gone as (
                 insert into inventory.pruned_object (namespace_key, first_snapshot, id)
                 select $1, d.first_snapshot, d.id from dropped d
                 where d.next_state = 0
                   and not exists (
                       select from inventory.open_interval o where o.namespace_key = $1 and o.id = d.id)
                   and not exists (
                       select from inventory.closed_interval later
                       where later.namespace_key = $1 and later.id = d.id and later.to_snapshot > $2)
                 on conflict do nothing)
             select pg_catalog.count(*) as \"count!\" from dropped",
                self.namespace_key,
                end,
                i64::from(batch)
            )
            .fetch_one(connection)
            .await
        });
        Ok(dropped.await? as u64)
    }

    /// Discards a walk that was not resumed since before the horizon, and clears the leftovers of ended walks. Returns
    /// the number of their rows.
    pub async fn drop_leftovers(&self, before: OffsetDateTime) -> Result<u64, StoreError> {
        let rows = self.store.count_leftovers(self.namespace_key, before).await?;
        if self.store.has_old_walk(self.namespace_key, before).await? {
            self.drop_unfinished_walk("pruned: no run resumed it").await?;
        }
        self.clear_leftovers().await?;
        Ok(rows)
    }

    /// Deletes the snapshots, or all but their times if a remaining row refers to them. Call it after everything else.
    pub async fn drop_snapshots(&self, old: &[OldSnapshot], batch: u32) -> Result<(), StoreError> {
        for some in old.chunks(batch as usize) {
            let ids = |named| -> Vec<i32> {
                let some = some.iter().filter(|old| old.named == named);
                some.map(|old| old.snapshot_id).collect()
            };
            let dropped = self.write(DROPPING, async |connection| {
                sqlx::query!(
                    "update inventory.snapshot set pruned = true where namespace_key = $1 and snapshot_id = any($2)",
                    self.namespace_key,
                    &ids(true)
                )
                .execute(&mut *connection)
                .await?;
                sqlx::query!(
                    "delete from inventory.snapshot where namespace_key = $1 and snapshot_id = any($2)",
                    self.namespace_key,
                    &ids(false)
                )
                .execute(connection)
                .await
            });
            dropped.await?;
        }
        Ok(())
    }
}
