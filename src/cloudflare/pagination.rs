//! From page to page, and when a walk has come to its end. Pure: it decides, the walk asks.
//!
//! What the API says of its cursors is little ("opaque"), so nothing is believed that would lose objects: a full page
//! without a cursor key is asked about again, a cursor that was there before is an error, and empty pages in the
//! middle are followed a bounded number of times.

use crate::model::{Cursor, Next, ObjectId, Page};

/// Empty pages with a new cursor each that are followed in a row.
const MAX_EMPTY_PAGES: u32 = 1_000;

/// Where a walk over the pages stands. All of it is in the checkpoint, so that a resumed walk finds what an
/// uninterrupted one would have found.
#[derive(Debug, Clone, PartialEq)]
pub struct Pagination {
    /// Of the page that is asked for next; `None` before the first.
    pub cursor: Option<Cursor>,
    /// In a row.
    pub empty_pages: u32,
    pub cycle: CycleSearch,
}

/// What to do after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask for the page at `Pagination::cursor`.
    GoOn,
    /// The page was the last one.
    End,
    /// The page would be the last one, but it has no cursor key and looks as if more followed: ask after this id. If
    /// greater ids come, the cursor is not where it was expected.
    AskAfter(ObjectId),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaginationError {
    #[error("the API gave out the cursor that it had just been asked with, so the walk would never end")]
    RepeatedCursor,
    #[error("the API's cursors go in a circle, so the walk would never end")]
    CursorCycle,
    #[error("the API sent {MAX_EMPTY_PAGES} empty pages in a row, each with a cursor")]
    OnlyEmptyPages,
}

impl Pagination {
    /// Takes note of a page that was asked for with `limit`; `seen` objects came before it.
    pub fn advance(&mut self, page: &Page, limit: u32, seen: u64) -> Result<Step, PaginationError> {
        let next = match &page.next {
            Next::Cursor(next) => next,
            Next::End => return Ok(Step::End),
            Next::NoCursorKey => return Ok(last_without_key(page, limit, seen)),
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
        Ok(Step::GoOn)
    }
}

/// A short page without a cursor key is the last one. A full one may be a page whose cursor stands where nobody looks
/// for it: that is how Cloudflare's own SDKs came to stop after the first page.
fn last_without_key(page: &Page, limit: u32, seen: u64) -> Step {
    let rows = page.rows.len() as u64;
    let full = rows >= u64::from(limit)
        || page.per_page.is_some_and(|per_page| rows >= per_page)
        || page.total_count.is_some_and(|total| seen + rows < total);
    match page.rows.iter().map(|row| row.id).max() {
        Some(last) if full => Step::AskAfter(last),
        _ => Step::End,
    }
}

/// Brent's cycle search: remembers one cursor, and a later one at each power of two, so a circle of any length is
/// found, in constant memory, at the latest when it was gone round a few times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CycleSearch {
    pub anchor: Option<Cursor>,
    /// Cursors since the anchor was set.
    pub steps: u64,
    /// Steps after which the anchor moves on.
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
            (page(10, Next::NoCursorKey), 10, Step::AskAfter(last)),
            (with_per_page(10), 1_000, Step::AskAfter(last)), // a server that caps the page
            (with_per_page(11), 1_000, Step::End),
            (with_total(8), 1_000, Step::End), // five came before
            (with_total(9), 1_000, Step::AskAfter(ObjectId::from_bytes([2; 32]))),
            (page(10, cursor("x")), 10, Step::GoOn),
            (page(0, cursor("x")), 10, Step::GoOn),
        ] {
            assert_eq!(start().advance(&page, limit, 5), Ok(expected), "{page:?}");
        }
    }

    #[test]
    fn the_same_cursor_twice_is_an_error() {
        let mut pagination = start();
        assert_eq!(pagination.advance(&page(1, cursor("a")), 10, 0), Ok(Step::GoOn));
        assert_eq!(
            pagination.advance(&page(1, cursor("a")), 10, 0),
            Err(PaginationError::RepeatedCursor)
        );
    }

    #[test]
    fn empty_pages_are_followed_a_bounded_number_of_times() {
        let mut pagination = start();
        for n in 0..MAX_EMPTY_PAGES - 1 {
            assert_eq!(pagination.advance(&page(0, cursor(n)), 10, 0), Ok(Step::GoOn));
        }
        let mut after_a_row = pagination.clone();
        assert_eq!(after_a_row.advance(&page(1, cursor("row")), 10, 0), Ok(Step::GoOn));
        assert_eq!(after_a_row.advance(&page(0, cursor("again")), 10, 0), Ok(Step::GoOn));
        assert_eq!(
            pagination.advance(&page(0, cursor("last")), 10, 0),
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
                pagination.advance(&page(1, cursor(at)), 10, 0).is_err()
            });
            prop_assert!(found.is_some_and(|n: usize| n >= tail + circle && n <= 4 * (tail + circle) + 4));

            let mut straight = start();
            for n in 0..1_000 {
                prop_assert_eq!(straight.advance(&page(1, cursor(n)), 10, 0), Ok(Step::GoOn));
            }
        }
    }
}
