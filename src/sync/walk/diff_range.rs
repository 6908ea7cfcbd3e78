//! From rows to changes, one range of ids at a time, and on to the commit.

use tokio::sync::mpsc::Sender;

use super::diff::diff;
use super::recorded_rows::RecordedRows;
use crate::model::{Change, ObjectId, Observation};
use crate::store::{Checkpoint, StoreError};

/// Changes on their way to the commit: a page's, or a part of them if the page removes many objects.
pub(super) struct Compared {
    pub(super) changes: Vec<Change>,
    /// With the last changes of a page.
    pub(super) checkpoint: Option<Checkpoint>,
}

/// Compares observed rows with the recorded ones, in ascending order of id, and sends what differs to the commit.
pub(super) struct RangeDiff {
    pub(super) recorded: RecordedRows,
    pub(super) to_commit: Sender<Compared>,
    /// A first snapshot says what was there, not what was created.
    pub(super) baseline: bool,
}

impl RangeDiff {
    /// Compares `rows` with the recorded rows of the same range, and sends the changes with the checkpoint after them,
    /// which it returns. `rows` must be all that was observed above `checkpoint.compared_through` up to `to` (`None`:
    /// to the end).
    ///
    /// Changes are sent as they are found: memory stays at one page and one chunk of recorded rows, however many of
    /// them the range removes.
    pub(super) async fn diff(
        &mut self,
        mut checkpoint: Checkpoint,
        rows: &[Observation],
        to: Option<ObjectId>,
    ) -> Result<Checkpoint, StoreError> {
        let mut rest = rows;
        loop {
            let slice = self.recorded.take(to).await?;
            let (now, later) = match slice.to {
                Some(bound) => rest.split_at(rest.partition_point(|row| row.id <= bound)),
                None => (rest, &[][..]),
            };
            let changes: Vec<Change> = diff(slice.rows, now.iter().copied()).collect();
            self.count(&mut checkpoint, now, &changes);
            checkpoint.compared_through = Some(slice.to.unwrap_or(ObjectId::MAX));
            rest = later;
            if slice.is_last {
                self.send(changes, Some(checkpoint.clone())).await;
                return Ok(checkpoint);
            }
            self.send(changes, None).await;
        }
    }

    /// Sends the checkpoint after a page that has no row to compare yet.
    pub(super) async fn without_rows(&self, checkpoint: Checkpoint) -> Checkpoint {
        self.send(Vec::new(), Some(checkpoint.clone())).await;
        checkpoint
    }

    async fn send(&self, changes: Vec<Change>, checkpoint: Option<Checkpoint>) {
        // If the receiver is gone, an earlier commit failed and the walk is already ending.
        let _ = self.to_commit.send(Compared { changes, checkpoint }).await;
    }

    fn count(&self, checkpoint: &mut Checkpoint, observed: &[Observation], changes: &[Change]) {
        for row in observed {
            checkpoint.counts.observe(row.data);
            checkpoint.digest.add(row);
        }
        if self.baseline {
            // Everything that it changes is what it saw.
            checkpoint.change_digest = checkpoint.digest;
            return;
        }
        for change in changes {
            checkpoint.counts.change(change.old, change.new);
            checkpoint.change_digest.apply(change);
        }
    }
}
