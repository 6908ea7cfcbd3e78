//! What a page means for the walk: whether it follows the checkpoint, and whether an empty or full last page is
//! believed.

use tracing::{info, warn};

use super::{PageReader, WalkError};
use crate::model::{Cursor, Next, ObjectId, Observation, Page, SMALLEST_PAGE, Step};
use crate::store::Checkpoint;
use crate::sync::pages::PageSource;

/// A page that was checked against the checkpoint before it.
pub(super) struct CheckedPage {
    pub(super) rows: Vec<Observation>,
    /// The walk ends with this page.
    pub(super) is_last: bool,
    /// Rows that came when the API was asked what follows a full last page without a cursor key. None of them may be
    /// new.
    pub(super) rows_past_end: Vec<Observation>,
    /// The checkpoint after this page, as far as its request and its cursor decide it. The rows are not in it yet.
    pub(super) checkpoint: Checkpoint,
}

impl PageReader {
    /// Decides what a page means, by these rules:
    ///
    /// - an empty page that would end the walk and lose objects is requested once more;
    /// - the first page after a resume must list only ids above the checkpoint, else its cursor counts as refused;
    /// - a cursor that was there before, or too many empty pages in a row, contradict the walk;
    /// - the first page of another size than the one before it is checked like one after a resume;
    /// - a full last page without a cursor key is the end only if the API says that nothing follows its last id, or if
    ///   it serves the same rows as two pages, the first of them with a cursor.
    pub(super) async fn check_page(
        &self,
        mut page: Page,
        before: &Checkpoint,
        resumed: bool,
    ) -> Result<CheckedPage, WalkError> {
        let mut checkpoint = before.clone();
        checkpoint.pages += 1;
        checkpoint.requests += u64::from(page.requests);
        let (number, seen) = (checkpoint.pages, before.rows_seen());
        if is_empty_end(&page) && self.would_lose(before).await? {
            let namespace = &self.walker.source.namespace;
            info!(%namespace, name = self.walker.progress.name(), page = number, "an empty page would end the list: requesting it once more");
            page = self
                .fetch(before.pagination.cursor.as_ref(), page.limit, number)
                .await?;
            checkpoint.requests += u64::from(page.requests);
            if resumed && is_empty_end(&page) {
                let what = "it reports the end of the list, which would remove every object after it".to_owned();
                return Err(WalkError::CursorRefused { page: number, what });
            }
        }
        let is_resized = before.pagination.limit.is_some_and(|limit| limit != page.limit);
        if resumed || is_resized {
            follows_checkpoint(&page, before, number)?;
        }
        self.warn_of_counts(&page, seen, number);
        let step = checkpoint.pagination.advance(&page, seen).map_err(|error| {
            let what = error.to_string();
            // The order of ids does not show a spooled walk that it was sent back behind its checkpoint. A cursor
            // that repeats is the first sign of it.
            match resumed && before.spooled_rows.is_some() && !page.rows.is_empty() {
                true => WalkError::CursorRefused { page: number, what },
                false => WalkError::Contradiction { page: number, what },
            }
        })?;
        let rows_past_end = match step {
            Step::CheckAfter(last) => self.rows_after(last, &page, before, &mut checkpoint).await?,
            Step::Continue | Step::End => Vec::new(),
        };
        checkpoint.all_pages_read = step != Step::Continue;
        Ok(CheckedPage {
            rows: page.rows,
            is_last: checkpoint.all_pages_read,
            rows_past_end,
            checkpoint,
        })
    }

    /// Whether an empty end here, if it came by accident, would remove objects or leave them out of a baseline.
    async fn would_lose(&self, before: &Checkpoint) -> Result<bool, WalkError> {
        let spooled = before.spooled_rows.is_some_and(|rows| rows > 0);
        if self.baseline || spooled {
            return Ok(spooled || before.pending_row.is_some()); // without order, nothing is known of what is left
        }
        let after = before.pending_row.map(|row| row.id);
        Ok(self.lease.has_rows_above(after.as_ref()).await?)
    }

