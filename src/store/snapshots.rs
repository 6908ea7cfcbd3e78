//! A walk's record from its start to its end, and the checkpoint that lets another process go on with it.

use std::time::Duration;

use super::sequences::SNAPSHOTS;
use super::{Fence, Store, StoreError};
use crate::digest::{self, SetDigest};
use crate::model::{Counts, ObjectId, Observation};

/// A walk in progress: what it is compared with, and how far it came.
#[derive(Debug, Clone)]
pub struct Walk {
    pub snapshot_id: i32,
    /// The published snapshot that it is compared with; `None` for a baseline.
    pub base: Option<Base>,
    /// The API once took a made-up cursor of this namespace for something else than it means.
    pub one_cursor: bool,
    pub checkpoint: Checkpoint,
}

#[derive(Debug, Clone, Copy)]
pub struct Base {
    pub snapshot_id: i32,
    pub objects: u64,
    pub digest: SetDigest,
}

/// All that another process needs to go on after the last committed page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoint {
    /// The end was proven: nothing is left to fetch.
    pub walked: bool,
    /// Of the next page; `None` before the first.
    pub cursor: Option<String>,
    /// Everything up to this id has been compared and staged.
    pub compared_to: Option<ObjectId>,
    /// The last row that was seen. It waits for the next page, which may repeat it with another flag.
    pub carried: Option<Observation>,
    /// Rows in the spool; `None` when the walk is not spooled.
    pub spooled: Option<u64>,
    pub empty_pages: u32,
    pub anchor_cursor: Option<String>,
    pub anchor_steps: u64,
    pub anchor_limit: u64,
    pub pages: u64,
    pub requests: u64,
    pub counts: Counts,
    /// Over the objects walked and compared so far.
    pub digest: SetDigest,
    /// What the changes so far add to the base's digest.
    pub change_digest: SetDigest,
    /// How often the walk was resumed.
    pub resumed: u64,
}

/// Why a walk ends without being published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandoned {
    Failed,
    Discarded,
    Superseded,
}

impl Abandoned {
    fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Discarded => "discarded",
            Self::Superseded => "superseded",
        }
    }
}

impl Store {
    /// The walk that was left unfinished, if it may be resumed, else a new one. What a run that died had no time to
    /// clear away goes first. What may not be resumed is dropped too: a walk whose base is no longer published, one
    /// whose last page is older than `resume_within`, one whose spool a crash of the database emptied.
    pub async fn open_walk(&self, fence: Fence, run_id: i64, resume_within: Duration) -> Result<Walk, StoreError> {
        self.clear_leftovers(fence).await?;
        if let Some(left) = self.unfinished(fence).await? {
            match self.unfit(&left, resume_within).await? {
                None => return self.resume(fence, run_id, left.snapshot_id).await,
                Some((status, why)) => self.abandon(fence, left.snapshot_id, status, why, 0).await?,
            }
        }
        self.begin_walk(fence, run_id, false).await
    }

    /// Starts a walk from nothing; the namespace has none in progress. It is spooled from the start when asked, or when
    /// a published walk of the namespace was.
    pub async fn begin_walk(&self, fence: Fence, run_id: i64, spool: bool) -> Result<Walk, StoreError> {
        let doing = "begin a snapshot";
        self.clear_hidden_rows(fence).await?;
        let mut transaction = self.pool.begin().await.map_err(StoreError::while_doing(doing))?;
        let newest = SNAPSHOTS.newest(&mut transaction).await?;
        let given = sqlx::query_scalar!(
            "insert into inventory.snapshot (run_id, namespace_key, base_snapshot, spooled, digest_version)
             select $1, namespace_key, published_snapshot, case when unordered or $4 then 0 end, $3
             from inventory.namespace where namespace_key = $2
             returning snapshot_id",
            run_id,
            fence.namespace_key,
            digest::VERSION,
            spool
        )
        .fetch_one(&mut *transaction)
        .await
        .map_err(StoreError::while_doing(doing));
        let id = newest.require_rising(given)?;
        fence.check(&mut transaction).await?;
        transaction.commit().await.map_err(StoreError::while_doing(doing))?;
        self.walk(id).await
    }

