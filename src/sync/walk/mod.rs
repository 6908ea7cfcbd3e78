//! One walk over a namespace's pages, from its checkpoint to the end: fetch, check, diff, commit.

mod check_page;
mod diff;
mod diff_range;
mod error;
mod growth;
mod ordering;
mod pipeline;
mod recorded_rows;
mod unordered;

use std::sync::Arc;

use tracing::{info, warn};

use crate::cloudflare;
use crate::model::{ObjectId, Page};
use crate::store::{Checkpoint, Lease, Walk};
use crate::units::Cursors;

use self::check_page::CheckedPage;
use self::diff_range::RangeDiff;
pub(super) use self::error::WalkError;
use self::growth::GrowthWatch;
use super::pages::{FetchError, PageSize, PageSource, Pages, Position, first_limit};
use super::progress::WalkProgress;

/// What one walk needs besides its record.
#[derive(Clone)]
pub(super) struct Walker {
    pub(super) source: PageSource,
    pub(super) cursors: Cursors,
    pub(super) progress: Arc<WalkProgress>,
}

/// Reads pages from a checkpoint to the end. What it has compared is ahead of what is committed.
struct PageReader {
    walker: Walker,
    lease: Lease,
    /// The namespace has no published snapshot to compare with.
    baseline: bool,
    base_objects: Option<u64>,
    /// The API once misread a made-up cursor of this namespace.
    one_cursor: bool,
    /// The size of the first page.
    size: PageSize,
}

/// The destination of a page's rows.
enum Destination<'a> {
    /// To the comparison. Their changes are committed by [`pipeline`] meanwhile.
    Diff(Box<RangeDiff>),
    /// To the spool, because the API lists ids without order. Each page is committed before the next one is checked.
    Spool(&'a mut Walk),
}

impl Walker {
    /// Walks until everything is read, compared and staged.
    pub(super) async fn walk(&self, walk: &mut Walk) -> Result<(), WalkError> {
        let all_pages_read = walk.checkpoint().all_pages_read;
        if walk.checkpoint().spooled_rows.is_none() {
            return match all_pages_read {
                true => Ok(()),
                false => self.diff_pages(walk).await,
            };
        }
        if !all_pages_read {
            let checkpoint = walk.checkpoint().clone();
            let reader = self.reader(walk);
            reader.read(checkpoint, Destination::Spool(walk)).await?;
        }
        self.diff_spool(walk).await
    }

    /// Compares each page while the one before it is committed.
    async fn diff_pages(&self, walk: &mut Walk) -> Result<(), WalkError> {
        let checkpoint = walk.checkpoint().clone();
        let reader = self.reader(walk);
        let (diff, compared) = pipeline::start(walk);
        let reading = async move { reader.read(checkpoint, Destination::Diff(Box::new(diff))).await };
        pipeline::commit_while(reading, walk, compared, &self.progress).await
    }

    fn reader(&self, walk: &Walk) -> PageReader {
        let checkpoint = walk.checkpoint();
        let last = checkpoint.pending_row.map(|row| row.id);
        let largest = self.source.limit;
        let limit = first_limit(largest, walk.remembered_limit(), &checkpoint.pagination, last.as_ref());
        if limit < largest {
            let namespace = &self.source.namespace;
            info!(%namespace, name = self.progress.name(), limit, "requesting smaller pages, on one cursor, as before in this namespace");
        }
        PageReader {
            walker: self.clone(),
            size: PageSize::new(limit, largest),
            lease: walk.lease().clone(),
            baseline: walk.base().is_none(),
            base_objects: walk.base().map(|base| base.objects),
            one_cursor: walk.needs_one_cursor(),
        }
    }
}

