//! How many objects a page is requested with. Pure.
//!
//! A response that takes the API longer than a proxy waits fails each time, however often it is requested. Half as many
//! objects may be fast enough. A cursor may mean something else with another page size, so the first page after a
//! change is checked like the first one after a resume.

use crate::model::{Cursor, Next, ObjectId, Page, Pagination, SMALLEST_PAGE};

/// Pages in a row that must come before a larger one is tried. A failed trial costs three slow responses.
const GOOD_PAGES: u32 = 8;

/// The number of objects that the next page is requested with.
#[derive(Debug, Clone, Copy)]
pub struct PageSize {
    pub limit: u32,
    largest: u32,
    /// The size is larger than one that was fast enough, to find out whether it is fast enough by now.
    is_trial: bool,
    /// The API may have been too slow for any page when the size was reduced.
    may_be_an_outage: bool,
    /// Pages since the size changed.
    good_pages: u32,
}

impl PageSize {
    /// Begins with `limit` objects of at most `largest`.
    pub fn new(limit: u32, largest: u32) -> Self {
        Self {
            limit,
            largest,
            is_trial: limit < largest,
            may_be_an_outage: false,
            good_pages: 0,
        }
    }

    /// Halves the size, because a page was too slow. Returns false if it must not become smaller.
    pub fn reduce(&mut self) -> bool {
        if self.limit <= SMALLEST_PAGE {
            return false;
        }
        self.limit = (self.limit / 2).max(SMALLEST_PAGE);
        self.may_be_an_outage = !self.is_trial;
        self.is_trial = false;
        self.good_pages = 0;
        true
    }

    /// Takes note of a page that came in time. After some of them a larger one is tried, unless one was too slow
    /// already: the API was slow then, not the page too large. A walk on other cursors than its last id keeps its size,
    /// because those may count pages. Returns whether a page of the largest size has come again.
    pub fn note(&mut self, page: &Page) -> bool {
        if self.is_trial && self.limit == self.largest {
            self.is_trial = false;
            return true;
        }
        self.good_pages += 1;
        let last = page.rows.last().map(|row| Next::Cursor(Cursor::after(&row.id)));
        let continues_at_its_last_id = last.is_some_and(|last| last == page.next);
        if self.may_be_an_outage && continues_at_its_last_id && self.good_pages >= GOOD_PAGES {
            self.limit = self.limit.saturating_mul(2).min(self.largest);
            self.is_trial = true;
            self.may_be_an_outage = self.limit < self.largest;
            self.good_pages = 0;
        }
        false
    }
}

/// The size that a walk begins or resumes with, at most `largest`. `remembered` is the largest that was fast enough for
/// the namespace.
///
/// A walk that is resumed at a cursor other than its last id keeps its page size if that was smaller: an opaque cursor
/// may count pages, and larger ones would skip objects.
pub fn first_limit(largest: u32, remembered: Option<u32>, pagination: &Pagination, last: Option<&ObjectId>) -> u32 {
    let limit = remembered.map_or(largest, |remembered| remembered.min(largest));
    let is_last_id = match (&pagination.cursor, last) {
        (Some(cursor), Some(last)) => *cursor == Cursor::after(last),
        (cursor, _) => cursor.is_none(),
    };
    match pagination.limit {
        Some(before) if !is_last_id => limit.min(before),
        _ => limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Observation, StoredData};

    #[test]
    fn pages_are_halved_down_to_the_smallest() {
        let mut size = PageSize::new(10_000, 10_000);
        let mut sizes = Vec::new();
        while size.reduce() {
            sizes.push(size.limit);
        }
        assert_eq!(sizes, [5_000, 2_500, 1_250, 625, 312, 156, 100]);
        assert!(
            !PageSize::new(10, 10).reduce(),
            "a user's own small limit is never raised"
        );
    }

    fn page(cursor: &str) -> Page {
        Page {
            rows: vec![Observation {
                id: ObjectId::from_bytes([7; 32]),
                data: StoredData::With,
            }],
            next: Next::Cursor(Cursor::new(cursor).unwrap()),
            count: None,
            per_page: None,
            total_count: None,
            requests: 1,
            limit: 0,
            took: std::time::Duration::ZERO,
        }
    }

    /// The sizes of the next pages, until one of the largest size has come.
    fn sizes(size: &mut PageSize, cursor: &str, pages: usize) -> Vec<u32> {
        let mut sizes = Vec::new();
        for _ in 0..pages {
            sizes.push(size.limit);
            if size.note(&page(cursor)) {
                break;
            }
        }
        sizes
    }

    #[test]
    fn after_an_outage_pages_grow_again() {
        let mut size = PageSize::new(300, 300);
        while size.reduce() {}
        let expected = [&[100; 8][..], &[200; 8], &[300]].concat();
        assert_eq!(sizes(&mut size, &"07".repeat(32), 100), expected);
        assert_eq!(sizes(&mut size, &"07".repeat(32), 9), [300; 9], "it is back once");
    }

    #[test]
    fn a_size_that_is_too_slow_again_is_not_tried_again() {
        let mut size = PageSize::new(1_000, 1_000);
        assert!(size.reduce());
        assert_eq!(sizes(&mut size, &"07".repeat(32), 8), [500; 8]);
        assert_eq!(size.limit, 1_000);
        assert!(size.reduce());
        assert_eq!(sizes(&mut size, &"07".repeat(32), 100), [500; 100]);
    }

    #[test]
    fn an_opaque_cursor_keeps_the_size_after_an_outage() {
        let mut size = PageSize::new(1_000, 1_000);
        assert!(size.reduce());
        assert_eq!(sizes(&mut size, "op_2", 20), [500; 20]);
    }

    #[test]
    fn an_opaque_cursor_keeps_the_size_of_its_pages() {
        let last = ObjectId::from_bytes([7; 32]);
        let at = |cursor: Option<Cursor>, limit| Pagination {
            cursor,
            limit,
            ..Pagination::default()
        };
        let opaque = || Cursor::new("op_3");
        let id = || Some(Cursor::after(&last));
        for (largest, remembered, pagination, expected) in [
            (10_000, None, at(None, None), 10_000),
            (10_000, Some(625), at(None, None), 625),
            (100, Some(625), at(None, None), 100),
            (10_000, None, at(id(), Some(100)), 10_000),
            (10_000, None, at(opaque(), Some(100)), 100),
            (100, None, at(opaque(), Some(10_000)), 100),
            (10_000, Some(625), at(opaque(), Some(1_250)), 625),
            (10_000, None, at(opaque(), None), 10_000), // begun before page sizes were recorded
        ] {
            let limit = first_limit(largest, remembered, &pagination, Some(&last));
            assert_eq!(limit, expected, "{largest} {remembered:?} {pagination:?}");
        }
    }
}
