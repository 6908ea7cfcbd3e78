//! Publication: a walk's changes become visible in one transaction, with the row that says it is complete (promise 3).

use sqlx::{Executor, Postgres, Transaction};
use time::OffsetDateTime;

use super::lock::{LOCK_SPACE, PUBLISHING};
use super::snapshots::inconsistent;
use super::{Fence, Store, StoreError};
use crate::digest::SetDigest;
use crate::model::Counts;
use crate::text::chain;

/// A walk whose end was proven. Only this can close an interval (promise 2).
#[derive(Debug)]
pub struct ProvenWalk {
    pub snapshot_id: i32,
    pub base_snapshot: Option<i32>,
    pub base_digest: SetDigest,
    pub digest: SetDigest,
    pub change_digest: SetDigest,
    pub counts: Counts,
    /// A retirement, not a walk: void when the namespace is no longer missing.
    pub retires: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// Visible from this moment on.
    Complete(OffsetDateTime),
    /// Another snapshot was published since the walk began; nothing was changed.
    BaseIsStale,
    /// The namespace that was to be retired is listed again; nothing was changed.
    NotMissing,
    /// Stored state and changes do not give what was walked: the record was changed by someone else. Nothing was
    /// published.
    DigestMismatch,
}

impl Store {
    /// Applies a finished walk's changes and makes them visible.
    pub async fn publish(&self, fence: Fence, walk: &ProvenWalk) -> Result<Published, StoreError> {
        if walk.base_digest.plus(walk.change_digest) != walk.digest {
            return Ok(Published::DigestMismatch);
        }
        let doing = "publish a snapshot";
        let mut transaction = self.pool.begin().await.map_err(StoreError::while_doing(doing))?;
        // Its length is the number of changes; the limit of other statements would be no mercy.
        transaction
            .execute("set local statement_timeout = 0")
            .await
            .map_err(StoreError::while_doing(doing))?;
        if !base_is_published(&mut transaction, fence, walk).await? {
            return Ok(Published::BaseIsStale);
        }
        if walk.base_snapshot.is_some() {
            apply(&mut transaction, fence, walk).await?;
        }
        // From here on the namespace's row is locked: only for the last statements, as others list namespaces meanwhile.
        // What was true before is asked again under the lock.
        fence.check(&mut transaction).await?;
        if !base_is_published(&mut transaction, fence, walk).await? {
            return Ok(Published::BaseIsStale);
        }
        if walk.retires && !is_missing(&mut transaction, fence).await? {
            return Ok(Published::NotMissing);
        }
        supersede_held(&mut transaction, fence, walk.snapshot_id).await?;
        let recorded_at = make_visible(&mut transaction, fence, walk.snapshot_id).await?;
        transaction.commit().await.map_err(StoreError::while_doing(doing))?;
        // Published is published: what can't be cleared now is cleared by the namespace's next walk.
        if let Err(error) = self.clear_leftovers(fence).await {
            tracing::warn!("{}", chain(&error));
        }
        Ok(Published::Complete(recorded_at))
    }

    /// Keeps a finished walk and its changes for a person to decide about (promise 7). It supersedes the one that was
    /// held before: at most one is held a namespace.
    pub async fn hold(&self, fence: Fence, snapshot_id: i32, why: &str) -> Result<(), StoreError> {
        let doing = "hold a snapshot back";
        let mut transaction = self.pool.begin().await.map_err(StoreError::while_doing(doing))?;
        fence.check(&mut transaction).await?;
        supersede_held(&mut transaction, fence, snapshot_id).await?;
        sqlx::query!(
            "update inventory.snapshot
             set status = 'held', error = $2, finished_at = pg_catalog.clock_timestamp(),
                 cursor = null, anchor_cursor = null
             where snapshot_id = $1",
            snapshot_id,
            why
        )
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::while_doing(doing))?;
        transaction.commit().await.map_err(StoreError::while_doing(doing))?;
        // Its spool, which nobody asks for any more.
        if let Err(error) = self.clear_leftovers(fence).await {
            tracing::warn!("{}", chain(&error));
        }
        Ok(())
    }
}

