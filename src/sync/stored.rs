//! The record's rows of a namespace, in the order of their ids, read one chunk ahead of the comparison: the database
//! works on the next rows while a page is compared and committed.
//!
//! They are read outside of the pages' transactions. The namespace's lock keeps others from changing them, and whoever
//! lost the lock can commit nothing that came of them.

use crate::model::{ObjectId, Observation};
use crate::store::{Fence, Store, StoreError};

use super::task::Task;

/// Rows of the record, or of the spool, that are held in memory at once: more than a page brings, so that one reading
/// mostly covers a page.
pub(super) const CHUNK: usize = 16_384;

type Chunk = Task<Result<Vec<Observation>, StoreError>>;

/// A walk's way through the stored rows.
pub(super) struct StoredRows {
    store: Store,
    fence: Fence,
    /// Read and not yet taken, ascending.
    rows: Vec<Observation>,
    /// The chunk after `rows`; `None`: there are no more.
    next: Option<Chunk>,
}

/// What is stored from where the last part ended.
pub(super) struct Part {
    pub(super) rows: Vec<Observation>,
    /// Up to here these are all; `None`: to the end.
    pub(super) to: Option<ObjectId>,
    /// Nothing is left of what was asked for.
    pub(super) is_last: bool,
}

impl StoredRows {
    /// Those above `after`.
    pub(super) fn read(store: &Store, fence: Fence, after: Option<ObjectId>) -> Self {
        let mut stored = Self::none(store, fence);
        stored.ask(after);
        stored
    }

    /// What a baseline is compared with: what is there are its own rows.
    pub(super) fn none(store: &Store, fence: Fence) -> Self {
        Self {
            store: store.clone(),
            fence,
            rows: Vec::new(),
            next: None,
        }
    }

    /// The rows up to `to` (`None`: to the end), or the first of them.
    pub(super) async fn take(&mut self, to: Option<ObjectId>) -> Result<Part, StoreError> {
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
            Some(last) if to != Some(last) => Part {
                rows,
                to: Some(last),
                is_last: false,
            },
            _ => Part {
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
            self.ask(self.rows.last().map(|row| row.id));
        }
        Ok(())
    }

    fn ask(&mut self, after: Option<ObjectId>) {
        let (store, fence) = (self.store.clone(), self.fence);
        self.next = Some(Task::start(async move {
            store.stored_rows(fence, after.as_ref(), CHUNK).await
        }));
    }
}