    async fn resume(&self, fence: Fence, run_id: i64, snapshot_id: i32) -> Result<Walk, StoreError> {
        let doing = "resume a snapshot";
        let mut transaction = self.pool.begin().await.map_err(StoreError::while_doing(doing))?;
        fence.check(&mut transaction).await?;
        sqlx::query!(
            "update inventory.snapshot
             set status = 'running', run_id = $2, resumed = resumed + 1, error = null
             where snapshot_id = $1",
            snapshot_id,
            run_id
        )
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::while_doing(doing))?;
        transaction.commit().await.map_err(StoreError::while_doing(doing))?;
        self.walk(snapshot_id).await
    }

    /// Keeps the checkpoint for a later run.
    pub async fn interrupt(&self, fence: Fence, snapshot_id: i32, why: &str, requests: u64) -> Result<(), StoreError> {
        let doing = "record an interruption";
        let mut transaction = self.pool.begin().await.map_err(StoreError::while_doing(doing))?;
        fence.check(&mut transaction).await?;
        sqlx::query!(
            "update inventory.snapshot set status = 'interrupted', error = $2, requests = requests + $3
             where snapshot_id = $1",
            snapshot_id,
            why,
            requests as i64
        )
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::while_doing(doing))?;
        transaction.commit().await.map_err(StoreError::while_doing(doing))
    }

    /// Ends a walk without publishing anything, then drops what it left.
    pub async fn abandon(
        &self,
        fence: Fence,
        snapshot_id: i32,
        status: Abandoned,
        why: &str,
        requests: u64,
    ) -> Result<(), StoreError> {
        let doing = "record that a snapshot is given up";
        let mut transaction = self.pool.begin().await.map_err(StoreError::while_doing(doing))?;
        fence.check(&mut transaction).await?;
        sqlx::query!(
            "update inventory.snapshot
             set status = $2, error = $3, requests = requests + $4, finished_at = pg_catalog.clock_timestamp(),
                 cursor = null, anchor_cursor = null
             where snapshot_id = $1",
            snapshot_id,
            status.as_str(),
            why,
            requests as i64
        )
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::while_doing(doing))?;
        transaction.commit().await.map_err(StoreError::while_doing(doing))?;
        self.clear_staging(fence, snapshot_id).await?;
        self.clear_hidden_rows(fence).await
    }

    /// What became of a snapshot whose last statement was sent when the connection broke.
    pub async fn snapshot_status(&self, snapshot_id: i32) -> Result<String, StoreError> {
        sqlx::query_scalar!(
            "select status from inventory.snapshot where snapshot_id = $1",
            snapshot_id
        )
        .fetch_one(&self.pool)
        .await
        .map_err(StoreError::while_doing("read a snapshot's status"))
    }

    /// Gives up the walk that a namespace has in progress, if there is one.
    pub async fn drop_unfinished_walk(&self, fence: Fence, why: &str) -> Result<(), StoreError> {
        match self.unfinished(fence).await? {
            Some(left) => {
                self.abandon(fence, left.snapshot_id, Abandoned::Discarded, why, 0)
                    .await
            }
            None => Ok(()),
        }
    }

    async fn unfinished(&self, fence: Fence) -> Result<Option<Unfinished>, StoreError> {
        sqlx::query_as!(
            Unfinished,
            "select s.snapshot_id, s.spooled,
                    extract(epoch from pg_catalog.clock_timestamp() - s.checkpoint_at)::float8 as \"age_s!\",
                    s.base_snapshot is not distinct from n.published_snapshot
                        and s.snapshot_id > coalesce(n.published_snapshot, 0) as \"base_is_published!\",
                    s.digest_version,
                    s.walked and s.compared_to is null and s.spooled is null as \"retirement!\"
             from inventory.snapshot s join inventory.namespace n using (namespace_key)
             where s.namespace_key = $1 and s.status in ('running', 'interrupted')",
            fence.namespace_key
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(StoreError::while_doing("look for an unfinished walk"))
    }

    async fn unfit(
        &self,
        left: &Unfinished,
        resume_within: Duration,
    ) -> Result<Option<(Abandoned, &'static str)>, StoreError> {
        if !left.base_is_published {
            return Ok(Some((
                Abandoned::Superseded,
                "a newer snapshot was published since this walk began",
            )));
        }
        if left.retirement {
            return Ok(Some((
                Abandoned::Discarded,
                "its namespace's retirement was interrupted",
            )));
        }
        if left.digest_version != digest::VERSION {
            return Ok(Some((
                Abandoned::Discarded,
                "another version of the program, with another digest, began it",
            )));
        }
        if left.age_s > resume_within.as_secs_f64() {
            return Ok(Some((
                Abandoned::Discarded,
                "its last page is older than --resume-within allows",
            )));
        }
        let Some(spooled) = left.spooled else { return Ok(None) };
        let there = sqlx::query_scalar!(
            "select pg_catalog.count(*) as \"count!\" from inventory.spooled_object where snapshot_id = $1",
            left.snapshot_id
        )
        .fetch_one(&self.pool)
        .await
        .map_err(StoreError::while_doing("count the spool"))?;
        Ok((there != spooled).then_some((Abandoned::Discarded, "a crash of the database emptied its spool")))
    }

    /// A walk as the record has it.
    pub async fn walk(&self, snapshot_id: i32) -> Result<Walk, StoreError> {
        let row = sqlx::query!(
            "select s.*, n.one_cursor, b.snapshot_id as \"base_id?\",
                    b.with_data + b.without_data + b.unknown as base_objects, b.digest as \"base_digest?\"
             from inventory.snapshot s
             join inventory.namespace n using (namespace_key)
             left join inventory.snapshot b on b.snapshot_id = s.base_snapshot
             where s.snapshot_id = $1",
            snapshot_id
        )
        .fetch_one(&self.pool)
        .await
        .map_err(StoreError::while_doing("read a snapshot"))?;
        let base = match (row.base_id, row.base_objects, row.base_digest) {
            (Some(snapshot_id), Some(objects), Some(digest)) => Some(Base {
                snapshot_id,
                objects: objects as u64,
                digest: digest_from(&digest)?,
            }),
            _ => None,
        };
        let checkpoint = Checkpoint {
            walked: row.walked,
            cursor: row.cursor,
            compared_to: row.compared_to.as_deref().map(id_from).transpose()?,
            carried: match row.carried_id {
                Some(id) => Some(Observation {
                    id: id_from(&id)?,
                    data: row.carried_flag.into(),
                }),
                None => None,
            },
            spooled: row.spooled.map(|rows| rows as u64),
            empty_pages: row.empty_pages as u32,
            anchor_cursor: row.anchor_cursor,
            anchor_steps: row.anchor_steps as u64,
            anchor_limit: row.anchor_limit as u64,
            pages: row.pages as u64,
            requests: row.requests as u64,
            counts: Counts {
                with_data: row.with_data as u64,
                without_data: row.without_data as u64,
                unknown: row.unknown as u64,
                created: row.created as u64,
                removed: row.removed as u64,
                data_gained: row.data_gained as u64,
                data_lost: row.data_lost as u64,
                data_known: row.data_known as u64,
                data_unknown: row.data_unknown as u64,
            },
            digest: digest_from(&row.digest)?,
            change_digest: digest_from(&row.change_digest)?,
            resumed: row.resumed as u64,
        };
        Ok(Walk {
            snapshot_id,
            base,
            one_cursor: row.one_cursor,
            checkpoint,
        })
    }
}

struct Unfinished {
    snapshot_id: i32,
    spooled: Option<i64>,
    /// Of its last page, both times by the database's clock: this machine's may differ.
    age_s: f64,
    /// And its number is the greater one: else its sequence began again in between.
    base_is_published: bool,
    digest_version: i16,
    /// No walk, but a namespace's retirement that was killed before it was published.
    retirement: bool,
}

pub(super) fn id_from(bytes: &[u8]) -> Result<ObjectId, StoreError> {
    let bytes = bytes
        .try_into()
        .map_err(|_| inconsistent("an object id of another length than 32 bytes"))?;
    Ok(ObjectId::from_bytes(bytes))
}

pub(super) fn digest_from(bytes: &[u8]) -> Result<SetDigest, StoreError> {
    let bytes = bytes
        .try_into()
        .map_err(|_| inconsistent("a digest of another length than 32 bytes"))?;
    Ok(SetDigest::from_bytes(bytes))
}

pub(super) fn inconsistent(what: &str) -> StoreError {
    StoreError::Inconsistent { what: what.to_owned() }
}
