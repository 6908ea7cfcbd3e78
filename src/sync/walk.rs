//! One walk over a namespace's pages, from its checkpoint to a proven end. While a page is compared and committed, the
//! next one is fetched.

use std::sync::Arc;

use tracing::{info, warn};

use crate::cloudflare::{self, CycleSearch, Pagination, PaginationError, Step};
use crate::model::{Cursor, Next, ObjectId, Observation, Page};
use crate::store::{Checkpoint, Fence, PageTransaction, Store, StoreError, Walk};
use crate::units::Cursors;

use super::feed::{self, OutOfOrder, ascending, compare_range, without_duplicates};
use super::pages::{FetchError, Pages, Reached, Source};
use super::progress::WalkProgress;
use super::stop::StopReason;
use super::stored::{CHUNK, StoredRows};

/// Why a walk did not come to a proven end. None of these publishes or removes anything (promise 2).
#[derive(Debug, thiserror::Error)]
pub(super) enum WalkError {
    #[error("{0}")]
    Stopped(StopReason),
    #[error("page {page}: {source}")]
    Api { page: u64, source: cloudflare::Error },
    #[error("page {page}: {what}")]
    Wrong { page: u64, what: String },
    /// The walk starts over, spooled.
    #[error("page {page}: the API's ids do not ascend")]
    OutOfOrder { page: u64 },
    /// The walk starts over.
    #[error("page {page}: the API does not go on from the checkpoint: {what}")]
    CursorRefused { page: u64, what: String },
    /// The walk starts over.
    #[error("a crash of the database emptied the walk's spool")]
    SpoolLost,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What one walk needs.
pub(super) struct Walker<'a> {
    pub(super) source: Source,
    pub(super) cursors: Cursors,
    pub(super) store: &'a Store,
    pub(super) fence: Fence,
    pub(super) progress: &'a Arc<WalkProgress>,
}

/// A page, and what it means for the walk.
struct Arrived {
    rows: Vec<Observation>,
    end: bool,
    /// Rows that came when the API was asked after a full last page without a cursor key: none of them may be new.
    after_the_end: Vec<Observation>,
    /// The first page after a resume.
    resumed: bool,
}

