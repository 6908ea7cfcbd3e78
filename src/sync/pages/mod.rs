//! Where a walk's pages come from: one cursor, or several that read ahead.
//!
//! One cursor has one request under way. Where the API takes two seconds to answer, that is an eighth of what the quota
//! allows. So a namespace of many pages is read on several cursors; what the walk sees is the same, page after page.

mod boundary;
mod fetch;
mod parallel;
mod partition;
mod range;

use std::time::Duration;

use tracing::info;

use crate::model::Pagination;
use crate::model::{Cursor, ObjectId, Page};
use crate::units::Cursors;

use self::boundary::PastBoundary;
use self::fetch::FetchedPage;
pub use self::fetch::{FetchError, PageSource};
use self::parallel::{Fallback, ParallelPages};
pub use self::partition::Position;
use self::partition::plan;

pub struct Pages {
    source: PageSource,
    cursors: Cursors,
    reading: Reading,
    fallback: Option<Fallback>,
}

enum Reading {
    OneCursor,
    /// As before, and the last page may be one to find out from how the API takes made-up cursors.
    OneCursorYet(Option<FetchedPage>),
    ParallelPages(Box<ParallelPages>),
}

impl Pages {
    /// `several`: whether more than one cursor may be used.
    pub fn new(source: PageSource, cursors: Cursors, several: bool) -> Self {
        let reading = match several {
            true => Reading::OneCursorYet(None),
            false => Reading::OneCursor,
        };
        Self {
            source,
            cursors,
            reading,
            fallback: None,
        }
    }

    /// The page after those that the walk has seen; how far it has come by them decides how it is read.
    pub async fn next(&mut self, pagination: &Pagination, reached: Option<Position>) -> Result<Page, FetchError> {
        let mut spent = 0;
        if let (Reading::OneCursorYet(last), Some(reached)) = (&mut self.reading, reached)
            && let (Some(last), Some(cursor)) = (last.take(), &pagination.cursor)
        {
            spent = self.consider(&last, cursor.clone(), reached).await?;
        }
        if let Reading::ParallelPages(ahead) = &mut self.reading {
            let page = ahead.next().await;
            self.fallback = self.fallback.take().or(ahead.fallback.take());
            if let Some(page) = page? {
                return Ok(charged(page, spent));
            }
            self.reading = Reading::OneCursor;
        }
        let served = self.source.served(pagination.cursor.clone()).await?;
        if let Reading::OneCursorYet(last) = &mut self.reading {
            *last = Some(served.clone());
        }
        Ok(charged(served.page, spent))
    }

    /// Why the ranges were given up, if they were since this was asked last.
    pub fn take_fallback(&mut self) -> Option<Fallback> {
        self.fallback.take()
    }

    /// Reads ahead from here on, if it is worth it and the API takes a made-up cursor for what it means. Returns how
    /// many requests it took to find out.
    async fn consider(&mut self, last: &FetchedPage, cursor: Cursor, reached: Position) -> Result<u32, FetchError> {
        let rows = last.page.rows.len();
        let pace = self.source.client.pace();
        let plan = |took| plan(self.cursors, pace, took, reached, rows as u64);
        // Elsewhere a cursor may be anything. That is no reason not to ask again in the next walk.
        if plan(last.page.took).is_none() || cursor.as_str().parse::<ObjectId>().is_err() {
            return Ok(0);
        }
        let Probe { proven, requests, took } = self.probe(last).await?;
        // The page may have been the first on a new connection, which takes longer.
        let Some(plan) = plan(last.page.took.min(took)) else {
            return Ok(requests);
        };
        self.reading = if proven {
            info!(
                namespace = %self.source.namespace, cursors = plan.cursors, range_pages = plan.range_pages,
                "reading on several cursors"
            );
            let ahead = ParallelPages::new(self.source.clone(), plan, rows, cursor, &reached.last);
            Reading::ParallelPages(Box::new(ahead))
        } else {
            let why = "what came after an id that was made up is not what had come after it before, twice".to_owned();
            self.fallback = Some(Fallback { why, for_good: true });
            Reading::OneCursor
        };
        Ok(requests)
    }

    /// Asks for what comes after an id in the middle of a page that was just read, and once more for both if that is
    /// something else: objects come and go.
    async fn probe(&self, last: &FetchedPage) -> Result<Probe, FetchError> {
        let mut probe = Probe {
            proven: false,
            requests: 0,
            took: last.page.took,
        };
        let middle = last.ids().nth(last.page.rows.len() / 2);
        let Some(before) = middle.and_then(|middle| middle.predecessor()) else {
            return Ok(probe);
        };
        let mut page = last.clone();
        for again in [false, true] {
            if again {
                page = self.source.served(last.cursor.clone()).await?;
                probe.requests += page.page.requests;
            }
            let probed = match self.source.served(Some(Cursor::after(&before))).await {
                Err(FetchError::CursorRefused(_)) => {
                    probe.requests += 1;
                    break;
                }
                answer => answer?,
            };
            probe.requests += probed.page.requests;
            probe.took = probed.page.took;
            let expected: Vec<ObjectId> = page.ids().filter(|id| *id > before).collect();
            probe.proven = PastBoundary::of([&probed], None).ids.starts_with(&expected);
            if probe.proven {
                break;
            }
        }
        Ok(probe)
    }
}

/// How the API took a made-up cursor.
struct Probe {
    /// For what it means.
    proven: bool,
    requests: u32,
    took: Duration,
}

fn charged(page: Page, spent: u32) -> Page {
    let requests = page.requests + spent;
    Page { requests, ..page }
}
