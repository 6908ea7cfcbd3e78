//! Whether a listing grows faster than it is read, so that its walk may never end.

use tracing::warn;

use crate::sync::progress::WalkProgress;

/// Fewer rows than this are read in a moment, whatever was expected.
const LEAST_ROWS: u64 = 10_000;

/// How many rows a walk may expect to read.
pub(super) struct GrowthWatch {
    /// The objects that the base has, or the first `total_count` of the API if that is greater. `None` if neither is
    /// known.
    expected: Option<u64>,
    has_total: bool,
    has_warned: bool,
}

impl GrowthWatch {
    /// `base` is the number of objects in the snapshot that the walk is compared with.
    pub(super) fn new(base: Option<u64>) -> Self {
        Self {
            expected: base,
            has_total: false,
            has_warned: false,
        }
    }

    /// Takes note of the rows so far and of the newest page's `total_count`, and warns once if they are too many.
    pub(super) fn note(&mut self, walk: &WalkProgress, rows: u64, total_count: Option<u64>) {
        if !self.has_total && total_count.is_some() {
            self.has_total = true;
            self.expected = self.expected.max(total_count);
        }
        if self.has_warned || !self.is_endless(rows) {
            return;
        }
        self.has_warned = true;
        warn!(
            namespace = %walk.namespace_id, name = walk.name(), rows, expected = self.expected,
            "the listing grows faster than it is read: it has more than 3 times the expected rows, and no end yet; if \
             this continues, raise --quota-share, or sync when fewer objects are created"
        );
    }

    fn is_endless(&self, rows: u64) -> bool {
        self.expected
            .is_some_and(|expected| rows > expected.saturating_mul(3).max(LEAST_ROWS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::progress::Progress;

    #[test]
    fn three_times_the_expected_rows_are_too_many() {
        let walk = Progress::default().begin(&"n".parse().unwrap(), "n");
        for (base, totals, rows, warned) in [
            (None, &[None][..], u64::MAX, false),
            (Some(5_000), &[None], 15_000, false),
            (Some(5_000), &[None], 15_001, true),
            (Some(5_000), &[Some(6_000)], 18_000, false),
            (Some(5_000), &[Some(6_000)], 18_001, true),
            (None, &[None, Some(5_000), Some(1_000_000)], 15_001, true),
            (Some(0), &[None], LEAST_ROWS, false),
            (Some(0), &[None], LEAST_ROWS + 1, true),
            (Some(u64::MAX), &[None], u64::MAX, false),
        ] {
            let mut growth = GrowthWatch::new(base);
            totals.iter().for_each(|total| growth.note(&walk, 0, *total));
            growth.note(&walk, rows, None);
            assert_eq!(growth.has_warned, warned, "{base:?} {totals:?} {rows}");
        }
    }
}
