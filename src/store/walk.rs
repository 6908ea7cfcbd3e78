//! A walk in progress, from its start to an end without a publication. `publish` continues with a walk whose end is
//! proven.

use std::time::Duration;

use super::error::Doing;
use super::sequences::SNAPSHOTS;
use super::{Checkpoint, Lease, ProvenWalk, StoreError};
use crate::digest::{self, SetDigest};

/// A walk in progress: its lease, its snapshot, what it is compared with, and its committed checkpoint.
///
/// It ends once: published or held after [`Walk::prove`], or by [`Walk::end`].
#[derive(Debug)]
pub struct Walk {
    pub(super) lease: Lease,
    pub(super) snapshot_id: i32,
    pub(super) status: String,
    pub(super) base: Option<Base>,
    pub(super) one_cursor: bool,
    pub(super) page_limit: Option<u32>,
    pub(super) checkpoint: Checkpoint,
}

/// The published snapshot that a walk is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Base {
    pub snapshot_id: i32,
    pub objects: u64,
    pub digest: SetDigest,
}

/// How a walk ends without being published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A later run may resume it: its checkpoint and its staged changes are kept.
    Interrupted,
    /// Interrupted by the API's responses. A walk that ends like this in two resumed runs, without a page committed
    /// since, is not resumed again.
    Stalled,
    Failed,
    Discarded,
    Superseded,
}

impl Ending {
    fn as_str(self) -> &'static str {
        match self {
            Self::Interrupted | Self::Stalled => "interrupted",
            Self::Failed => "failed",
            Self::Discarded => "discarded",
            Self::Superseded => "superseded",
        }
    }

    fn is_resumable(self) -> bool {
        matches!(self, Self::Interrupted | Self::Stalled)
    }
}

/// Returned by [`Walk::prove`] if the walk has no proven end. The walk has to be ended.
#[derive(Debug, thiserror::Error)]
#[error("the walk has not read and compared everything, so it can't be published")]
pub struct Unproven {
    pub walk: Walk,
}

impl Walk {
    /// Resumes the namespace's unfinished walk, if that is possible, or begins one. What a dead run left behind is
    /// deleted first.
    ///
    /// A walk is not resumed if its base is no longer the published snapshot, its last page is older than
    /// `resume_within`, another digest version began it, it is a retirement, a crash of the database emptied its spool,
    /// or it was resumed in two runs without committing a page.
    pub async fn open(lease: Lease, run_id: i64, resume_within: Duration) -> Result<Self, StoreError> {
        lease.clear_leftovers().await?;
        if let Some(left) = lease.unfinished().await? {
            match lease.unfit(&left, resume_within).await? {
                None => return Self::resume(lease, run_id, left.snapshot_id).await,
                Some((ending, why)) => lease.end_snapshot(left.snapshot_id, ending, why, 0).await?,
            }
        }
        Self::begin(lease, run_id, false).await
    }

    /// Begins a walk; the namespace must have none in progress. It is spooled if `spool` says so, or if the namespace
    /// is known to list its ids without order.
    pub async fn begin(lease: Lease, run_id: i64, spool: bool) -> Result<Self, StoreError> {
        lease.clear_hidden_rows().await?;
        let key = lease.namespace_key;
        let doing = "begin a snapshot";
        let begun = lease.write(doing, async |connection| {
            let newest = SNAPSHOTS.newest(&mut *connection).await?;
            let snapshot_id = sqlx::query_scalar!(
                "insert into inventory.snapshot (run_id, namespace_key, base_snapshot, spooled, digest_version)
                 select $1, namespace_key, published_snapshot, case when unordered or $4 then 0 end, $3
                 from inventory.namespace where namespace_key = $2
                 returning snapshot_id",
                run_id,
                key,
                digest::VERSION,
                spool
            )
            .fetch_one(connection)
            .await
            .doing(doing);
            newest.require_rising(snapshot_id)
        });
        let snapshot_id = begun.await?;
        Self::load(lease, snapshot_id).await
    }

    async fn resume(lease: Lease, run_id: i64, snapshot_id: i32) -> Result<Self, StoreError> {
        let resumed = lease.write("resume a snapshot", async |connection| {
            sqlx::query!(
                "update inventory.snapshot
                 set status = 'running', run_id = $2, resumed = resumed + 1, error = null,
                     idle_resumes = case when resumed_at_pages = pages then idle_resumes else 0 end,
                     resumed_at_pages = pages
                 where snapshot_id = $1",
                snapshot_id,
                run_id
            )
            .execute(connection)
            .await
        });
        resumed.await?;
        Self::load(lease, snapshot_id).await
    }

    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    pub fn snapshot_id(&self) -> i32 {
        self.snapshot_id
    }

    /// `running`, `complete`, `held` and so on, as of when the walk was read from the record.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// `None` for a baseline.
    pub fn base(&self) -> Option<Base> {
        self.base
    }

    /// Whether the namespace must be read on one cursor: the API once misread a made-up cursor of it.
    pub fn needs_one_cursor(&self) -> bool {
        self.one_cursor
    }

    /// The largest page that the API serves of this namespace in time, if it once failed to serve larger ones.
    pub fn remembered_limit(&self) -> Option<u32> {
        self.page_limit
    }