async fn base_is_published(
    transaction: &mut Transaction<'_, Postgres>,
    fence: Fence,
    walk: &ProvenWalk,
) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        "select n.published_snapshot, s.digest, s.change_digest
         from inventory.namespace n join inventory.snapshot s using (namespace_key)
         where n.namespace_key = $1 and s.snapshot_id = $2",
        fence.namespace_key,
        walk.snapshot_id
    )
    .fetch_one(&mut **transaction)
    .await
    .map_err(StoreError::while_doing("look for the published snapshot"))?;
    if row.digest != walk.digest.to_bytes() || row.change_digest != walk.change_digest.to_bytes() {
        return Err(StoreError::CheckpointLost);
    }
    // A number below the base's was given by a sequence that began again: answers about the base would change.
    let is_newer = walk.base_snapshot.is_none_or(|base| base < walk.snapshot_id);
    Ok(row.published_snapshot == walk.base_snapshot && is_newer)
}

async fn is_missing(transaction: &mut Transaction<'_, Postgres>, fence: Fence) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        "select missing_since is not null as \"missing!\" from inventory.namespace where namespace_key = $1",
        fence.namespace_key
    )
    .fetch_one(&mut **transaction)
    .await
    .map_err(StoreError::while_doing("look whether the namespace is missing"))
}

/// Turns staged changes into intervals. Each statement must touch exactly the rows that the walk counted: a difference
/// means that the record was changed under it, and nothing is published.
async fn apply(transaction: &mut Transaction<'_, Postgres>, fence: Fence, walk: &ProvenWalk) -> Result<(), StoreError> {
    let doing = "apply a snapshot's changes";
    let counts = &walk.counts;
    let flipped = counts.data_gained + counts.data_lost + counts.data_known + counts.data_unknown;
    let closed = sqlx::query!(
        "insert into inventory.closed_interval
             (namespace_key, from_snapshot, first_snapshot, to_snapshot, has_stored_data, next_state, id)
         select o.namespace_key, o.from_snapshot, o.first_snapshot, $2, o.has_stored_data, c.new_state, o.id
         from inventory.staged_change c
         join inventory.open_interval o
             on o.namespace_key = $1 and o.id = c.id and inventory.state_of(o.has_stored_data) = c.old_state
         where c.snapshot_id = $2 and c.old_state <> 0
         order by o.id",
        fence.namespace_key,
        walk.snapshot_id
    )
    .execute(&mut **transaction)
    .await
    .map_err(StoreError::while_doing(doing))?;
    expect_rows("closed", closed.rows_affected(), counts.removed + flipped)?;
    let removed = sqlx::query!(
        "delete from inventory.open_interval o using inventory.staged_change c
         where c.snapshot_id = $2 and c.new_state = 0 and o.namespace_key = $1 and o.id = c.id",
        fence.namespace_key,
        walk.snapshot_id
    )
    .execute(&mut **transaction)
    .await
    .map_err(StoreError::while_doing(doing))?;
    expect_rows("removed", removed.rows_affected(), counts.removed)?;
    let changed = sqlx::query!(
        "update inventory.open_interval o
         set from_snapshot = $2,
             has_stored_data = case c.new_state when 3 then true when 2 then false end
         from inventory.staged_change c
         where c.snapshot_id = $2 and c.old_state <> 0 and c.new_state <> 0
           and o.namespace_key = $1 and o.id = c.id",
        fence.namespace_key,
        walk.snapshot_id
    )
    .execute(&mut **transaction)
    .await
    .map_err(StoreError::while_doing(doing))?;
    expect_rows("changed", changed.rows_affected(), flipped)?;
    // An object that comes back keeps its first interval's snapshot, even where prune dropped all its intervals; null
    // means the baseline, so `k.found` tells whether there was one.
    let created = sqlx::query!(
        "insert into inventory.open_interval (namespace_key, from_snapshot, first_snapshot, has_stored_data, id)
         select $1, $2, case when k.found then k.first_snapshot else $2 end,
                case c.new_state when 3 then true when 2 then false end, c.id
         from inventory.staged_change c
         left join lateral (
             (select true as found, e.first_snapshot from inventory.closed_interval e
              where e.namespace_key = $1 and e.id = c.id limit 1)
             union all
             (select true, p.first_snapshot from inventory.pruned_object p
              where p.namespace_key = $1 and p.id = c.id)
             limit 1) k on true
         where c.snapshot_id = $2 and c.old_state = 0
         order by c.id",
        fence.namespace_key,
        walk.snapshot_id
    )
    .execute(&mut **transaction)
    .await
    .map_err(StoreError::while_doing(doing))?;
    expect_rows("created", created.rows_affected(), counts.created)
}