impl PageReader {
    /// Reads from `checkpoint` to the end. The next page is fetched while this one is compared.
    async fn read(&self, mut checkpoint: Checkpoint, mut destination: Destination<'_>) -> Result<(), WalkError> {
        let full_size = self.size.limit == self.walker.source.limit;
        let several = checkpoint.spooled_rows.is_none() && !self.one_cursor && full_size;
        let mut pages = Pages::new(self.walker.source.clone(), self.walker.cursors, self.size, several);
        let mut resumed = checkpoint.pagination.cursor.is_some();
        let mut fetched = self.fetch_next(&mut pages, &checkpoint, None).await;
        let mut growth = GrowthWatch::new(self.base_objects);
        loop {
            let page = fetched?;
            let rows = checkpoint.rows_seen() + page.rows.len() as u64;
            growth.note(&self.walker.progress, rows, page.total_count);
            let page = self.check_page(page, &checkpoint, resumed).await?;
            resumed = false;
            let fetch_next = async {
                match page.is_last {
                    true => None,
                    false => Some(self.fetch_next(&mut pages, &page.checkpoint, Some(&page)).await),
                }
            };
            let (taken, next) = tokio::join!(self.take(&page, &mut destination), fetch_next);
            checkpoint = taken?;
            match next {
                Some(page) => fetched = page,
                None => return Ok(()),
            }
        }
    }

    /// Sends a page's rows to their destination. Returns the checkpoint after it.
    async fn take(&self, page: &CheckedPage, destination: &mut Destination<'_>) -> Result<Checkpoint, WalkError> {
        match destination {
            Destination::Diff(diff) => ordering::diff_page(diff, page).await,
            Destination::Spool(walk) => {
                unordered::spool_page(walk, page).await?;
                self.walker.progress.reached(walk);
                Ok(walk.checkpoint().clone())
            }
        }
    }

    /// Fetches the page after `page`, or the one at the checkpoint.
    async fn fetch_next(
        &self,
        pages: &mut Pages,
        checkpoint: &Checkpoint,
        page: Option<&CheckedPage>,
    ) -> Result<Page, WalkError> {
        let position = page.and_then(|page| {
            let last = page.rows.last()?;
            Some(Position {
                rows: checkpoint.rows_seen() + page.rows.len() as u64,
                last: last.id,
            })
        });
        let fetched = match pages.next(&checkpoint.pagination, position).await {
            Err(FetchError::CursorRefused(refusal)) => {
                let last = position.map(|position| position.last);
                let last = last.or(checkpoint.pending_row.map(|row| row.id));
                self.after_expired(pages, checkpoint, last, refusal).await
            }
            fetched => fetched,
        };
        if let Some(limit) = pages.take_size_to_remember() {
            self.lease.remember_limit(limit).await?;
        }
        if let Some(fallback) = pages.take_fallback() {
            let namespace = &self.walker.source.namespace;
            warn!(%namespace, name = self.walker.progress.name(), "continuing with one cursor: {}", fallback.why);
            if fallback.for_good {
                self.lease.remember_one_cursor().await?;
            }
        }
        fetched.map_err(|error| WalkError::not_fetched(error, checkpoint.pages + 1))
    }

    /// Continues after `last` where the cursor after it has expired, if the API shows that it can. Never without order,
    /// and never for a namespace whose made-up cursors were misread before.
    async fn after_expired(
        &self,
        pages: &mut Pages,
        checkpoint: &Checkpoint,
        last: Option<ObjectId>,
        refusal: cloudflare::Error,
    ) -> Result<Page, FetchError> {
        let last = last.filter(|_| checkpoint.spooled_rows.is_none() && !self.one_cursor);
        let Some(last) = last else {
            return Err(FetchError::CursorRefused(refusal));
        };
        match pages.after_expired(&last).await? {
            Some(page) => {
                let (namespace, page_number) = (&self.walker.source.namespace, checkpoint.pages + 1);
                info!(%namespace, name = self.walker.progress.name(), page = page_number, "the cursor was refused: continuing after the last id");
                let requests = page.requests + refusal.requests();
                Ok(Page { requests, ..page })
            }
            None => Err(FetchError::CursorRefused(refusal)),
        }
    }
}
