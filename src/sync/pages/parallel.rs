//! Several cursors at once, each in its own range of ids, with their pages in the order of one walk.
//!
//! The API has no ranges. A range begins at a made-up cursor, and what the API makes of it is not documented, so
//! nothing is believed that was not read twice. The reader of a range continues past the end of the range, on cursors
//! that the API gave out, until it has read a page's worth of the next range. The walk crosses the boundary only if
//! both readings list the same ids. If they differ, both are read once more, because objects come and go. If they still
//! differ, the walk continues on one cursor, with what the API's own cursors lead to. Nothing past a boundary is
//! compared before the boundary is proven.

use std::collections::VecDeque;

use crate::model::{Cursor, Next, ObjectId, Page};

use super::boundary::{MOST_PAGES, PastBoundary};
use super::fetch::{FetchError, FetchedPage, PageSource};
use super::partition::Partition;
use super::range::Range;

/// The ranges, and the pages of them that are ready.
pub struct ParallelPages {
    source: PageSource,
    plan: Partition,
    /// Rows in a full page.
    page_rows: usize,
    /// In the order of ids. Pages are handed out from the first one.
    ranges: VecDeque<Range>,
    /// Ranges begun so far.
    begun: u64,
    /// Checked pages, to be handed out next.
    ready: VecDeque<Page>,
    /// Requests for pages that are not handed out.
    spent: u32,
    /// Taken once, to be reported.
    pub fallback: Option<Fallback>,
}

/// Why the walk falls back to one cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    pub why: String,
    /// The API misreads made-up cursors, so several cursors are not tried again.
    pub for_good: bool,
}

impl ParallelPages {
    /// Continues the walk: `cursor` is the one that the API gave out with the page that ended at `last`.
    pub fn new(source: PageSource, plan: Partition, page_rows: usize, cursor: Cursor, last: &ObjectId) -> Self {
        let mut ahead = Self {
            source,
            plan,
            page_rows,
            ranges: VecDeque::new(),
            begun: 0,
            ready: VecDeque::new(),
            spent: 0,
            fallback: None,
        };
        ahead.begin(cursor, last);
        ahead
    }

    /// The next page of the walk; `None` if it continues on one cursor, from its last page.
    pub async fn next(&mut self) -> Result<Option<Page>, FetchError> {
        loop {
            if let Some(page) = self.ready.pop_front() {
                return Ok(Some(self.charged(page)));
            }
            self.fill();
            let Some(front) = self.ranges.front_mut() else {
                return Ok(None);
            };
            let upper = front.upper;
            let Some(served) = front.receive().await? else {
                return Ok(None);
            };
            match upper {
                Some(upper) if served.next().is_none() || served.ids().any(|id| id > upper) => {
                    self.cross(served, upper).await?;
                }
                _ => return Ok(Some(self.charged(served.page))),
            }
        }
    }

    /// The page, charged with the requests for pages that are not handed out.
    fn charged(&mut self, page: Page) -> Page {
        let requests = page.requests + std::mem::take(&mut self.spent);
        Page { requests, ..page }
    }

    fn fill(&mut self) {
        while self.ranges.len() < usize::from(self.plan.cursors) {
            let Some(lower) = self.ranges.back().and_then(|range| range.upper) else {
                return;
            };
            self.begin(Cursor::after(&lower), &lower);
        }
    }

    fn begin(&mut self, cursor: Cursor, lower: &ObjectId) {
        let upper = self.plan.upper(self.begun, lower);
        self.begun += 1;
        let range = self.range(Some(cursor), upper, Vec::new());
        self.ranges.push_back(range);
    }

    fn range(&self, cursor: Option<Cursor>, upper: Option<ObjectId>, head: Vec<FetchedPage>) -> Range {
        // If the ids are not spread as expected, the reader waits for the walk.
        let room = self.plan.range_pages as usize + MOST_PAGES;
        Range::read(self.source.clone(), cursor, upper, head, self.page_rows, room)
    }

