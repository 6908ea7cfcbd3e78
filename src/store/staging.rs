//! One page's transaction: the changes that come of it and the checkpoint, committed together or not at all (promises 3 and
//! 4); and the stored rows that pages are compared with.

use sqlx::{Postgres, Transaction};

use super::copy::Rows;
use super::range::{RowsOf, lower_bound, read_range};
use super::snapshots::inconsistent;
use super::{Checkpoint, Fence, Store, StoreError, Walk};
use crate::model::{Change, ObjectId, Observation, State};

/// A page's commit does not wait for the disk. What a crash of the server can take away is the newest pages, whole: the
/// record then stands at an earlier checkpoint, which `commit` notices and the walk goes on from. The publication waits.
const BEGIN: &str = "begin; set local synchronous_commit = off";

/// The server begins with the first rows of a COPY while the next ones are written down: 100 KB a message.
const ROWS_A_MESSAGE: usize = 2_000;

/// Writes for one page of a walk. Dropped without `commit`, nothing happened.
pub struct PageTransaction {
    transaction: Transaction<'static, Postgres>,
    fence: Fence,
    snapshot_id: i32,
    /// A baseline's rows go straight to their place, hidden until it is published: a first sync writes them once.
    baseline: bool,
    /// What this process committed last: pages, and the id compared to.
    before: (u64, Option<ObjectId>),
}

impl Store {
    pub async fn begin_page(&self, fence: Fence, walk: &Walk) -> Result<PageTransaction, StoreError> {
        Ok(PageTransaction {
            transaction: self
                .pool
                .begin_with(BEGIN)
                .await
                .map_err(StoreError::while_doing("begin a page"))?,
            fence,
            snapshot_id: walk.snapshot_id,
            baseline: walk.base.is_none(),
            before: (walk.checkpoint.pages, walk.checkpoint.compared_to),
        })
    }

    /// At most `limit` of the record's present rows of the namespace with `after` < id, ascending.
    pub async fn stored_rows(
        &self,
        fence: Fence,
        after: Option<&ObjectId>,
        limit: usize,
    ) -> Result<Vec<Observation>, StoreError> {
        let doing = "read a range of stored objects";
        let mut session = self.pool.acquire().await.map_err(StoreError::while_doing(doing))?;
        read_range(&mut session, RowsOf::Namespace(fence.namespace_key), after, limit).await
    }

    /// At most `limit` rows of a walk's spool with `after` < id, ascending.
    pub async fn spooled_rows(
        &self,
        snapshot_id: i32,
        after: Option<&ObjectId>,
        limit: usize,
    ) -> Result<Vec<Observation>, StoreError> {
        let doing = "read a range of spooled objects";
        let mut session = self.pool.acquire().await.map_err(StoreError::while_doing(doing))?;
        read_range(&mut session, RowsOf::Spool(snapshot_id), after, limit).await
    }

    /// Whether the record holds objects above this id: an end here would remove them.
    pub async fn anything_above(&self, fence: Fence, id: Option<&ObjectId>) -> Result<bool, StoreError> {
        sqlx::query_scalar!(
            "select exists(select from inventory.open_interval where namespace_key = $1 and id > $2) as \"exists!\"",
            fence.namespace_key,
            lower_bound(id)
        )
        .fetch_one(&self.pool)
        .await
        .map_err(StoreError::while_doing("look for objects above an id"))
    }
}

