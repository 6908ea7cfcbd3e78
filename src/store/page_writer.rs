//! One page's transaction: its changes and the checkpoint are committed together or not at all (promises 3 and 4).

use sqlx::{Postgres, Transaction};

use super::copy_binary::RowEncoder;
use super::decode::inconsistent;
use super::error::Doing;
use super::{Checkpoint, Lease, StoreError, Walk};
use crate::model::{Change, Observation, State};

/// A page's commit does not wait for the disk; on a disk that takes 10 ms for a flush, that saves a second in each 100
/// pages. A crash of the server can take away the newest pages, each as a whole: the record is then at an earlier
/// checkpoint, which `commit` notices and the walk resumes from. The last page and the publication wait.
const BEGIN: &str = "begin; set local synchronous_commit = off";

/// RowEncoder in one message of a COPY (100 KB): the server works on the first rows while the next ones are encoded. A
/// single message made a first sync of 1,000,000 objects take 1.53 s instead of 1.40.
const ROWS_PER_MESSAGE: usize = 2_000;

/// Writes one page of a walk. Dropped without `commit`, it changes nothing.
pub struct PageWriter {
    transaction: Transaction<'static, Postgres>,
    lease: Lease,
    snapshot_id: i32,
    /// A baseline's rows are written to their final place, hidden until it is published: a first sync writes them once.
    baseline: bool,
}

impl Walk {
    pub async fn begin_page(&self) -> Result<PageWriter, StoreError> {
        Ok(PageWriter {
            transaction: self.lease.store.begin_with(BEGIN).await?,
            lease: self.lease.clone(),
            snapshot_id: self.snapshot_id,
            baseline: self.base.is_none(),
        })
    }

    /// Commits a page with the checkpoint after it.
    ///
    /// The lease is checked here and not by `Lease::write`, because a page is written piece by piece while the next one
    /// is compared. The check comes last, so that a process that is stopped in the middle of a page blocks nobody.
    pub async fn commit(&mut self, mut page: PageWriter, checkpoint: Checkpoint) -> Result<(), StoreError> {
        let doing = "commit a page";
        checkpoint
            .save(&mut page.transaction, self.snapshot_id, &self.checkpoint)
            .await?;
        if checkpoint.all_pages_read {
            // What follows relies on the walk's end, so this commit waits for the disk.
            sqlx::query!("set local synchronous_commit = on")
                .execute(&mut *page.transaction)
                .await
                .doing(doing)?;
        }
        self.lease.check(&mut page.transaction).await?;
        page.transaction.commit().await.doing(doing)?;
        self.checkpoint = checkpoint;
        Ok(())
    }
}

impl PageWriter {
    /// Adds a page to the spool. The flag of an id that is already there is replaced. Returns how many ids were new.
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
        .doing("spool a page")?;
        Ok(fresh as u64)
    }

    /// Stages changes for the publication; a baseline's rows are written in place.
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
            .doing(doing)?;
        let mut rows = RowEncoder::begin(ROWS_PER_MESSAGE);
        for (at, change) in changes.iter().enumerate() {
            if at > 0 && at % ROWS_PER_MESSAGE == 0 {
                copy.send(rows.take()).await.doing(doing)?;
            }
            let flag = match change.new {
                State::Absent => return Err(inconsistent("a first snapshot can remove nothing")),
                State::Unknown => None,
                State::WithoutData => Some(false),
                State::WithData => Some(true),
            };
            rows.row(3)
                .field(&self.lease.namespace_key.to_be_bytes())
                .flag(flag)
                .field(change.id.as_bytes());
        }
        copy.send(rows.end()).await.doing(doing)?;
        copy.finish().await.doing(doing)?;
        Ok(())
    }

    /// An INSERT instead of COPY. On TCP a COPY takes 40 ms: sqlx 0.9 leaves Nagle's algorithm on, so the small message
    /// at its end waits for the acknowledgement of the one before it, and sqlx has no switch for the socket option. A
    /// baseline still copies, as 40 ms for 10,000 rows are less than the quota lets pass in that time.
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
        .doing("write a page's changes")?;
        Ok(())
    }
}