    /// The rows after a full page without a cursor key: the API may hand out the cursor under another name.
    async fn rows_after(
        &self,
        last: ObjectId,
        full: &Page,
        before: &Checkpoint,
        checkpoint: &mut Checkpoint,
    ) -> Result<Vec<Observation>, WalkError> {
        let number = checkpoint.pages;
        let namespace = &self.walker.source.namespace;
        info!(%namespace, name = self.walker.progress.name(), page = number, "a full page without a cursor: requesting what follows it");
        match self.fetch(Some(&Cursor::after(&last)), full.limit, number).await {
            Err(WalkError::CursorRefused { .. }) => checkpoint.requests += 1,
            fetched => {
                let page = fetched?;
                checkpoint.requests += u64::from(page.requests);
                if says_what_follows(&page, last) {
                    return Ok(page.rows);
                }
            }
        }
        match self.is_whole_in_two_pages(full, before, checkpoint).await? {
            true => Ok(Vec::new()),
            false => Err(WalkError::unproven_end(number, full.limit, checkpoint.resumed > 0)),
        }
    }

    /// Whether the API serves the rows of a full page without a cursor key as two pages: one row fewer with a cursor,
    /// and the one that is left without. It hands out cursors where rows follow, then, and hands none out at this end.
    async fn is_whole_in_two_pages(
        &self,
        full: &Page,
        before: &Checkpoint,
        checkpoint: &mut Checkpoint,
    ) -> Result<bool, WalkError> {
        let number = checkpoint.pages;
        let Some(limit) = u32::try_from(full.rows.len() - 1)
            .ok()
            .filter(|limit| *limit >= SMALLEST_PAGE)
        else {
            return Ok(false);
        };
        let mut cursor = before.pagination.cursor.clone();
        let mut served = Vec::with_capacity(full.rows.len());
        for expected in [full.rows.len() - 1, 1] {
            let page = match self.fetch(cursor.as_ref(), limit, number).await {
                Err(WalkError::CursorRefused { .. }) => return Ok(false),
                fetched => fetched?,
            };
            checkpoint.requests += u64::from(page.requests);
            let is_first = served.is_empty();
            let next = match page.next {
                Next::Cursor(next) => Some(next),
                Next::End | Next::NoCursorKey => None,
            };
            if page.rows.len() != expected || next.is_some() != is_first {
                return Ok(false);
            }
            served.extend(page.rows.into_iter().map(|row| row.id));
            cursor = next;
        }
        Ok(served.into_iter().eq(full.rows.iter().map(|row| row.id)))
    }

    /// Fetches one page outside of the walk's sequence.
    async fn fetch(&self, cursor: Option<&Cursor>, limit: u32, page: u64) -> Result<Page, WalkError> {
        let source = PageSource {
            limit,
            ..self.walker.source.clone()
        };
        let fetched = source.page(cursor).await;
        fetched.map_err(|error| WalkError::not_fetched(error, page))
    }

    fn warn_of_counts(&self, page: &Page, seen: u64, number: u64) {
        let rows = page.rows.len() as u64;
        if let Some(count) = page.count.filter(|count| *count != rows && *count != seen + rows) {
            warn!(
                namespace = %self.walker.source.namespace, name = self.walker.progress.name(), page = number, count, rows,
                so_far = seen + rows,
                "the page's count matches neither the page nor the running total"
            );
        }
    }
}

/// Whether the response answers "what comes after `last`?". A server that does not know such a cursor may start from
/// the front again, which proves nothing, and neither does an empty page in the middle.
fn says_what_follows(page: &Page, last: ObjectId) -> bool {
    let more = page.rows.iter().any(|row| row.id > last);
    let earlier = page.rows.iter().any(|row| row.id < last);
    more || !(earlier || matches!(page.next, Next::Cursor(_)))
}

fn is_empty_end(page: &Page) -> bool {
    page.rows.is_empty() && !matches!(page.next, Next::Cursor(_))
}

/// The first page after a resume must lie above the checkpoint. Otherwise the cursor no longer means what it meant.
fn follows_checkpoint(page: &Page, checkpoint: &Checkpoint, number: u64) -> Result<(), WalkError> {
    let Some(pending) = checkpoint.pending_row else {
        return Ok(());
    };
    let below = page.rows.iter().any(|row| row.id < pending.id);
    let nothing_new = !page.rows.is_empty() && page.rows.iter().all(|row| row.id == pending.id);
    if below || (nothing_new && matches!(page.next, Next::Cursor(_))) {
        let what = "it returns ids at or below it".to_owned();
        return Err(WalkError::CursorRefused { page: number, what });
    }
    Ok(())
}
