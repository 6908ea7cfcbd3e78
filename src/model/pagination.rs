//! The position of a walk over the pages: cursors, and which page is the last. Pure. The walk
//! (`sync/walk/check_page.rs`) doubts an empty end before it believes it.
//!
//! The API calls its cursors "opaque" and says little else about them, so nothing is believed that could lose objects:
//! a full page without a cursor key is checked, a repeated cursor is an error, and empty pages in the middle are
//! followed a bounded number of times.

use super::{Cursor, Next, ObjectId, Page};

/// Empty pages in a row, each with a new cursor, after which the walk fails.
const MAX_EMPTY_PAGES: u32 = 1_000;

/// The state of a walk over the pages. It is part of the checkpoint, so a resumed walk notices everything that an
/// uninterrupted one would have noticed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pagination {
    /// The cursor of the next page; `None` before the first.
    pub cursor: Option<Cursor>,
    /// Empty pages since the last page with rows.
    pub empty_pages: u32,
    pub cycle: CycleSearch,
    /// The `limit` of the last page's request. A cursor may mean something else with another one.
    pub limit: Option<u32>,
}

/// What to do after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Request the page at `Pagination::cursor`.
    Continue,
    /// The page was the last one.
    End,
    /// The page would be the last one, but it has no cursor key and looks as if more followed. Request what comes after
    /// this id: greater ids mean that the cursor is not where it was expected.
    CheckAfter(ObjectId),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaginationError {
    #[error("the API returned the same cursor that was in the request, so the list would never end")]
    RepeatedCursor,
    #[error("the API's cursors repeat themselves, so the list would never end")]
    CursorCycle,
    #[error("the API returned {MAX_EMPTY_PAGES} empty pages in a row, each with a cursor")]
    OnlyEmptyPages,
}

impl Pagination {
    /// Moves past a page. `seen` is the number of objects before it.
    pub fn advance(&mut self, page: &Page, seen: u64) -> Result<Step, PaginationError> {
        self.limit = Some(page.limit);
        let next = match &page.next {
            Next::Cursor(next) => next,
            Next::End => return Ok(Step::End),
            Next::NoCursorKey => return Ok(last_without_key(page, seen)),
        };
        if self.cursor.as_ref() == Some(next) {
            return Err(PaginationError::RepeatedCursor);
        }
        if !self.cycle.is_new(next) {
            return Err(PaginationError::CursorCycle);
        }
        self.empty_pages = if page.rows.is_empty() { self.empty_pages + 1 } else { 0 };
        if self.empty_pages >= MAX_EMPTY_PAGES {
            return Err(PaginationError::OnlyEmptyPages);
        }
        self.cursor = Some(next.clone());
        Ok(Step::Continue)
    }
}

/// A short page without a cursor key is the last one. A full one may have its cursor under another name: that is how
/// Cloudflare's own SDKs came to stop after the first page.
fn last_without_key(page: &Page, seen: u64) -> Step {
    let rows = page.rows.len() as u64;
    let full = rows >= u64::from(page.limit)
        || page.per_page.is_some_and(|per_page| rows >= per_page)
        || page.total_count.is_some_and(|total| seen + rows < total);
    match page.rows.iter().map(|row| row.id).max() {
        Some(last) if full => Step::CheckAfter(last),
        _ => Step::End,
    }
}

/// Brent's cycle search: remembers one cursor, and a later one at each power of two. It finds a cycle of any length in
/// constant memory, after a few rounds at the latest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CycleSearch {
    pub anchor: Option<Cursor>,
    /// Cursors since the anchor was set.
    pub steps: u64,
    /// Steps after which the anchor is replaced.
    pub limit: u64,
}

impl Default for CycleSearch {
    fn default() -> Self {
        Self {
            anchor: None,
            steps: 0,
            limit: 1,
        }
    }
}