impl PageTransaction {
    /// Adds a page of a walk without order to its spool; of an id that is there already, the later flag counts.
    /// Returns how many ids were new.
    pub async fn spool(&mut self, rows: &[Observation]) -> Result<u64, StoreError> {
        let ids: Vec<Vec<u8>> = rows.iter().map(|row| row.id.as_bytes().to_vec()).collect();
        let flags: Vec<Option<bool>> = rows.iter().map(|row| row.data.into()).collect();
        let fresh = sqlx::query_scalar!(
            "with written as (
                 insert into inventory.spooled_object (snapshot_id, id, has_stored_data)
                 select $1, id, flag from unnest($2::bytea[], $3::boolean[]) as row (id, flag)
                 on conflict (snapshot_id, id) do update set has_stored_data = excluded.has_stored_data
                 returning xmax = 0 as fresh)
             select pg_catalog.count(*) filter (where fresh) as \"fresh!\" from written",
            self.snapshot_id,
            &ids,
            flags.as_slice() as &[Option<bool>]
        )
        .fetch_one(&mut *self.transaction)
        .await
        .map_err(StoreError::while_doing("spool a page"))?;
        Ok(fresh as u64)
    }

    /// Keeps changes for the publication.
    pub async fn stage(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(()); // promise 5
        }
        match self.baseline {
            true => self.copy_baseline(changes).await,
            false => self.insert_changes(changes).await,
        }
    }

    async fn copy_baseline(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let doing = "write a page of a first snapshot";
        let mut copy = self
            .transaction
            .copy_in_raw("copy inventory.open_interval (namespace_key, has_stored_data, id) from stdin (format binary)")
            .await
            .map_err(StoreError::while_doing(doing))?;
        let mut rows = Rows::begin(ROWS_A_MESSAGE);
        for (at, change) in changes.iter().enumerate() {
            if at > 0 && at % ROWS_A_MESSAGE == 0 {
                copy.send(rows.take()).await.map_err(StoreError::while_doing(doing))?;
            }
            let flag = match change.new {
                State::Absent => return Err(inconsistent("a first snapshot can remove nothing")),
                State::Unknown => None,
                State::WithoutData => Some(false),
                State::WithData => Some(true),
            };
            rows.row(3)
                .field(&self.fence.namespace_key.to_be_bytes())
                .flag(flag)
                .field(change.id.as_bytes());
        }
        copy.send(rows.end()).await.map_err(StoreError::while_doing(doing))?;
        copy.finish().await.map_err(StoreError::while_doing(doing))?;
        Ok(())
    }

    /// No COPY: its end is a message of its own, which on TCP waits for the acknowledgement of the one before it, 40 ms a
    /// page; the driver has no switch for that. The changes of a page are few.
    async fn insert_changes(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let ids: Vec<&[u8]> = changes.iter().map(|change| change.id.as_bytes().as_slice()).collect();
        let states =
            |of: fn(&Change) -> State| -> Vec<i16> { changes.iter().map(|change| of(change) as i16).collect() };
        sqlx::query!(
            "insert into inventory.staged_change (snapshot_id, id, old_state, new_state)
             select $1, id, old_state, new_state
             from unnest($2::bytea[], $3::smallint[], $4::smallint[]) as change (id, old_state, new_state)",
            self.snapshot_id,
            ids.as_slice() as &[&[u8]],
            &states(|change| change.old),
            &states(|change| change.new)
        )
        .execute(&mut *self.transaction)
        .await
        .map_err(StoreError::while_doing("write a page's changes"))?;
        Ok(())
    }

    /// The checkpoint must be the one that this process committed before: a database that was restarted may have gone
    /// back behind it, and pages would be missing.
    ///
    /// The fence is checked last, so that a process that is stopped in the midst of its page blocks nobody's lock.
    pub async fn commit(mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let doing = "commit a page";
        let counts = &checkpoint.counts;
        let (digest, change_digest) = (checkpoint.digest.to_bytes(), checkpoint.change_digest.to_bytes());
        let (before_pages, before_id) = self.before;
        let written = sqlx::query!(
            "update inventory.snapshot set
                 checkpoint_at = pg_catalog.clock_timestamp(), walked = $2,
                 finished_at = case when $2 then coalesce(finished_at, pg_catalog.clock_timestamp()) end,
                 cursor = $3, compared_to = $4, spooled = $5,
                 empty_pages = $6, anchor_cursor = $7, anchor_steps = $8, anchor_limit = $9,
                 pages = $10, requests = $11, with_data = $12, without_data = $13, unknown = $14,
                 created = $15, removed = $16, data_gained = $17, data_lost = $18, data_known = $19,
                 data_unknown = $20, digest = $21, change_digest = $22, carried_id = $23, carried_flag = $24
             where snapshot_id = $1 and pages = $25 and compared_to is not distinct from $26",
            self.snapshot_id,
            checkpoint.walked,
            checkpoint.cursor.as_deref(),
            checkpoint.compared_to.as_ref().map(|id| id.as_bytes().as_slice()),
            checkpoint.spooled.map(|rows| rows as i64),
            checkpoint.empty_pages as i32,
            checkpoint.anchor_cursor.as_deref(),
            checkpoint.anchor_steps as i64,
            checkpoint.anchor_limit as i64,
            checkpoint.pages as i64,
            checkpoint.requests as i64,
            counts.with_data as i64,
            counts.without_data as i64,
            counts.unknown as i64,
            counts.created as i64,
            counts.removed as i64,
            counts.data_gained as i64,
            counts.data_lost as i64,
            counts.data_known as i64,
            counts.data_unknown as i64,
            digest.as_slice(),
            change_digest.as_slice(),
            checkpoint.carried.as_ref().map(|row| row.id.as_bytes().as_slice()),
            checkpoint.carried.and_then(|row| Option::<bool>::from(row.data)),
            before_pages as i64,
            before_id.as_ref().map(|id| id.as_bytes().as_slice())
        )
        .execute(&mut *self.transaction)
        .await
        .map_err(StoreError::while_doing(doing))?;
        if written.rows_affected() != 1 {
            return Err(StoreError::CheckpointLost);
        }
        if checkpoint.walked {
            // What follows takes the walk's end for settled.
            sqlx::query!("set local synchronous_commit = on")
                .execute(&mut *self.transaction)
                .await
                .map_err(StoreError::while_doing(doing))?;
        }
        self.fence.check(&mut self.transaction).await?;
        self.transaction.commit().await.map_err(StoreError::while_doing(doing))
    }
}