    /// The committed checkpoint.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The one definition of a proven end (promise 2): every page was read to a believed end, and the record was
    /// compared up to the greatest possible id. Nothing else may close an interval.
    pub fn prove(self) -> Result<ProvenWalk, Box<Unproven>> {
        match self.checkpoint.is_proven() {
            true => Ok(ProvenWalk::of(self)),
            false => Err(Box::new(Unproven { walk: self })),
        }
    }

    /// Ends the walk without publishing anything, and deletes what it staged unless it may be resumed.
    /// `wasted_requests` are those that brought no page.
    pub async fn end(self, how: Ending, why: &str, wasted_requests: u64) -> Result<Lease, StoreError> {
        self.lease
            .end_snapshot(self.snapshot_id, how, why, wasted_requests)
            .await?;
        Ok(self.lease)
    }
}

impl Lease {
    /// Discards the namespace's unfinished walk, if there is one.
    pub async fn drop_unfinished_walk(&self, why: &str) -> Result<(), StoreError> {
        match self.unfinished().await? {
            Some(left) => self.end_snapshot(left.snapshot_id, Ending::Discarded, why, 0).await,
            None => Ok(()),
        }
    }

    async fn end_snapshot(
        &self,
        snapshot_id: i32,
        how: Ending,
        why: &str,
        wasted_requests: u64,
    ) -> Result<(), StoreError> {
        let resumable = how.is_resumable();
        let ended = self.write("record the end of a sync", async |connection| {
            sqlx::query!(
                "update inventory.snapshot
                 set status = $2, error = $3, requests = requests + $4,
                     finished_at = case when $5 then finished_at else pg_catalog.clock_timestamp() end,
                     cursor = case when $5 then cursor end, anchor_cursor = case when $5 then anchor_cursor end,
                     idle_resumes = idle_resumes + case when $6 and resumed_at_pages = pages then 1 else 0 end
                 where snapshot_id = $1",
                snapshot_id,
                how.as_str(),
                why,
                wasted_requests as i64,
                resumable,
                how == Ending::Stalled
            )
            .execute(connection)
            .await
        });
        ended.await?;
        if resumable {
            return Ok(());
        }
        self.clear_staging(snapshot_id).await?;
        self.clear_hidden_rows().await
    }

    async fn unfinished(&self) -> Result<Option<Unfinished>, StoreError> {
        sqlx::query_as!(
            Unfinished,
            "select s.snapshot_id, s.spooled,
                    extract(epoch from pg_catalog.clock_timestamp() - s.checkpoint_at)::float8 as \"age_s!\",
                    s.base_snapshot is not distinct from n.published_snapshot
                        and s.snapshot_id > coalesce(n.published_snapshot, 0) as \"base_is_published!\",
                    s.digest_version,
                    not s.walked and s.pages > 0 and s.idle_resumes >= 2 and s.resumed_at_pages = s.pages as \"idle!\",
                    s.walked and s.compared_to is null and s.spooled is null as \"retirement!\"
             from inventory.snapshot s join inventory.namespace n using (namespace_key)
             where s.namespace_key = $1 and s.status in ('running', 'interrupted')",
            self.namespace_key
        )
        .fetch_optional(&mut *self.store.acquire().await?)
        .await
        .doing("find an unfinished sync")
    }

    /// Why an unfinished walk can't be resumed, and how it ends then.
    async fn unfit(
        &self,
        left: &Unfinished,
        resume_within: Duration,
    ) -> Result<Option<(Ending, &'static str)>, StoreError> {
        let unfit = if !left.base_is_published {
            let why = "a newer snapshot was published after this sync began";
            Some((Ending::Superseded, why))
        } else if left.retirement {
            Some((Ending::Discarded, "its namespace's retirement was interrupted"))
        } else if left.digest_version != digest::VERSION {
            let why = "another version of the program, with another digest, started it";
            Some((Ending::Discarded, why))
        } else if left.age_s > resume_within.as_secs_f64() {
            let why = "its last page is older than --resume-within allows";
            Some((Ending::Discarded, why))
        } else if left.idle {
            Some((
                Ending::Discarded,
                "it was resumed in two runs without committing a page, so it starts over",
            ))
        } else if self.lost_its_spool(left).await? {
            Some((Ending::Discarded, "a crash of the database emptied its spool"))
        } else {
            None
        };
        Ok(unfit)
    }

    async fn lost_its_spool(&self, left: &Unfinished) -> Result<bool, StoreError> {
        let Some(spooled) = left.spooled else { return Ok(false) };
        let rows = sqlx::query_scalar!(
            "select pg_catalog.count(*) as \"count!\" from inventory.spooled_object where snapshot_id = $1",
            left.snapshot_id
        )
        .fetch_one(&mut *self.store.acquire().await?)
        .await
        .doing("count the spool")?;
        Ok(rows != spooled)
    }
}

struct Unfinished {
    snapshot_id: i32,
    spooled: Option<i64>,
    /// Seconds since its last page, by the database's clock: this machine's may differ.
    age_s: f64,
    /// The base is published, and the walk's snapshot id is greater: a lower one comes from a sequence that restarted.
    base_is_published: bool,
    digest_version: i16,
    /// It was resumed in two runs without committing a page.
    idle: bool,
    /// A namespace's retirement that was killed before it was published.
    retirement: bool,
}