impl Walker<'_> {
    /// Walks on until everything is staged. The checkpoint in `walk` is always the committed one.
    pub(super) async fn walk(&self, walk: &mut Walk) -> Result<(), WalkError> {
        if !walk.checkpoint.walked {
            self.walk_pages(walk).await?;
        }
        if let Some(spooled) = walk.checkpoint.spooled {
            self.feed_spool(walk).await?;
            // The spool is not logged: rows that a crash took away would look like removals.
            if spooled != walk.checkpoint.counts.objects() {
                return Err(WalkError::SpoolLost);
            }
        }
        Ok(())
    }

    /// What the walk is compared with, from its checkpoint on.
    fn stored(&self, walk: &Walk) -> StoredRows {
        match walk.base {
            Some(_) => StoredRows::read(self.store, self.fence, walk.checkpoint.compared_to),
            None => StoredRows::none(self.store, self.fence),
        }
    }

    async fn walk_pages(&self, walk: &mut Walk) -> Result<(), WalkError> {
        let mut resumed = walk.checkpoint.cursor.is_some();
        let mut pagination = pagination_of(&walk.checkpoint);
        let several = walk.checkpoint.spooled.is_none() && !walk.one_cursor;
        let mut pages = Pages::new(self.source.clone(), self.cursors, several);
        let mut stored = self.stored(walk);
        let mut fetched = self.following(&mut pages, &pagination, &walk.checkpoint, &[]).await;
        loop {
            let mut next = walk.checkpoint.clone();
            next.pages += 1;
            let arrived = self.arrive(fetched?, &mut pagination, &mut next, walk, resumed).await?;
            resumed = false;
            remember(&pagination, &mut next);
            let more = async {
                if arrived.end {
                    None
                } else {
                    Some(self.following(&mut pages, &pagination, &next, &arrived.rows).await)
                }
            };
            let (written, more) = tokio::join!(self.write(walk, &mut stored, next.clone(), &arrived), more);
            walk.checkpoint = written?;
            self.progress.reached(
                walk.checkpoint.pages,
                walk.checkpoint.spooled.unwrap_or(walk.checkpoint.counts.objects()),
                walk.checkpoint
                    .carried
                    .as_ref()
                    .map(|row| &row.id)
                    .or(walk.checkpoint.compared_to.as_ref()),
            );
            match more {
                Some(page) => fetched = page,
                None => return Ok(()),
            }
        }
    }

    /// The page after `rows`, which came after what `checkpoint` has seen.
    async fn following(
        &self,
        pages: &mut Pages,
        pagination: &Pagination,
        checkpoint: &Checkpoint,
        rows: &[Observation],
    ) -> Result<Page, WalkError> {
        let reached = rows.last().map(|last| Reached {
            rows: rows_so_far(checkpoint) + rows.len() as u64,
            last: last.id,
        });
        let fetched = pages.next(pagination, reached).await;
        if let Some(dropped) = pages.take_dropped() {
            warn!(namespace = %self.source.namespace, "going on with one cursor: {}", dropped.why);
            if dropped.for_good {
                self.store.remember_one_cursor(self.fence).await?;
            }
        }
        fetched.map_err(|error| not_fetched(error, checkpoint.pages + 1))
    }

    /// The same page once more, or one that the walk does not go on from.
    async fn fetch(&self, pagination: &Pagination, page: u64) -> Result<Page, WalkError> {
        let fetched = self.source.page(pagination.cursor.as_ref()).await;
        fetched.map_err(|error| not_fetched(error, page))
    }

    /// Decides what a page means. An end is believed when it is proven, and an empty one that would remove objects
    /// only when it came twice.
    async fn arrive(
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

    /// Stages and commits a page; returns what is now the checkpoint.
    async fn write(
        &self,
        walk: &Walk,
        stored: &mut StoredRows,
        mut next: Checkpoint,
        arrived: &Arrived,
    ) -> Result<Checkpoint, WalkError> {
        next.walked = arrived.end;
        let mut transaction = self.store.begin_page(self.fence, walk).await?;
        if next.spooled.is_some() {
            spool_page(&mut transaction, &mut next, arrived).await?;
        } else {
            compare_page(&mut transaction, stored, &mut next, arrived, walk.base.is_none()).await?;
        }
        transaction.commit(&next).await?;
        Ok(next)
    }

    /// The sorted spool takes the place of the pages.
    async fn feed_spool(&self, walk: &mut Walk) -> Result<(), WalkError> {
        let mut stored = self.stored(walk);
        loop {
            if let Some(reason) = self.source.stop.reason() {
                return Err(WalkError::Stopped(reason));
            }
            let mut next = walk.checkpoint.clone();
            let mut transaction = self.store.begin_page(self.fence, walk).await?;
            let rows = transaction.spooled(next.compared_to.as_ref(), CHUNK).await?;
            let last = rows.len() < CHUNK;
            let to = if last { None } else { rows.last().map(|row| row.id) };
            compare_range(&mut transaction, &mut stored, &mut next, &rows, to, walk.base.is_none()).await?;
            transaction.commit(&next).await?;
            walk.checkpoint = next;
            if last {
                return Ok(());
            }
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

fn not_fetched(error: FetchError, page: u64) -> WalkError {
    match error {
        FetchError::Stopped(reason) => WalkError::Stopped(reason),
        FetchError::CursorRefused(source) => WalkError::CursorRefused {
            page,
            what: source.to_string(),
        },
        FetchError::Api(source) => WalkError::Api { page, source },
        FetchError::Contradiction(what) => WalkError::Wrong { page, what },
    }
}

fn is_empty_end(page: &Page) -> bool {
    page.rows.is_empty() && !matches!(page.next, Next::Cursor(_))
}

fn rows_so_far(checkpoint: &Checkpoint) -> u64 {
    match checkpoint.spooled {
        Some(rows) => rows,
        None => checkpoint.counts.objects() + u64::from(checkpoint.carried.is_some()),
    }
}

fn pagination_of(checkpoint: &Checkpoint) -> Pagination {
    let cursor = |text: &Option<String>| text.as_ref().and_then(Cursor::new);
    Pagination {
        cursor: cursor(&checkpoint.cursor),
        empty_pages: checkpoint.empty_pages,
        cycle: CycleSearch {
            anchor: cursor(&checkpoint.anchor_cursor),
            steps: checkpoint.anchor_steps,
            limit: checkpoint.anchor_limit,
        },
    }
}

fn remember(pagination: &Pagination, checkpoint: &mut Checkpoint) {
    let text = |cursor: &Option<Cursor>| cursor.as_ref().map(|cursor| cursor.as_str().to_owned());
    checkpoint.cursor = text(&pagination.cursor);
    checkpoint.empty_pages = pagination.empty_pages;
    checkpoint.anchor_cursor = text(&pagination.cycle.anchor);
    checkpoint.anchor_steps = pagination.cycle.steps;
    checkpoint.anchor_limit = pagination.cycle.limit;
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

async fn compare_page(
    transaction: &mut PageTransaction,
    stored: &mut StoredRows,
    next: &mut Checkpoint,
    arrived: &Arrived,
    baseline: bool,
) -> Result<(), WalkError> {
    let page = next.pages;
    let before = next.carried.take();
    let mut rows =
        ascending(before, arrived.rows.iter().copied()).map_err(|OutOfOrder| WalkError::OutOfOrder { page })?;
    let last = rows.last().copied();
    let brought_nothing = !arrived.rows.is_empty() && last.map(|row| row.id) == before.map(|row| row.id);
    if brought_nothing && !(arrived.end && arrived.rows.len() == 1) {
        return Err(not_advancing(page));
    }
    if arrived
        .after_the_end
        .iter()
        .any(|row| last.is_none_or(|last| row.id > last.id))
    {
        return Err(misplaced_cursor(page));
    }
    if arrived.end {
        return Ok(compare_range(transaction, stored, next, &rows, None, baseline).await?);
    }
    next.carried = rows.pop();
    // Nothing lies below the smallest id.
    if let Some(to) = next.carried.and_then(|row| row.id.predecessor()) {
        compare_range(transaction, stored, next, &rows, Some(to), baseline).await?;
    }
    Ok(())
}

async fn spool_page(
    transaction: &mut PageTransaction,
    next: &mut Checkpoint,
    arrived: &Arrived,
) -> Result<(), WalkError> {
    let page = next.pages;
    let rows = without_duplicates(arrived.rows.clone());
    let fresh = transaction.spool(&rows).await?;
    if fresh == 0 && !rows.is_empty() && !(arrived.end && rows.len() == 1) {
        return Err(match arrived.resumed {
            true => WalkError::CursorRefused {
                page,
                what: "it sends what was there before it".to_owned(),
            },
            false => not_advancing(page),
        });
    }
    let after = without_duplicates(arrived.after_the_end.clone());
    if transaction.spool(&after).await? > 0 {
        return Err(misplaced_cursor(page));
    }
    next.spooled = next.spooled.map(|spooled| spooled + fresh);
    Ok(())
}

fn not_advancing(page: u64) -> WalkError {
    WalkError::Wrong {
        page,
        what: "it lists only objects that were listed before: the walk does not advance".to_owned(),
    }
}

fn misplaced_cursor(page: u64) -> WalkError {
    let what = "the cursor is not where it was expected: the page has none, yet more objects follow it".to_owned();
    WalkError::Wrong { page, what }
}

/// Only what `walk` has committed counts: whether it is all.
pub(super) fn is_whole(walk: &Walk) -> bool {
    walk.checkpoint.walked && walk.checkpoint.compared_to == Some(feed::LAST_ID)
}
