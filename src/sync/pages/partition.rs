//! How the ids of a namespace are divided among several cursors, and whether that is worth it. Pure.

use std::time::Duration;

use crate::model::ObjectId;
use crate::units::Cursors;

/// Pages left below which one cursor is fast enough: 200,000 objects, at 10,000 per page.
const FEWEST_PAGES: f64 = 20.0;
/// An estimate above this means that the ids so far lie close together, so they are not spread uniformly.
const MOST_OBJECTS: f64 = 1e10;
/// Enough for the slowest response that was ever observed.
const MOST_CURSORS: u16 = 16;
/// Pages per second above which comparing them takes the time, not waiting for them.
const COMPARED_A_SECOND: f64 = 40.0;
/// Responses are not equally fast: without some slack a slow one would leave quota unused.
const SLACK: f64 = 1.25;
/// Rows that may wait in memory to be compared, in all ranges together: 33 bytes each.
const MOST_ROWS_WAITING: u64 = 2_000_000;
/// Pages in the shortest range. A range costs up to two more pages at its end, which prove its boundary.
const SHORTEST_RANGE: u64 = 4;

/// How far a walk has come.
#[derive(Debug, Clone, Copy)]
pub struct Position {
    pub rows: u64,
    pub last: ObjectId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Cursors that read in parallel.
    pub cursors: u16,
    /// Pages in the range of one cursor.
    pub range_pages: u64,
    /// How much of the space of leading 64 bits one page covers.
    page_width: u64,
}

/// Divides what lies above `reached`; `None` if one cursor is enough.
///
/// The estimate assumes that ids are spread uniformly, as observed. If they are not, the partition is a poor one and
/// never a wrong one, because each boundary is proven.
///
/// `pace` is in requests per second, `took` is the time of one response, `page_rows` the number of rows in a page.
pub fn plan(cursors: Cursors, pace: f64, took: Duration, reached: Position, page_rows: u64) -> Option<Partition> {
    let wanted = match cursors {
        Cursors::Auto => {
            let in_flight = pace.min(COMPARED_A_SECOND) * took.as_secs_f64() * SLACK;
            (in_flight.ceil() as u16).min(MOST_CURSORS)
        }
        Cursors::Exactly(number) => number,
    };
    if wanted < 2 || page_rows == 0 || reached.rows == 0 {
        return None;
    }
    let position = reached.last.leading_bits();
    let page_width = (position as f64 / reached.rows as f64 * page_rows as f64) as u64;
    let pages_left = (u64::MAX - position) as f64 / page_width.max(1) as f64;
    if page_width == 0 || pages_left < FEWEST_PAGES || pages_left * page_rows as f64 > MOST_OBJECTS {
        return None;
    }
    let fair = pages_left as u64 / (2 * u64::from(wanted));
    let most = MOST_ROWS_WAITING / (u64::from(wanted) * page_rows);
    Some(Partition {
        cursors: wanted,
        range_pages: fair.min(most).max(SHORTEST_RANGE),
        page_width,
    })
}

impl Partition {
    /// The last id of range `number`, which begins after `lower`; `None` if it reaches to the end of the namespace.
    ///
    /// The lengths of the ranges look like this, from first to last:
    ///
    /// ```text
    /// - -- --- ---- ---- ---- ---- --- -- -
    /// ```
    ///
    /// The first ranges grow, because ranges of equal length would all end at once, with as many rows as possible
    /// waiting to be compared. The last ones shrink, so that no reader is left alone with a long one.
    pub fn upper(&self, number: u64, lower: &ObjectId) -> Option<ObjectId> {
        let (cursors, lower) = (u64::from(self.cursors), lower.leading_bits());
        let pages_left = (u64::MAX - lower) / self.page_width;
        let pages = match number {
            first if first < cursors => (self.range_pages * (first + 1) / cursors).max(1),
            _ => self.range_pages.min(pages_left / cursors).max(SHORTEST_RANGE),
        };
        let end = lower.checked_add(self.page_width.checked_mul(pages)?)?;
        // A rest shorter than a page belongs to this range.
        end.checked_add(self.page_width)?;
        let mut id = [0; 32];
        id[..8].copy_from_slice(&end.to_be_bytes());
        Some(ObjectId::from_bytes(id))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(leading: u64) -> ObjectId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&leading.to_be_bytes());
        ObjectId::from_bytes(bytes)
    }

    /// The position after one page of a namespace of `objects` uniformly spread objects.
    fn after_a_page(objects: u64, page_rows: u64) -> Position {
        Position {
            rows: page_rows,
            last: id((u64::MAX / objects).saturating_mul(page_rows)),
        }
    }

    #[test]
    fn slow_responses_need_more_cursors() {
        let seconds = Duration::from_secs_f64;
        for (pace, took, objects, expected) in [
            (4.0, 2.0, 1_000_000, Some(10)),
            (3.2, 2.0, 1_000_000, Some(8)),
            (4.0, 0.25, 1_000_000, Some(2)),
            (3.2, 0.25, 1_000_000, None),
            (4.0, 30.0, 1_000_000, Some(16)),
            (3333.0, 0.005, 1_000_000, None), // comparing is slower than fetching
            (4.0, 2.0, 150_000, None),
        ] {
            let found = plan(
                Cursors::Auto,
                pace,
                seconds(took),
                after_a_page(objects, 10_000),
                10_000,
            );
            assert_eq!(
                found.map(|plan| plan.cursors),
                expected,
                "{pace}/s, {took} s, {objects}"
            );
        }
    }

    #[test]
    fn ids_that_are_not_spread_are_walked_on_one_cursor() {
        let exactly = Cursors::Exactly(4);
        let all_low = Position {
            rows: 10_000,
            last: id(5),
        };
        assert_eq!(plan(exactly, 4.0, Duration::ZERO, all_low, 10_000), None);
        let nothing = Position { rows: 0, last: id(5) };
        assert_eq!(plan(exactly, 4.0, Duration::ZERO, nothing, 10_000), None);
    }

    proptest! {
        /// Ranges cover everything to the end, and no more rows wait than memory is meant to hold.
        #[test]
        fn ranges_cover_the_rest(
            cursors in 2_u16..=32, objects in 200_000_u64..100_000_000, page_rows in 10_u64..=10_000,
        ) {
            let reached = after_a_page(objects, page_rows);
            let exactly = Cursors::Exactly(cursors);
            let Some(plan) = plan(exactly, 4.0, Duration::ZERO, reached, page_rows) else { return Ok(()) };
            prop_assert!(
                plan.range_pages == SHORTEST_RANGE
                    || plan.range_pages * u64::from(cursors) * page_rows <= MOST_ROWS_WAITING
            );
            let (mut lower, mut number) = (reached.last, 0);
            while let Some(upper) = plan.upper(number, &lower) {
                prop_assert!(upper > lower);
                (lower, number) = (upper, number + 1);
                prop_assert!(number <= objects / page_rows + 64);
            }
        }
    }
}
