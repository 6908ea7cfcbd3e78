//! One walk over a namespace's pages, from its checkpoint to a proven end.

mod arrival;

use std::sync::Arc;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::warn;

use crate::cloudflare::{self, CycleSearch, Pagination};
use crate::model::{Change, Cursor, Observation, Page};
use crate::store::{Checkpoint, Fence, PageTransaction, Store, StoreError, Walk};
use crate::units::Cursors;

use self::arrival::Arrived;
use super::feed::{self, Compared, OutOfOrder, ascending, compare_range, hand_on, without_duplicates};
use super::pages::{FetchError, Pages, Reached, Source};
use super::progress::WalkProgress;
use super::stop::StopReason;
use super::stored::{CHUNK, StoredRows};
use super::task::Task;

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
#[derive(Clone)]
pub(super) struct Walker {
    pub(super) source: Source,
    pub(super) cursors: Cursors,
    pub(super) store: Store,
    pub(super) fence: Fence,
    pub(super) progress: Arc<WalkProgress>,
}

/// Where a page's rows go.
enum Rows {
    /// Ids without order are sorted by the database first.
    Spool,
    Comparison(Box<StoredRows>, Sender<Compared>),
}

/// Pages, or parts of one, that are compared and wait to be committed. With one more on each side of the queue memory stays
/// bounded, however much of the record a page removes, and little is walked again after a crash.
const COMPARED_AHEAD: usize = 1;

impl Walker {
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

    async fn walk_pages(&self, walk: &mut Walk) -> Result<(), WalkError> {
        if walk.checkpoint.spooled.is_some() {
            return self.read_pages(walk, Rows::Spool).await;
        }
        let (to_commit, compared) = mpsc::channel(COMPARED_AHEAD);
        let (reader, mut ahead) = (self.clone(), walk.clone());
        let rows = Rows::Comparison(Box::new(self.stored(walk)), to_commit);
        let reading = async move { reader.read_pages(&mut ahead, rows).await };
        self.commit_while(reading, walk, compared).await
    }

    /// The sorted spool takes the place of the pages.
    async fn feed_spool(&self, walk: &mut Walk) -> Result<(), WalkError> {
        let (to_commit, compared) = mpsc::channel(COMPARED_AHEAD);
        let (reader, ahead, stored) = (self.clone(), walk.clone(), self.stored(walk));
        let reading = async move { reader.read_spool(ahead, stored, to_commit).await };
        self.commit_while(reading, walk, compared).await
    }

    /// What the walk is compared with, from its checkpoint on.
    fn stored(&self, walk: &Walk) -> StoredRows {
        match walk.base {
            Some(_) => StoredRows::read(&self.store, self.fence, walk.checkpoint.compared_to),
            None => StoredRows::none(&self.store, self.fence),
        }
    }

    /// While a page is committed, the next one is compared on another core, and the one after that is on its way. What was
    /// compared is committed before the walk ends because no more can be read.
    async fn commit_while(
        &self,
        reading: impl Future<Output = Result<(), WalkError>> + Send + 'static,
        walk: &mut Walk,
        compared: Receiver<Compared>,
    ) -> Result<(), WalkError> {
        let mut reading = Task::start(reading);
        self.commit_pages(walk, compared).await?;
        reading.result().await
    }

    /// Until nothing more comes. A page whose checkpoint does not come is not committed.
    async fn commit_pages(&self, walk: &mut Walk, mut compared: Receiver<Compared>) -> Result<(), StoreError> {
        let mut page = None;
        while let Some(Compared { changes, checkpoint }) = compared.recv().await {
            let mut transaction = match page.take() {
                Some(transaction) => transaction,
                None => self.store.begin_page(self.fence, walk).await?,
            };
            transaction.stage(&changes).await?;
            match checkpoint {
                Some(checkpoint) => {
                    transaction.commit(&checkpoint).await?;
                    self.committed(walk, checkpoint);
                }
                None => page = Some(transaction),
            }
        }
        Ok(())
    }

    fn committed(&self, walk: &mut Walk, checkpoint: Checkpoint) {
        walk.checkpoint = checkpoint;
        let Checkpoint {
            spooled,
            counts,
            carried,
            compared_to,
            pages,
            ..
        } = &walk.checkpoint;
        let last = carried.as_ref().map(|row| &row.id).or(compared_to.as_ref());
        self.progress.reached(*pages, spooled.unwrap_or(counts.objects()), last);
    }

    /// From the checkpoint in `walk` to a proven end. What is compared is ahead of what is committed.
    async fn read_pages(&self, walk: &mut Walk, mut rows: Rows) -> Result<(), WalkError> {
        let mut resumed = walk.checkpoint.cursor.is_some();
        let mut pagination = pagination_of(&walk.checkpoint);
        let several = walk.checkpoint.spooled.is_none() && !walk.one_cursor;
        let mut pages = Pages::new(self.source.clone(), self.cursors, several);
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
            let (taken, more) = tokio::join!(self.take(walk, &mut rows, next.clone(), &arrived), more);
            taken?;
            match more {
                Some(page) => fetched = page,
                None => return Ok(()),
            }
        }
    }

    /// Takes a page's rows where they belong, and the checkpoint in `walk` on to them.
    async fn take(
        &self,
        walk: &mut Walk,
        rows: &mut Rows,
        mut next: Checkpoint,
        arrived: &Arrived,
    ) -> Result<(), WalkError> {
        next.walked = arrived.end;
        match rows {
            Rows::Spool => {
                let mut transaction = self.store.begin_page(self.fence, walk).await?;
                spool_page(&mut transaction, &mut next, arrived).await?;
                transaction.commit(&next).await?;
                self.committed(walk, next);
            }
            Rows::Comparison(stored, to_commit) => {
                let changes = compare_page(to_commit, stored, &mut next, arrived, walk.base.is_none()).await?;
                walk.checkpoint = next.clone();
                hand_on(to_commit, changes, Some(next)).await;
            }
        }
        Ok(())
    }

    async fn read_spool(
        &self,
        walk: Walk,
        mut stored: StoredRows,
        to_commit: Sender<Compared>,
    ) -> Result<(), WalkError> {
        let mut next = walk.checkpoint;
        loop {
            if let Some(reason) = self.source.stop.reason() {
                return Err(WalkError::Stopped(reason));
            }
            let after = next.compared_to.as_ref();
            let rows = self.store.spooled_rows(walk.snapshot_id, after, CHUNK).await?;
            let last = rows.len() < CHUNK;
            let to = if last { None } else { rows.last().map(|row| row.id) };
            let changes = compare_range(&to_commit, &mut stored, &mut next, &rows, to, walk.base.is_none()).await?;
            hand_on(&to_commit, changes, Some(next.clone())).await;
            if last {
                return Ok(());
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

async fn compare_page(
    to_commit: &Sender<Compared>,
    stored: &mut StoredRows,
    next: &mut Checkpoint,
    arrived: &Arrived,
    baseline: bool,
) -> Result<Vec<Change>, WalkError> {
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
        return Ok(compare_range(to_commit, stored, next, &rows, None, baseline).await?);
    }
    next.carried = rows.pop();
    match next.carried.and_then(|row| row.id.predecessor()) {
        Some(to) => Ok(compare_range(to_commit, stored, next, &rows, Some(to), baseline).await?),
        None => Ok(Vec::new()), // nothing lies below the smallest id
    }
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
