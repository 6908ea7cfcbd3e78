//! One page is committed while the next one is compared and the one after that is fetched. Only here do two checkpoints
//! exist side by side: the committed one in [`Walk`], and the one that the comparison has reached.

use tokio::sync::mpsc::{self, Receiver};

use super::WalkError;
use super::diff_range::{Compared, RangeDiff};
use super::recorded_rows::RecordedRows;
use crate::store::{StoreError, Walk};
use crate::sync::progress::WalkProgress;
use crate::sync::task::Task;

/// Pages, or parts of one, that are compared and wait for their commit. With one more on each side of the queue memory
/// stays bounded, however much of the record a page removes, and little has to be walked again after a crash.
const COMPARED_AHEAD: usize = 1;

/// The comparison from the walk's checkpoint on, and the queue that it sends to.
pub(super) fn start(walk: &Walk) -> (RangeDiff, Receiver<Compared>) {
    let (to_commit, compared) = mpsc::channel(COMPARED_AHEAD);
    let lease = walk.lease().clone();
    let recorded = match walk.base() {
        Some(_) => RecordedRows::after(lease, walk.checkpoint().compared_through),
        None => RecordedRows::none(lease),
    };
    let diff = RangeDiff {
        recorded,
        to_commit,
        baseline: walk.base().is_none(),
    };
    (diff, compared)
}

/// Commits what `reading` compares on another core. If reading fails, what was compared before is committed all the
/// same.
///
/// The commits stay on the walk's own future, though waking it costs 3% of a first sync: in a task of their own, a
/// caller that drops the walk would not know how far it was committed.
pub(super) async fn commit_while(
    reading: impl Future<Output = Result<(), WalkError>> + Send + 'static,
    walk: &mut Walk,
    compared: Receiver<Compared>,
    progress: &WalkProgress,
) -> Result<(), WalkError> {
    let mut reading = Task::start(reading);
    commit_pages(walk, compared, progress).await?;
    reading.result().await
}

/// Commits pages until no more come. A page whose checkpoint does not arrive is not committed.
async fn commit_pages(
    walk: &mut Walk,
    mut compared: Receiver<Compared>,
    progress: &WalkProgress,
) -> Result<(), StoreError> {
    let mut page = None;
    while let Some(Compared { changes, checkpoint }) = compared.recv().await {
        let mut writer = match page.take() {
            Some(writer) => writer,
            None => walk.begin_page().await?,
        };
        writer.stage(&changes).await?;
        match checkpoint {
            Some(checkpoint) => {
                walk.commit(writer, checkpoint).await?;
                progress.reached(walk);
            }
            None => page = Some(writer),
        }
    }
    Ok(())
}
