//! Publication: a walk's changes become visible in one transaction, with the row that says it is complete (promise 3).

use sqlx::{Executor, PgConnection, Postgres, Transaction};
use time::OffsetDateTime;

use super::decode::inconsistent;
use super::error::Doing;
use super::lease::{LOCK_SPACE, PUBLISHING};
use super::{Lease, StoreError, Walk};
use crate::digest::SetDigest;
use crate::model::{ChangeKind, Counts};
use crate::text::chain;

/// A walk whose end was proven. Only this can close an interval (promise 2).
///
/// It comes from [`Walk::prove`], from a held snapshot, which was proven before ([`ProvenWalk::held`]), or from a
/// retirement (`Lease::stage_retirement`).
#[derive(Debug)]
pub struct ProvenWalk {
    walk: Walk,
    base_digest: SetDigest,
    /// A retirement is void if the namespace is no longer missing.
    retires: bool,
}

/// Nothing was published. The walk is returned, to be ended.
#[derive(Debug)]
pub struct Unpublished {
    pub walk: Walk,
    pub why: PublishError,
}

#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("a newer snapshot of this namespace was published meanwhile")]
    BaseIsStale,
    /// The namespace that was to be retired is listed again.
    #[error("the namespace is listed again")]
    NotMissing,
    /// Someone else changed the record.
    #[error("the stored objects plus the sync's changes do not match what the API listed")]
    DigestMismatch,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ProvenWalk {
    pub(super) fn of(walk: Walk) -> Self {
        Self {
            base_digest: walk.base.map(|base| base.digest).unwrap_or_default(),
            walk,
            retires: false,
        }
    }

    /// Reloads a held snapshot to decide about it; `None` if it is no longer held.
    pub async fn held(lease: Lease, snapshot_id: i32) -> Result<Option<Self>, StoreError> {
        let walk = Walk::load(lease, snapshot_id).await?;
        match (walk.status == "held", walk.checkpoint.is_proven()) {
            (false, _) => Ok(None),
            (true, true) => Ok(Some(Self::of(walk))),
            (true, false) => Err(inconsistent("a held snapshot without a proven end can't be published")),
        }
    }

    /// `retired` has staged the removal of all that `recorded` is the digest of, without reading a page.
    pub(super) fn retirement(retired: Walk, recorded: SetDigest) -> Self {
        Self {
            walk: retired,
            base_digest: recorded,
            retires: true,
        }
    }

    pub fn walk(&self) -> &Walk {
        &self.walk
    }

    /// What the walk saw and changes.
    pub fn counts(&self) -> &Counts {
        &self.walk.checkpoint.counts
    }

    /// Gives up the proof, to end the walk without publishing it.
    pub fn into_walk(self) -> Walk {
        self.walk
    }

    /// Relates the changes to the digest of the rows as they are, not to that of the base: for a walk that repairs rows
    /// that someone changed.
    pub async fn base_on_rows(&mut self) -> Result<(), StoreError> {
        let lease = &self.walk.lease;
        if self.walk.base.is_some() {
            self.base_digest = lease.store.digest_of_rows(lease.namespace_key).await?;
        }
        Ok(())
    }

    /// Applies the walk's changes and makes them visible. Returns when: the snapshot's `recorded_at`.
    pub async fn publish(self) -> Result<OffsetDateTime, Box<Unpublished>> {
        match self.try_publish().await {
            Ok(recorded_at) => {
                self.walk.lease.store.known.saw_publication(recorded_at);
                // The publication is done: what can't be cleared now is cleared by the namespace's next walk.
                if let Err(error) = self.walk.lease.clear_leftovers().await {
                    tracing::warn!("{}", chain(&error));
                }
                Ok(recorded_at)
            }
            Err(why) => Err(Box::new(Unpublished { walk: self.walk, why })),
        }
    }

    /// The lease is checked here and not by [`Lease::write`]: in the middle, so that what was true before is asked
    /// again under the lock, and the row that others update when they list namespaces is locked for the last statements
    /// only.
    async fn try_publish(&self) -> Result<OffsetDateTime, PublishError> {
        let checkpoint = &self.walk.checkpoint;
        if self.base_digest.plus(checkpoint.change_digest) != checkpoint.digest {
            return Err(PublishError::DigestMismatch);
        }
        let doing = "publish a snapshot";
        let lease = &self.walk.lease;
        let mut transaction = lease.store.begin().await?;
        // It takes as long as there are changes; the limit of other statements would end it in vain.
        transaction
            .execute("set local statement_timeout = 0")
            .await
            .doing(doing)?;
        self.check_base(&mut transaction).await?;
        if self.walk.base.is_some() {
            self.apply(&mut transaction).await?;
        }
        lease.check(&mut transaction).await?;
        self.check_base(&mut transaction).await?;
        if self.retires && !is_missing(&mut transaction, lease.namespace_key).await? {
            return Err(PublishError::NotMissing);
        }
        supersede_held(&mut transaction, &self.walk).await.doing(doing)?;
        let recorded_at = self.make_visible(&mut transaction).await?;
        transaction.commit().await.doing(doing)?;
        Ok(recorded_at)
    }

    /// Keeps the walk and its changes for a person to decide about (promise 7). It supersedes the one that was held
    /// before: at most one is held per namespace.
    pub async fn hold(self, why: &str) -> Result<(), StoreError> {
        let walk = self.walk;
        let held = walk.lease.write("hold a snapshot", async |connection| {
            supersede_held(connection, &walk).await?;
            sqlx::query!(
                "update inventory.snapshot
                 set status = 'held', error = $2, finished_at = pg_catalog.clock_timestamp(), cursor = null, anchor_cursor = null
                 where snapshot_id = $1",
                walk.snapshot_id,
                why
            )
            .execute(connection)
            .await
        });
        held.await?;
        // Its spool has no further use.
        if let Err(error) = walk.lease.clear_leftovers().await {
            tracing::warn!("{}", chain(&error));
        }
        Ok(())
    }

    async fn check_base(&self, transaction: &mut Transaction<'_, Postgres>) -> Result<(), PublishError> {
        let row = sqlx::query!(
            "select n.published_snapshot, s.digest, s.change_digest
             from inventory.namespace n join inventory.snapshot s using (namespace_key)
             where n.namespace_key = $1 and s.snapshot_id = $2",
            self.walk.lease.namespace_key,
            self.walk.snapshot_id
        )
        .fetch_one(&mut **transaction)
        .await
        .doing("find the published snapshot")?;
        let checkpoint = &self.walk.checkpoint;
        if row.digest != checkpoint.digest.to_bytes() || row.change_digest != checkpoint.change_digest.to_bytes() {
            return Err(StoreError::CheckpointLost.into());
        }
        let base = self.walk.base.map(|base| base.snapshot_id);
        // A snapshot id below the base's comes from a sequence that restarted: answers about the base would change.
        let is_newer = base.is_none_or(|base| base < self.walk.snapshot_id);
        match row.published_snapshot == base && is_newer {
            true => Ok(()),
            false => Err(PublishError::BaseIsStale),
        }
    }

    /// Turns staged changes into intervals. Each statement must touch exactly the rows that the walk counted. A
    /// difference means that someone changed the record, and nothing is published.
    async fn apply(&self, transaction: &mut Transaction<'_, Postgres>) -> Result<(), StoreError> {
        let doing = "apply a snapshot's changes";
        let (namespace_key, snapshot_id, counts) = (
            self.walk.lease.namespace_key,
            self.walk.snapshot_id,
            &self.counts().changes,
        );
        let (created, removed) = (counts[ChangeKind::Created], counts[ChangeKind::Removed]);
        let closed = sqlx::query!(
            "insert into inventory.closed_interval
                 (namespace_key, from_snapshot, first_snapshot, to_snapshot, has_stored_data, next_state, id)
             select o.namespace_key, o.from_snapshot, o.first_snapshot, $2, o.has_stored_data, c.new_state, o.id
             from inventory.staged_change c
             join inventory.open_interval o
                 on o.namespace_key = $1 and o.id = c.id and inventory.state_of(o.has_stored_data) = c.old_state
             where c.snapshot_id = $2 and c.old_state <> 0
             order by o.id",
            namespace_key,
            snapshot_id
        )
        .execute(&mut **transaction)
        .await
        .doing(doing)?;
        expect_rows("closed", closed.rows_affected(), removed + counts.flags())?;
        let deleted = sqlx::query!(
            "delete from inventory.open_interval o using inventory.staged_change c
             where c.snapshot_id = $2 and c.new_state = 0 and o.namespace_key = $1 and o.id = c.id",
            namespace_key,
            snapshot_id
        )
        .execute(&mut **transaction)
        .await
        .doing(doing)?;
        expect_rows("removed", deleted.rows_affected(), removed)?;
        let changed = sqlx::query!(
            "update inventory.open_interval o
             set from_snapshot = $2,
                 has_stored_data = case c.new_state when 3 then true when 2 then false end
             from inventory.staged_change c
             where c.snapshot_id = $2 and c.old_state <> 0 and c.new_state <> 0
               and o.namespace_key = $1 and o.id = c.id",
            namespace_key,
            snapshot_id
        )
        .execute(&mut **transaction)
        .await
        .doing(doing)?;
        expect_rows("changed", changed.rows_affected(), counts.flags())?;
        // An object that comes back keeps its first interval's snapshot, even where prune dropped all its intervals;
        // null means the baseline, so `k.found` says whether there was one.
        let inserted = sqlx::query!(
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
            namespace_key,
            snapshot_id
        )
        .execute(&mut **transaction)
        .await
        .doing(doing)?;
        expect_rows("created", inserted.rows_affected(), created)
    }

    /// The last statements before the commit. Locking the store's only row makes recorded_at strictly increase in
    /// commit order over all namespaces (promise 1: an answer about a moment never changes), and it is held only for
    /// these. The advisory lock before it lets readers wait for them: locking the row would need a privilege that a
    /// role which may only read does not have.
    async fn make_visible(&self, transaction: &mut Transaction<'_, Postgres>) -> Result<OffsetDateTime, StoreError> {
        let doing = "make a snapshot visible";
        let (namespace_key, snapshot_id) = (self.walk.lease.namespace_key, self.walk.snapshot_id);
        sqlx::query!(
            "update inventory.namespace
             set published_snapshot = $2, baseline_snapshot = coalesce(baseline_snapshot, $2),
                 -- Learned from a walk that came to its end: a server that sends the walk round in circles looks as if
                 -- it had no order, too.
                 unordered = unordered or exists(
                     select from inventory.snapshot where snapshot_id = $2 and spooled is not null)
             where namespace_key = $1",
            namespace_key,
            snapshot_id
        )
        .execute(&mut **transaction)
        .await
        .doing(doing)?;
        // A statement of its own: the clock below is read after this lock is held, so whoever has waited for it knows
        // that what is published later is recorded later. See `Store::reader`.
        sqlx::query!(
            "select pg_catalog.pg_advisory_xact_lock($1, $2)",
            LOCK_SPACE,
            PUBLISHING
        )
        .execute(&mut **transaction)
        .await
        .doing(doing)?;
        let recorded_at = sqlx::query_scalar!(
            "update inventory.store
             set last_recorded_at = greatest(pg_catalog.clock_timestamp(), last_recorded_at + interval '1 microsecond')
             returning last_recorded_at"
        )
        .fetch_one(&mut **transaction)
        .await
        .doing(doing)?;
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
        .doing(doing)?;
        Ok(recorded_at)
    }
}

async fn is_missing(transaction: &mut Transaction<'_, Postgres>, namespace_key: i32) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        "select missing_since is not null as \"missing!\" from inventory.namespace where namespace_key = $1",
        namespace_key
    )
    .fetch_one(&mut **transaction)
    .await
    .doing("check whether the namespace is missing")
}

fn expect_rows(what: &str, found: u64, counted: u64) -> Result<(), StoreError> {
    if found == counted {
        return Ok(());
    }
    Err(inconsistent(&format!(
        "{counted} objects were to be {what}, but {found} rows matched; something else changed the tables"
    )))
}

/// The superseded walk's staged changes are cleared after the commit: there may be millions.
async fn supersede_held(connection: &mut PgConnection, by: &Walk) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update inventory.snapshot set status = 'superseded', error = 'a newer walk of the namespace finished'
         where namespace_key = $1 and status = 'held' and snapshot_id <> $2",
        by.lease.namespace_key,
        by.snapshot_id
    )
    .execute(connection)
    .await?;
    Ok(())
}
