//! Several cursors at once, each in a range of ids of its own, and their pages in the order of one walk.
//!
//! The API has no ranges: a range begins after an id that was made up, as if it were a cursor, and what the API makes
//! of that is not documented. So nothing is believed of it that was not read twice. The reader of a range goes on
//! beyond the range's end, on cursors that the API itself gave out, until it has read a page's worth of the next
//! range; only if both came by the same ids, the walk goes on in that range. If they did not, both are read once more,
//! as objects come and go. And if they still differ, the walk goes on with what the API's own cursors lead to, on one
//! cursor: nothing of the ranges after a seam has been compared before the seam is proven.

use std::collections::VecDeque;

use crate::model::{Cursor, Next, ObjectId, Page};

use super::boundary::{MOST_PAGES, PastBoundary};
use super::fetch::{FetchError, FetchedPage, PageSource};
use super::partition::Partition;
use super::range::Range;

/// The ranges, and what is ready of what was read in them.
pub struct ParallelPages {
    source: PageSource,
    plan: Partition,
    /// What the API puts on a page.
    page_rows: usize,
    /// In the order of ids. The first one's pages are handed out.
    ranges: VecDeque<Range>,
    /// Ranges begun so far.
    begun: u64,
    /// Decided upon, to be handed out next.
    ready: VecDeque<Page>,
    /// Requests for pages that are handed out to nobody.
    spent: u32,
    /// To be told once.
    pub fallback: Option<Fallback>,
}

/// Why ranges were given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    pub why: String,
    /// The API does not take made-up cursors for what they mean: not to be tried again.
    pub for_good: bool,
}

impl ParallelPages {
    /// Goes on where the walk is: `cursor` is the one that the API gave out with the page that ended at `last`.
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

    /// The next page of the walk; `None`: the ranges are given up, and it goes on by its last page's cursor.
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

    /// With the requests for what is handed out to nobody.
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
        // Where the ids are not spread as they were thought to be, its reader waits for the walk.
        let room = self.plan.range_pages as usize + MOST_PAGES;
        Range::read(self.source.clone(), cursor, upper, head, self.page_rows, room)
    }

    /// From one range to the next, if its seam is proven. Else what is ready then is what the API's own cursors lead
    /// to, and no more ranges are read.
    async fn cross(&mut self, crossing: FetchedPage, seam: ObjectId) -> Result<(), FetchError> {
        let page_rows = self.page_rows;
        let [front, next, ..] = self.ranges.make_contiguous() else {
            let why = "there is no range beyond a seam".to_owned();
            self.give_up(vec![crossing], Fallback { why, for_good: false });
            return Ok(());
        };
        let chain = front.chain(crossing, &seam, page_rows).await?;
        let beyond = PastBoundary::of(&chain, Some(&seam));
        match next.look_ahead(page_rows).await {
            Ok(head) if beyond.agrees_with(&head, page_rows) => {
                self.go_over(chain, seam, beyond.is_all_of(&head));
                Ok(())
            }
            Ok(_) => self.cross_again(chain, seam).await,
            Err(FetchError::Stopped(reason)) => Err(FetchError::Stopped(reason)),
            Err(error) => {
                let for_good = matches!(error, FetchError::CursorRefused(_));
                let why = format!("a range could not be begun: {error}");
                self.give_up(chain, Fallback { why, for_good });
                Ok(())
            }
        }
    }

    /// Both sides of a seam once more: objects come and go.
    async fn cross_again(&mut self, chain: Vec<FetchedPage>, seam: ObjectId) -> Result<(), FetchError> {
        let first = chain.first().and_then(|served| served.cursor.clone());
        let read = tokio::try_join!(
            self.read_on(first, Some(&seam)),
            self.read_on(Some(Cursor::after(&seam)), None)
        );
        let (again, head_pages) = match read {
            Ok(read) => read,
            Err(FetchError::Stopped(reason)) => return Err(FetchError::Stopped(reason)),
            Err(error) => {
                let why = format!("a seam could not be read again: {error}");
                self.give_up(chain, Fallback { why, for_good: false });
                return Ok(());
            }
        };
        self.spend(&chain);
        let (beyond, head) = (
            PastBoundary::of(&again, Some(&seam)),
            PastBoundary::of(&head_pages, None),
        );
        if beyond.agrees_with(&head, self.page_rows) {
            // What agreed is what counts: the next range goes on from there.
            self.replace_next(head_pages);
            self.go_over(again, seam, beyond.is_all_of(&head));
            return Ok(());
        }
        self.spend(&head_pages);
        if beyond.ended && head.ids.len() > beyond.ids.len() {
            let what = "the API says that nothing follows, yet it lists objects that do".to_owned();
            return Err(FetchError::Contradiction(what));
        }
        let why = "after an id that was made up came other objects than by the API's own cursors, twice".to_owned();
        self.give_up(again, Fallback { why, for_good: true });
        Ok(())
    }

    /// Pages from `cursor` on, until a page's worth lies above the seam.
    async fn read_on(
        &self,
        mut cursor: Option<Cursor>,
        seam: Option<&ObjectId>,
    ) -> Result<Vec<FetchedPage>, FetchError> {
        let mut pages = Vec::new();
        for _ in 0..MOST_PAGES {
            let served = self.source.served(cursor).await?;
            cursor = served.next().cloned();
            pages.push(served);
            if PastBoundary::of(&pages, seam).is_enough(self.page_rows) {
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

    /// The first range is done. Where both readings say that these are all there are, the walk ends as the API's own
    /// cursors do.
    fn go_over(&mut self, chain: Vec<FetchedPage>, seam: ObjectId, all: bool) {
        if all {
            self.ready.extend(chain.into_iter().map(|served| served.page));
            self.ranges.clear();
            return;
        }
        self.ranges.pop_front();
        for (number, served) in chain.into_iter().enumerate() {
            let mut page = served.page;
            // Only the first page reaches the seam from below.
            page.rows.retain(|row| number == 0 && row.id <= seam);
            if page.rows.is_empty() {
                self.spent += page.requests;
                continue;
            }
            page.next = Next::Cursor(Cursor::after(&seam));
            page.count = None; // of what was cut off, too
            self.ready.push_back(page);
        }
    }

    fn give_up(&mut self, chain: Vec<FetchedPage>, fallback: Fallback) {
        self.ready.extend(chain.into_iter().map(|served| served.page));
        self.ranges.clear();
        self.fallback = Some(fallback);
    }

    fn spend(&mut self, pages: &[FetchedPage]) {
        self.spent += pages.iter().map(|served| served.page.requests).sum::<u32>();
    }
}
