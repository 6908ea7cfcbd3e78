//! Pages whose ids do not ascend: they are spooled into a table, which the database sorts, and the sorted spool is then
//! compared as the pages would have been.

use super::check_page::CheckedPage;
use super::ordering::without_duplicates;
use super::recorded_rows::CHUNK;
use super::{WalkError, Walker, pipeline};
use crate::store::Walk;

/// Commits a page to the spool.
pub(super) async fn spool_page(walk: &mut Walk, page: &CheckedPage) -> Result<(), WalkError> {
    let number = page.checkpoint.pages;
    let mut writer = walk.begin_page().await?;
    let rows = without_duplicates(page.rows.clone());
    let fresh = writer.spool(&rows).await?;
    if fresh == 0 && !rows.is_empty() && !(page.is_last && rows.len() == 1) {
        // Pages of an earlier run may have been listed in another order. Then the walk can come to its end from the start.
        return Err(match walk.checkpoint().resumed > 0 {
            true => WalkError::CursorRefused {
                page: number,
                what: "it returns objects from before it".to_owned(),
            },
            false => WalkError::not_advancing(number),
        });
    }
    let past_end = without_duplicates(page.rows_past_end.clone());
    if writer.spool(&past_end).await? > 0 {
        return Err(WalkError::misplaced_cursor(number));
    }
    let mut checkpoint = page.checkpoint.clone();
    checkpoint.spooled_rows = checkpoint.spooled_rows.map(|spooled| spooled + fresh);
    Ok(walk.commit(writer, checkpoint).await?)
}

impl Walker {
    /// Compares the sorted spool with the record, from where an earlier attempt stopped.
    pub(super) async fn diff_spool(&self, walk: &mut Walk) -> Result<(), WalkError> {
        let (mut diff, compared) = pipeline::start(walk);
        let (stop, lease, snapshot_id) = (self.source.stop.clone(), walk.lease().clone(), walk.snapshot_id());
        let mut checkpoint = walk.checkpoint().clone();
        let reading = async move {
            loop {
                if let Some(reason) = stop.reason() {
                    return Err(WalkError::Stopped(reason));
                }
                let after = checkpoint.compared_through.as_ref();
                let rows = lease.spooled_rows(snapshot_id, after, CHUNK).await?;
                let is_last = rows.len() < CHUNK;
                let to = if is_last { None } else { rows.last().map(|row| row.id) };
                checkpoint = diff.diff(checkpoint, &rows, to).await?;
                if is_last {
                    return Ok(());
                }
            }
        };
        pipeline::commit_while(reading, walk, compared, &self.progress).await?;
        // The spool is not logged: a crash of the database empties it, and the missing rows would look like removals.
        match walk.checkpoint().spooled_rows == Some(walk.checkpoint().counts.objects()) {
            true => Ok(()),
            false => Err(WalkError::SpoolLost),
        }
    }
}
