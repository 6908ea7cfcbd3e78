//! Deletes what no longer has a use: the staged changes and spooled rows of walks that ended, and the hidden rows of a
//! baseline that was given up.

use super::error::Doing;
use super::{Lease, StoreError};

/// Rows that one statement deletes: a bounded transaction, however large the leftover.
const DELETE_BATCH: i64 = 50_000;

/// Each deletes at most $3 rows of $1 with ids above $2, and returns the greatest id among them. A subquery checks once
/// whether rows are hidden: a join would look at every row of a published namespace to find none.
const STAGED: &str = "with gone as (
        delete from inventory.staged_change where ctid = any(array(
            select ctid from inventory.staged_change where snapshot_id = $1 and id > $2 order by id limit $3))
        returning id)
    select id from gone order by id desc limit 1";
const SPOOLED: &str = "with gone as (
        delete from inventory.spooled_object where ctid = any(array(
            select ctid from inventory.spooled_object where snapshot_id = $1 and id > $2 order by id limit $3))
        returning id)
    select id from gone order by id desc limit 1";
const HIDDEN: &str = "with gone as (
        delete from inventory.open_interval where ctid = any(array(
            select ctid from inventory.open_interval
            where namespace_key = $1 and id > $2
              and (select published_snapshot is null from inventory.namespace where namespace_key = $1)
            order by id limit $3))
        returning id)
    select id from gone order by id desc limit 1";

impl Lease {
    /// Deletes what runs that died left behind: they end a walk with a commit, and clean up after it. Each snapshot
    /// that has rows is found by one index probe, so a table that holds the changes of a large walk is not scanned.
    pub(super) async fn clear_leftovers(&self) -> Result<(), StoreError> {
        let left = sqlx::query!(
            "with recursive staged (id) as (
                 (select pg_catalog.min(snapshot_id) from inventory.staged_change)
                 union all
                 select (select pg_catalog.min(c.snapshot_id) from inventory.staged_change c where c.snapshot_id > staged.id)
                 from staged where staged.id is not null),
             spooled (id) as (
                 (select pg_catalog.min(snapshot_id) from inventory.spooled_object)
                 union all
                 select (select pg_catalog.min(o.snapshot_id) from inventory.spooled_object o where o.snapshot_id > spooled.id)
                 from spooled where spooled.id is not null)
             select s.snapshot_id, s.status = 'held' as \"held!\" from inventory.snapshot s
             where s.namespace_key = $1 and s.status not in ('running', 'interrupted')
               and s.snapshot_id in (
                   select id from staged where s.status <> 'held' union all select id from spooled)",
            self.namespace_key
        )
        .fetch_all(&mut *self.store.acquire().await?)
        .await
        .doing("find leftovers of a run that was killed")?;
        for snapshot in left {
            // A held snapshot keeps its changes until someone decides about them, and no longer needs its spool.
            if !snapshot.held {
                self.clear_changes(snapshot.snapshot_id).await?;
            }
            self.clear_spool(snapshot.snapshot_id).await?;
        }
        Ok(())
    }

    /// Deletes the staged changes and spooled rows of a walk that ended.
    pub(super) async fn clear_staging(&self, snapshot_id: i32) -> Result<(), StoreError> {
        self.clear_changes(snapshot_id).await?;
        self.clear_spool(snapshot_id).await
    }

    /// Deletes the rows of a baseline that was given up. A baseline writes them in place, hidden as long as the
    /// namespace has no published snapshot.
    pub(super) async fn clear_hidden_rows(&self) -> Result<(), StoreError> {
        let doing = "delete the rows of an unfinished first snapshot";
        self.delete(HIDDEN, self.namespace_key, doing).await
    }

    async fn clear_changes(&self, snapshot_id: i32) -> Result<(), StoreError> {
        self.delete(STAGED, snapshot_id, "delete the staged changes of a sync")
            .await
    }

    async fn clear_spool(&self, snapshot_id: i32) -> Result<(), StoreError> {
        self.delete(SPOOLED, snapshot_id, "delete the spooled pages of a sync")
            .await
    }

    /// Deletes one batch after another, each from where the last one ended: deleted rows that an old reader keeps from
    /// being vacuumed are skipped once, not with every batch.
    async fn delete(&self, batch: &'static str, of: i32, doing: &'static str) -> Result<(), StoreError> {
        let mut after = Vec::new();
        loop {
            let deleted = self.write(doing, async |connection| {
                sqlx::query_scalar::<_, Vec<u8>>(batch)
                    .bind(of)
                    .bind(&after)
                    .bind(DELETE_BATCH)
                    .fetch_optional(connection)
                    .await
            });
            match deleted.await? {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }
}
