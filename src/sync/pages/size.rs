//! How many objects a page is requested with. Pure.
//!
//! A response that takes the API longer than a proxy waits fails each time, however often it is requested. Half as many
//! objects may be fast enough. A cursor may mean something else with another page size, so the first page after a change
//! is checked like the first one after a resume.

use crate::model::{Cursor, ObjectId, Pagination};

/// Pages are not made smaller than this: the API was seen to refuse 25 with "limit is too low".
pub const SMALLEST: u32 = 100;

/// The size to try after pages of `limit` objects were too slow; `None` if it must not become smaller.
pub fn smaller(limit: u32) -> Option<u32> {
    (limit > SMALLEST).then(|| (limit / 2).max(SMALLEST))
}

/// The size that a walk begins or resumes with, at most `largest`. `remembered` is the largest that was fast enough for
/// the namespace.
///
/// A walk that is resumed at a cursor other than its last id keeps its page size if that was smaller: an opaque cursor may
/// count pages, and larger ones would skip objects.
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

    #[test]
    fn pages_are_halved_down_to_the_smallest() {
        let sizes: Vec<u32> = std::iter::successors(Some(10_000), |limit| smaller(*limit)).collect();
        assert_eq!(sizes, [10_000, 5_000, 2_500, 1_250, 625, 312, 156, 100]);
        assert_eq!(smaller(100), None);
        assert_eq!(smaller(10), None, "a user's own small limit is never raised");
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
