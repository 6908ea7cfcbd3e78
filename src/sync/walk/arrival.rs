//! What a page means for the walk: whether it goes on, and which end is believed.

use tracing::{info, warn};

use super::{WalkError, Walker, rows_so_far};
use crate::cloudflare::{Pagination, PaginationError, Step};
use crate::model::{Cursor, Next, ObjectId, Observation, Page};
use crate::store::{Checkpoint, Walk};

/// A page, and what it means for the walk.
pub(super) struct Arrived {
    pub(super) rows: Vec<Observation>,
    pub(super) end: bool,
    /// Rows that came when the API was asked after a full last page without a cursor key: none of them may be new.
    pub(super) after_the_end: Vec<Observation>,
    /// The first page after a resume.
    pub(super) resumed: bool,
}

impl Walker {
    /// Decides what a page means. An end is believed when it is proven, and an empty one that would remove objects
    /// only when it came twice.
    pub(super) async fn arrive(
        &self,
        mut page: Page,
        pagination: &mut Pagination,
        next: &mut Checkpoint,
        walk: &Walk,
        resumed: bool,
    ) -> Result<Arrived, WalkError> {
        let seen = rows_so_far(next);
        next.requests += u64::from(page.requests);
        if is_empty_end(&page) && self.would_lose(walk).await? {
            info!(namespace = %self.source.namespace, page = next.pages, "an empty page would end the walk: asked once more");
            page = self.fetch(pagination, next.pages).await?;
            next.requests += u64::from(page.requests);
            if resumed && is_empty_end(&page) {
                let what = "it says that nothing follows, which would lose everything above it".to_owned();
                return Err(WalkError::CursorRefused { page: next.pages, what });
            }
        }
        if resumed {
            follows_checkpoint(&page, next)?;
        }
        self.warn_of_counts(&page, seen, next.pages);
        let asked = pagination.clone();
        let step = pagination
            .advance(&page, self.source.limit, seen)
            .map_err(|what: PaginationError| {
                let (page, again) = (next.pages, resumed && next.spooled.is_some() && !page.rows.is_empty());
                let what = what.to_string();
                // Without order, what was sent before the checkpoint is first known by the cursor that leads to it.
                if again {
                    WalkError::CursorRefused { page, what }
                } else {
                    WalkError::Wrong { page, what }
                }
            })?;
        let after_the_end = match step {
            Step::AskAfter(last) => self.ask_after(last, &asked, next).await?,
            Step::GoOn | Step::End => Vec::new(),
        };
        Ok(Arrived {
            rows: page.rows,
            end: step != Step::GoOn,
            after_the_end,
            resumed,
        })
    }

    /// Whether an empty end here, if it came by accident, would remove objects or leave them out of a baseline.
    async fn would_lose(&self, walk: &Walk) -> Result<bool, WalkError> {
        let checkpoint = &walk.checkpoint;
        let has_rows = checkpoint.carried.is_some() || checkpoint.spooled.is_some_and(|rows| rows > 0);
        if walk.base.is_none() || checkpoint.spooled.is_some_and(|rows| rows > 0) {
            return Ok(has_rows); // without order, nothing can be said of what is left
        }
        let after = checkpoint.carried.map(|row| row.id);
        Ok(self.store.anything_above(self.fence, after.as_ref()).await?)
    }

    /// A full page without a cursor key: the cursor may stand where nobody looks for it.
    async fn ask_after(
        &self,
        last: ObjectId,
        asked: &Pagination,
        next: &mut Checkpoint,
    ) -> Result<Vec<Observation>, WalkError> {
        info!(namespace = %self.source.namespace, page = next.pages, "a full page without a cursor: asked what comes after it");
        let after = Pagination {
            cursor: Cursor::new(last.to_string()),
            ..asked.clone()
        };
        let page = match self.fetch(&after, next.pages).await {
            Err(WalkError::CursorRefused { .. }) => return Err(unproven_end(next.pages)),
            answer => answer?,
        };
        next.requests += u64::from(page.requests);
        if says_what_follows(&page, last) {
            Ok(page.rows)
        } else {
            Err(unproven_end(next.pages))
        }
    }

    fn warn_of_counts(&self, page: &Page, seen: u64, number: u64) {
        let rows = page.rows.len() as u64;
        if let Some(count) = page.count.filter(|count| *count != rows && *count != seen + rows) {
            warn!(
                namespace = %self.source.namespace, page = number, count, rows, so_far = seen + rows,
                "the page's count fits neither the page nor the running total"
            );
        }
    }
}

/// Whether the answer is one to "what comes after `last`?". A server that does not know such a cursor may start from the
/// front again, which proves nothing, and neither does an empty page in the middle.
fn says_what_follows(page: &Page, last: ObjectId) -> bool {
    let more = page.rows.iter().any(|row| row.id > last);
    let earlier = page.rows.iter().any(|row| row.id < last);
    more || !(earlier || matches!(page.next, Next::Cursor(_)))
}

fn unproven_end(page: u64) -> WalkError {
    let what =
        "it is full and has no cursor key, and the API does not say what comes after its last id: the end can't \
                be proven"
            .to_owned();
    WalkError::Wrong { page, what }
}

fn is_empty_end(page: &Page) -> bool {
    page.rows.is_empty() && !matches!(page.next, Next::Cursor(_))
}

/// The first page after a resume must lie above the checkpoint; else the cursor means something else by now.
fn follows_checkpoint(page: &Page, checkpoint: &Checkpoint) -> Result<(), WalkError> {
    let Some(carried) = checkpoint.carried else {
        return Ok(());
    };
    let below = page.rows.iter().any(|row| row.id < carried.id);
    let nothing_new = !page.rows.is_empty() && page.rows.iter().all(|row| row.id == carried.id);
    if below || (nothing_new && matches!(page.next, Next::Cursor(_))) {
        let what = "it sends ids at or below it".to_owned();
        return Err(WalkError::CursorRefused {
            page: checkpoint.pages,
            what,
        });
    }
    Ok(())
}
