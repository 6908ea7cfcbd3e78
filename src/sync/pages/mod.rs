//! The pages of a walk, read on one cursor or on several.
//!
//! One cursor has one request under way. If the API takes two seconds to respond, that is an eighth of what the quota
//! allows, so a namespace of many pages is read on several cursors. The walk sees the same pages either way.

mod boundary;
mod fetch;
mod parallel;
mod partition;
mod range;
mod size;

use std::time::Duration;

use tracing::{info, warn};

use crate::cloudflare::ErrorKind;
use crate::model::{Cursor, ObjectId, Page, Pagination};
use crate::units::Cursors;

use self::boundary::PastBoundary;
use self::fetch::FetchedPage;
pub use self::fetch::{FetchError, PageSource};
use self::parallel::{Fallback, ParallelPages};
pub use self::partition::Position;
use self::partition::plan;
pub use self::size::{PageSize, first_limit};

pub struct Pages {
    source: PageSource,
    cursors: Cursors,
    reading: Reading,
    fallback: Option<Fallback>,
    size: PageSize,
    /// The size to remember for the namespace, if it changed since this was last taken; `None` for any.
    to_remember: Option<Option<u32>>,
}

enum Reading {
    OneCursor,
    /// One cursor, until a page is there to test how the API reads made-up cursors.
    OneCursorYet(Option<FetchedPage>),
    ParallelPages(Box<ParallelPages>),
}

impl Pages {
    /// `several` says whether more than one cursor may be used.
    pub fn new(source: PageSource, cursors: Cursors, size: PageSize, several: bool) -> Self {
        let reading = match several {
            true => Reading::OneCursorYet(None),
            false => Reading::OneCursor,
        };
        Self {
            source,
            cursors,
            reading,
            fallback: None,
            size,
            to_remember: None,
        }
    }

    /// The page after those that the walk has seen. `reached` decides how it is read. If the API is too slow for it, a
    /// smaller page is requested at the same cursor.
    pub async fn next(&mut self, pagination: &Pagination, reached: Option<Position>) -> Result<Page, FetchError> {
        let mut spent = 0;
        loop {
            self.source.limit = self.size.limit;
            match self.read(pagination, reached).await {
                Ok(page) => {
                    if self.size.note(&page) {
                        self.to_remember = Some(None);
                    }
                    return Ok(charged(page, spent));
                }
                Err(error) => spent += self.reduce(error)?,
            }
        }
    }

    /// Makes pages smaller if they were too slow. Returns the number of requests that this took; any other error comes
    /// back.
    fn reduce(&mut self, error: FetchError) -> Result<u32, FetchError> {
        let error = match error {
            FetchError::Api(error) if error.kind() == ErrorKind::PageTooSlow => error,
            other => return Err(other),
        };
        if !self.size.reduce() {
            return Err(FetchError::Api(error));
        }
        let limit = self.size.limit;
        let PageSource { namespace, name, .. } = &self.source;
        warn!(%namespace, name, "{error}: requesting pages of {limit} objects, on one cursor");
        // Made-up cursors are checked against pages of one size.
        self.reading = Reading::OneCursor;
        self.to_remember = Some(Some(limit));
        Ok(error.requests())
    }

    async fn read(&mut self, pagination: &Pagination, reached: Option<Position>) -> Result<Page, FetchError> {
        let mut spent = 0;
        if let (Reading::OneCursorYet(last), Some(reached)) = (&mut self.reading, reached)
            && let (Some(last), Some(cursor)) = (last.take(), &pagination.cursor)
        {
            spent = self.consider(&last, cursor.clone(), reached).await?;
        }
        if let Reading::ParallelPages(ahead) = &mut self.reading {
            let page = ahead.next().await;
            self.fallback = self.fallback.take().or(ahead.fallback.take());
            match page {
                Ok(Some(page)) => return Ok(charged(page, spent)),
                // A reader's cursor expired. The walk's own may still be good.
                Ok(None) | Err(FetchError::CursorRefused(_)) => {}
                Err(error) => return Err(error),
            }
            self.reading = Reading::OneCursor;
        }
        let served = self.source.served(pagination.cursor.clone()).await?;
        if let Reading::OneCursorYet(last) = &mut self.reading {
            *last = Some(served.clone());
        }
        Ok(charged(served.page, spent))
    }

    /// Continues after the last id that the walk has, because its cursor is refused: requests what follows the id
    /// before it. Only a response that begins with that last id shows that the API reads such a cursor as it is meant.
    pub async fn after_expired(&mut self, last: &ObjectId) -> Result<Option<Page>, FetchError> {
        let Some(before) = last.predecessor() else {
            return Ok(None);
        };
        let mut spent = 0;
        loop {
            self.source.limit = self.size.limit;
            match self.source.page(Some(&Cursor::after(&before))).await {
                Err(FetchError::CursorRefused(_)) => return Ok(None),
                Err(error) => spent += self.reduce(error)?,
                Ok(page) => {
                    let follows = page.rows.first().is_some_and(|row| row.id == *last);
                    return Ok(follows.then(|| charged(page, spent)));
                }
            }
        }
    }

    /// Why the walk fell back to one cursor, if it did since the last call.
    pub fn take_fallback(&mut self) -> Option<Fallback> {
        self.fallback.take()
    }

    /// The page size to remember for the namespace, if it changed since the last call; `None` for any.
    pub fn take_size_to_remember(&mut self) -> Option<Option<u32>> {
        self.to_remember.take()
    }

    /// Switches to several cursors, if that is worth it and the API reads a made-up cursor as it is meant. Returns the
    /// number of requests that this took.
    async fn consider(&mut self, last: &FetchedPage, cursor: Cursor, reached: Position) -> Result<u32, FetchError> {
        let rows = last.page.rows.len();
        let pace = self.source.client.pace();
        let plan = |took| plan(self.cursors, pace, took, reached, rows as u64);
        // A cursor that is not an id may be anything. The next walk may try again.
        if plan(last.page.took).is_none() || cursor.as_str().parse::<ObjectId>().is_err() {
            return Ok(0);
        }
        let Probe { proven, requests, took } = self.probe(last).await?;
        // The first page on a new connection takes longer.
        let Some(plan) = plan(last.page.took.min(took)) else {
            return Ok(requests);
        };
        self.reading = if proven {
            info!(
                namespace = %self.source.namespace, name = self.source.name, cursors = plan.cursors, range_pages = plan.range_pages,
                "reading on several cursors"
            );
            let ahead = ParallelPages::new(self.source.clone(), plan, rows, cursor, &reached.last);
            Reading::ParallelPages(Box::new(ahead))
        } else {
            let why = "twice, the page after a constructed id was not the same as before".to_owned();
            self.fallback = Some(Fallback { why, for_good: true });
            Reading::OneCursor
        };
        Ok(requests)
    }

    /// Requests what comes after an id in the middle of a page that was just read. If that differs, both are read once
    /// more, because objects come and go.
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

/// How the API reads a made-up cursor.
struct Probe {
    /// It returned what follows the id.
    proven: bool,
    requests: u32,
    took: Duration,
}

fn charged(page: Page, spent: u32) -> Page {
    let requests = page.requests + spent;
    Page { requests, ..page }
}