    /// Crosses from one range to the next if the boundary is proven. Otherwise the pages that the API's own cursors led
    /// to are ready, and no more ranges are read.
    async fn cross(&mut self, crossing: FetchedPage, boundary: ObjectId) -> Result<(), FetchError> {
        let page_rows = self.page_rows;
        let [front, next, ..] = self.ranges.make_contiguous() else {
            let why = "there is no range beyond a seam".to_owned();
            self.fall_back(vec![crossing], Fallback { why, for_good: false });
            return Ok(());
        };
        let chain = front.chain(crossing, &boundary, page_rows).await?;
        let beyond = PastBoundary::of(&chain, Some(&boundary));
        match next.look_ahead(page_rows).await {
            Ok(head) if beyond.agrees_with(&head, page_rows) => {
                self.leave_first(chain, boundary, beyond.is_all_of(&head));
                Ok(())
            }
            Ok(_) => self.cross_again(chain, boundary).await,
            Err(FetchError::Stopped(reason)) => Err(FetchError::Stopped(reason)),
            Err(error) => {
                let for_good = matches!(error, FetchError::CursorRefused(_));
                let why = format!("a range could not be started: {error}");
                self.fall_back(chain, Fallback { why, for_good });
                Ok(())
            }
        }
    }

    /// Reads both sides of a boundary once more: objects come and go.
    async fn cross_again(&mut self, chain: Vec<FetchedPage>, boundary: ObjectId) -> Result<(), FetchError> {
        let first = chain.first().and_then(|served| served.cursor.clone());
        let read = tokio::try_join!(
            self.read_on(first, Some(&boundary)),
            self.read_on(Some(Cursor::after(&boundary)), None)
        );
        let (again, head_pages) = match read {
            Ok(read) => read,
            Err(FetchError::Stopped(reason)) => return Err(FetchError::Stopped(reason)),
            Err(error) => {
                let why = format!("a boundary between ranges could not be read again: {error}");
                self.fall_back(chain, Fallback { why, for_good: false });
                return Ok(());
            }
        };
        self.spend(&chain);
        let (beyond, head) = (
            PastBoundary::of(&again, Some(&boundary)),
            PastBoundary::of(&head_pages, None),
        );
        if beyond.agrees_with(&head, self.page_rows) {
            // The pages that agreed count, so the next range continues after them.
            self.replace_next(head_pages);
            self.leave_first(again, boundary, beyond.is_all_of(&head));
            return Ok(());
        }
        self.spend(&head_pages);
        if beyond.ended && head.ids.len() > beyond.ids.len() {
            let what = "the API reported the end of the list, but lists more objects".to_owned();
            return Err(FetchError::Contradiction(what));
        }
        let why = "twice, the page after a constructed id differed from the page after the API's own cursor".to_owned();
        self.fall_back(again, Fallback { why, for_good: true });
        Ok(())
    }

    /// Reads pages from `cursor` on, until a page's worth lies above the boundary.
    async fn read_on(
        &self,
        mut cursor: Option<Cursor>,
        boundary: Option<&ObjectId>,
    ) -> Result<Vec<FetchedPage>, FetchError> {
        let mut pages = Vec::new();
        for _ in 0..MOST_PAGES {
            let served = self.source.served(cursor).await?;
            cursor = served.next().cloned();
            pages.push(served);
            if PastBoundary::of(&pages, boundary).is_enough(self.page_rows) {
                break;
            }
        }
        Ok(pages)
    }

    fn replace_next(&mut self, head: Vec<FetchedPage>) {
        let Some(old) = self.ranges.get_mut(1) else { return };
        let (upper, wasted) = (old.upper, old.take_head());
        self.spend(&wasted);
        let cursor = head.last().and_then(FetchedPage::next).cloned();
        self.ranges[1] = self.range(cursor, upper, head);
    }

    /// Leaves the first range. If both readings say that `chain` is all there is (`all`), the walk ends with it.
    fn leave_first(&mut self, chain: Vec<FetchedPage>, boundary: ObjectId, all: bool) {
        if all {
            self.ready.extend(chain.into_iter().map(|served| served.page));
            self.ranges.clear();
            return;
        }
        self.ranges.pop_front();
        for (number, served) in chain.into_iter().enumerate() {
            let mut page = served.page;
            // Only the first page has rows below the boundary.
            page.rows.retain(|row| number == 0 && row.id <= boundary);
            if page.rows.is_empty() {
                self.spent += page.requests;
                continue;
            }
            page.next = Next::Cursor(Cursor::after(&boundary));
            page.count = None; // it counts the rows that were cut off
            self.ready.push_back(page);
        }
    }

    fn fall_back(&mut self, chain: Vec<FetchedPage>, fallback: Fallback) {
        self.ready.extend(chain.into_iter().map(|served| served.page));
        self.ranges.clear();
        self.fallback = Some(fallback);
    }

    fn spend(&mut self, pages: &[FetchedPage]) {
        self.spent += pages.iter().map(|served| served.page.requests).sum::<u32>();
    }
}