fn expect_rows(what: &str, found: u64, counted: u64) -> Result<(), StoreError> {
    if found == counted {
        return Ok(());
    }
    Err(inconsistent(&format!(
        "{counted} objects were to be {what}, but {found} rows were there for it; someone changed the tables by hand"
    )))
}

/// Its staged changes are cleared after the commit: there may be millions.
async fn supersede_held(transaction: &mut Transaction<'_, Postgres>, fence: Fence, by: i32) -> Result<(), StoreError> {
    let doing = "drop the snapshot that was held before";
    sqlx::query!(
        "update inventory.snapshot set status = 'superseded', error = 'a newer walk of the namespace finished'
         where namespace_key = $1 and status = 'held' and snapshot_id <> $2",
        fence.namespace_key,
        by
    )
    .execute(&mut **transaction)
    .await
    .map_err(StoreError::while_doing(doing))?;
    Ok(())
}

/// The last statements before the commit. Locking the store's only row makes recorded_at strictly increase in commit
/// order over all namespaces (promise 1: an answer about a moment never changes), and it is held only for these. The
/// advisory lock before it lets readers wait for them: locking the row would need a privilege that a role which may
/// only read does not have.
async fn make_visible(
    transaction: &mut Transaction<'_, Postgres>,
    fence: Fence,
    snapshot_id: i32,
) -> Result<OffsetDateTime, StoreError> {
    let doing = "make a snapshot visible";
    sqlx::query!(
        "update inventory.namespace
         set published_snapshot = $2, baseline_snapshot = coalesce(baseline_snapshot, $2),
             -- Learned from a walk that came to its end: a server that sends the walk round in circles looks as if
             -- it had no order, too.
             unordered = unordered or exists(
                 select from inventory.snapshot where snapshot_id = $2 and spooled is not null)
         where namespace_key = $1",
        fence.namespace_key,
        snapshot_id
    )
    .execute(&mut **transaction)
    .await
    .map_err(StoreError::while_doing(doing))?;
    // A statement of its own: the clock below is read after this lock is held, so whoever has waited for it knows that
    // what is published later is recorded later. See `Store::reader`.
    sqlx::query!(
        "select pg_catalog.pg_advisory_xact_lock($1, $2)",
        LOCK_SPACE,
        PUBLISHING
    )
    .execute(&mut **transaction)
    .await
    .map_err(StoreError::while_doing(doing))?;
    let recorded_at = sqlx::query_scalar!(
        "update inventory.store
         set last_recorded_at = greatest(pg_catalog.clock_timestamp(), last_recorded_at + interval '1 microsecond')
         returning last_recorded_at"
    )
    .fetch_one(&mut **transaction)
    .await
    .map_err(StoreError::while_doing(doing))?;
    sqlx::query!(
        "update inventory.snapshot
         set status = 'complete', recorded_at = $2, finished_at = coalesce(finished_at, $2), error = null,
             cursor = null, anchor_cursor = null
         where snapshot_id = $1",
        snapshot_id,
        recorded_at
    )
    .execute(&mut **transaction)
    .await
    .map_err(StoreError::while_doing(doing))?;
    Ok(recorded_at)
}
