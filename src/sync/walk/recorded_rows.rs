//! The recorded rows of a namespace in ascending order, read one chunk ahead: the database works on the next rows while
//! a page is compared and committed, and the round trip to it costs a page no time.
//!
//! They are read outside of the pages' transactions. The lease keeps others from changing them, and a run that lost its
//! lease can commit nothing that it concluded from them.

use crate::model::{ObjectId, Observation};
use crate::store::{Lease, StoreError};
use crate::sync::task::Task;

/// Recorded or spooled rows in memory at once: more than a page has, so that one read mostly covers a page.
pub(super) const CHUNK: usize = 16_384;

type Chunk = Task<Result<Vec<Observation>, StoreError>>;

/// A walk's way through the recorded rows.
pub(super) struct RecordedRows {
    lease: Lease,
    /// Read and not yet taken, ascending.
    rows: Vec<Observation>,
    /// The chunk after `rows`; `None` if there are no more.
    next: Option<Chunk>,
}

/// The recorded rows that follow the last slice.
pub(super) struct RecordedSlice {
    pub(super) rows: Vec<Observation>,
    /// The slice is complete up to this id; `None`: to the end.
    pub(super) to: Option<ObjectId>,
    /// The slice reaches the end of the requested range.
    pub(super) is_last: bool,
}

impl RecordedRows {
    /// The rows above `after`.
    pub(super) fn after(lease: Lease, after: Option<ObjectId>) -> Self {
        let mut recorded = Self::none(lease);
        recorded.read_ahead(after);
        recorded
    }

    /// A baseline has no recorded rows to compare with: those in the table are its own.
    pub(super) fn none(lease: Lease) -> Self {
        Self {
            lease,
            rows: Vec::new(),
            next: None,
        }
    }

    /// The rows up to `to` (`None`: to the end), or as many of them as were read.
    ///
    /// A slice ends early only at the last row that was read, and only if more rows may follow it within the range.
    pub(super) async fn take(&mut self, to: Option<ObjectId>) -> Result<RecordedSlice, StoreError> {
        if self.rows.is_empty() {
            self.receive().await?;
        }
        let end = match to {
            Some(to) => self.rows.partition_point(|row| row.id <= to),
            None => self.rows.len(),
        };
        let later = self.rows.split_off(end);
        let rows = std::mem::replace(&mut self.rows, later);
        let more_may_follow = self.rows.is_empty() && self.next.is_some();
        let last = rows.last().map(|row| row.id).filter(|_| more_may_follow);
        Ok(match last {
            Some(last) if to != Some(last) => RecordedSlice {
                rows,
                to: Some(last),
                is_last: false,
            },
            _ => RecordedSlice {
                rows,
                to,
                is_last: true,
            },
        })
    }

    async fn receive(&mut self) -> Result<(), StoreError> {
        let Some(chunk) = &mut self.next else { return Ok(()) };
        let read = chunk.result().await;
        self.next = None;
        self.rows = read?;
        if self.rows.len() == CHUNK {
            self.read_ahead(self.rows.last().map(|row| row.id));
        }
        Ok(())
    }

    fn read_ahead(&mut self, after: Option<ObjectId>) {
        let lease = self.lease.clone();
        self.next = Some(Task::start(
            async move { lease.recorded_rows(after.as_ref(), CHUNK).await },
        ));
    }
}