impl CycleSearch {
    fn is_new(&mut self, cursor: &Cursor) -> bool {
        if self.anchor.as_ref() == Some(cursor) {
            return false;
        }
        self.steps += 1;
        if self.anchor.is_none() || self.steps >= self.limit {
            self.anchor = Some(cursor.clone());
            self.steps = 0;
            self.limit = self.limit.saturating_mul(2);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Observation, StoredData};

    fn page(rows: u8, next: Next) -> Page {
        let rows = (0..rows)
            .map(|id| Observation {
                id: ObjectId::from_bytes([id; 32]),
                data: StoredData::With,
            })
            .collect();
        Page {
            rows,
            next,
            count: None,
            per_page: None,
            total_count: None,
            requests: 1,
            limit: 10,
            took: std::time::Duration::ZERO,
        }
    }

    fn cursor(text: impl ToString) -> Next {
        Cursor::new(text.to_string()).map_or(Next::End, Next::Cursor)
    }

    fn start() -> Pagination {
        Pagination {
            cursor: None,
            empty_pages: 0,
            cycle: CycleSearch::default(),
            limit: None,
        }
    }

    #[test]
    fn what_ends_a_walk() {
        let last = ObjectId::from_bytes([9; 32]);
        let with_total = |total| Page {
            total_count: Some(total),
            ..page(3, Next::NoCursorKey)
        };
        let with_per_page = |per_page| Page {
            per_page: Some(per_page),
            ..page(10, Next::NoCursorKey)
        };
        for (page, limit, expected) in [
            (page(10, Next::End), 10, Step::End),
            (page(0, Next::End), 10, Step::End),
            (page(9, Next::NoCursorKey), 10, Step::End),
            (page(0, Next::NoCursorKey), 10, Step::End),
            (page(10, Next::NoCursorKey), 10, Step::CheckAfter(last)),
            (with_per_page(10), 1_000, Step::CheckAfter(last)), // a server that caps the page
            (with_per_page(11), 1_000, Step::End),
            (with_total(8), 1_000, Step::End), // five came before
            (with_total(9), 1_000, Step::CheckAfter(ObjectId::from_bytes([2; 32]))),
            (page(10, cursor("x")), 10, Step::Continue),
            (page(0, cursor("x")), 10, Step::Continue),
        ] {
            let page = Page { limit, ..page };
            assert_eq!(start().advance(&page, 5), Ok(expected), "{page:?}");
        }
    }

    #[test]
    fn the_same_cursor_twice_is_an_error() {
        let mut pagination = start();
        assert_eq!(pagination.advance(&page(1, cursor("a")), 0), Ok(Step::Continue));
        assert_eq!(
            pagination.advance(&page(1, cursor("a")), 0),
            Err(PaginationError::RepeatedCursor)
        );
    }

    #[test]
    fn empty_pages_are_followed_a_bounded_number_of_times() {
        let mut pagination = start();
        for n in 0..MAX_EMPTY_PAGES - 1 {
            assert_eq!(pagination.advance(&page(0, cursor(n)), 0), Ok(Step::Continue));
        }
        let mut after_a_row = pagination.clone();
        assert_eq!(after_a_row.advance(&page(1, cursor("row")), 0), Ok(Step::Continue));
        assert_eq!(after_a_row.advance(&page(0, cursor("again")), 0), Ok(Step::Continue));
        assert_eq!(
            pagination.advance(&page(0, cursor("last")), 0),
            Err(PaginationError::OnlyEmptyPages)
        );
    }

    proptest! {
        /// Any path into any circle is noticed, within a small multiple of its length; a path without one never is.
        #[test]
        fn circles_are_found(tail in 0_usize..200, circle in 2_usize..200) {
            let mut pagination = start();
            let found = (0..).find(|n| {
                let at = if *n < tail { *n } else { tail + (n - tail) % circle };
                pagination.advance(&page(1, cursor(at)), 0).is_err()
            });
            prop_assert!(found.is_some_and(|n: usize| n >= tail + circle && n <= 4 * (tail + circle) + 4));

            let mut straight = start();
            for n in 0..1_000 {
                prop_assert_eq!(straight.advance(&page(1, cursor(n)), 0), Ok(Step::Continue));
            }
        }
    }
}
