//! How far a whole run is, and how long it still takes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use durable_inventory::report::words;
use durable_inventory::sync::{PlannedWalk, WalkProgress};

use crate::terminal::shorten::width;
use crate::terminal::table::number;

/// The time that a namespace takes beside its objects, in objects: a request takes about as long for a full page as for
/// an empty one.
const REQUEST: f64 = 10_000.0;
/// From this fraction of a walk on, the ids so far tell its size better than the record does.
const FRACTION: f64 = 0.02;

/// Watches a run from its begin.
pub struct Estimate {
    begun: Instant,
    /// When each walk was first seen, and the objects that it had then: those of an earlier run took no time.
    first: Vec<(Instant, u64)>,
}

impl Default for Estimate {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            first: Vec::new(),
        }
    }
}

/// A run at one point in time.
#[derive(Debug, PartialEq)]
pub struct Total {
    pub done: usize,
    pub planned: usize,
    pub objects: u64,
    /// Objects per second.
    pub rate: f64,
    /// Seconds; `None` while nothing tells.
    pub left: Option<f64>,
}

/// What an estimate looks at in a namespace.
#[derive(Debug, Clone, Copy)]
struct Walk {
    objects: u64,
    objects_at_first: u64,
    fraction: f64,
    has_ended: bool,
}

impl Estimate {
    pub fn update(&mut self, planned: &[PlannedWalk], walks: &[Arc<WalkProgress>]) -> Total {
        let begun: HashMap<_, _> = walks
            .iter()
            .enumerate()
            .map(|(index, walk)| {
                let objects = walk.objects();
                if index == self.first.len() {
                    self.first.push((Instant::now(), objects));
                }
                let seen = Walk {
                    objects,
                    objects_at_first: self.first[index].1,
                    fraction: walk.fraction(),
                    has_ended: walk.has_ended(),
                };
                (&walk.namespace_id, seen)
            })
            .collect();
        let all = planned
            .iter()
            .map(|one| (one.recorded, begun.get(&one.namespace_id).copied()));
        total(all, self.begun.elapsed().as_secs_f64())
    }

    /// The objects per second of the walk with this index.
    pub fn rate(&self, index: usize, walk: &WalkProgress) -> f64 {
        let Some((begun, objects)) = self.first.get(index) else {
            return 0.0;
        };
        walk.objects().saturating_sub(*objects) as f64 / begun.elapsed().as_secs_f64().max(0.001)
    }
}

/// Adds up the namespaces: the objects that are recorded of each, and its walk if that has begun. One of which nothing
/// is known yet is taken for an average one.
fn total(all: impl Iterator<Item = (Option<u64>, Option<Walk>)> + Clone, seconds: f64) -> Total {
    let size = |recorded: Option<u64>, walk: Option<Walk>| match walk {
        Some(walk) if walk.has_ended => Some(walk.objects as f64),
        Some(walk) if walk.fraction >= FRACTION => Some(walk.objects as f64 / walk.fraction),
        Some(walk) => recorded.map(|recorded| recorded.max(walk.objects) as f64),
        None => recorded.map(|recorded| recorded as f64),
    };
    let known: Vec<f64> = all
        .clone()
        .filter_map(|(recorded, walk)| size(recorded, walk))
        .collect();
    let average = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
    let mut total = Total {
        done: 0,
        planned: 0,
        objects: 0,
        rate: 0.0,
        left: None,
    };
    let (mut read, mut work_done, mut work_left) = (0, 0.0, Some(0.0));
    for (recorded, walk) in all {
        total.planned += 1;
        if let Some(walk) = walk {
            let since = walk.objects.saturating_sub(walk.objects_at_first);
            total.objects += walk.objects;
            total.done += usize::from(walk.has_ended);
            read += since;
            work_done += since as f64 + if walk.has_ended { REQUEST } else { 0.0 };
        }
        if walk.is_some_and(|walk| walk.has_ended) {
            continue;
        }
        let so_far = walk.map_or(0, |walk| walk.objects) as f64;
        let left = size(recorded, walk)
            .or(average)
            .map(|size| (size - so_far).max(0.0) + REQUEST);
        work_left = work_left.zip(left).map(|(sum, left)| sum + left);
    }
    total.rate = read as f64 / seconds.max(0.001);
    total.left = work_left
        .filter(|_| work_done > 0.0)
        .map(|left| left * seconds / work_done);
    total
}

impl Total {
    /// The run in one line that is no wider than the terminal.
    pub fn line(&self, columns: usize) -> String {
        if self.planned == 0 {
            return "listing the namespaces".to_owned();
        }
        let mut line = format!("{} of {}", number(self.done as u64), words::namespaces(self.planned));
        let left = self.left.filter(|_| self.done < self.planned);
        let parts = [
            Some(format!("{} objects", short(self.objects))),
            left.map(|left| format!("{} left", duration(left))),
            Some(format!("{}/s", short(self.rate as u64))),
        ];
        for part in parts.into_iter().flatten() {
            if width(&line) + 2 + width(&part) <= columns {
                line.push_str(", ");
                line.push_str(&part);
            }
        }
        line
    }
}

/// A number in at most five columns: 999, 9.9k, 60k, 1.2M.
pub fn short(n: u64) -> String {
    let (divisor, unit) = match n {
        0..1_000 => return n.to_string(),
        1_000..1_000_000 => (1_000, "k"),
        1_000_000..1_000_000_000 => (1_000_000, "M"),
        _ => (1_000_000_000, "G"),
    };
    match n / divisor {
        0..10 => format!("{}.{}{unit}", n / divisor, n % divisor * 10 / divisor),
        _ => format!("{}{unit}", n / divisor),
    }
}

/// A duration in at most six columns: 8s, 12m, 3h20m, 4d.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(objects: u64, fraction: f64, has_ended: bool) -> Option<Walk> {
        Some(Walk {
            objects,
            objects_at_first: 0,
            fraction,
            has_ended,
        })
    }

    fn of(all: &[(Option<u64>, Option<Walk>)], seconds: f64) -> Total {
        total(all.iter().copied(), seconds)
    }

    #[test]
    fn the_time_left_is_that_of_the_objects_and_requests_that_are_left() {
        let all = [
            (None, walk(30_000, 1.0, true)),
            // Half of 60,000.
            (None, walk(30_000, 0.5, false)),
            (Some(50_000), None),
        ];
        let now = of(&all, 7.0);
        // 70,000 in 7 s; 30,000 and 50,000 are left, and a request for each.
        assert_eq!((now.done, now.planned, now.objects), (1, 3, 60_000));
        assert_eq!(now.left, Some(10.0));
        assert_eq!(now.line(80), "1 of 3 namespaces, 60k objects, 10s left, 8.5k/s");
    }

    #[test]
    fn one_of_which_nothing_is_known_is_taken_for_an_average_one() {
        let all = [(None, walk(30_000, 1.0, true)), (None, None), (None, None)];
        assert_eq!(of(&all, 4.0).left, Some(8.0));
        assert_eq!(of(&[(None, walk(0, 0.0, false))], 4.0).left, None);
        assert_eq!(of(&[(Some(5), None)], 0.0).left, None, "nothing was read yet");
    }

    #[test]
    fn what_an_earlier_run_read_took_no_time() {
        let resumed = Walk {
            objects: 90_000,
            objects_at_first: 80_000,
            fraction: 0.9,
            has_ended: false,
        };
        let now = of(&[(None, Some(resumed))], 5.0);
        assert_eq!(now.rate, 2_000.0);
        assert_eq!(now.left, Some(10.0));
    }

    #[test]
    fn the_line_is_no_wider_than_the_terminal() {
        let now = Total {
            done: 1_234,
            planned: 3_000,
            objects: 12_345_678,
            rate: 10_100.0,
            left: Some(12_000.0),
        };
        assert_eq!(
            now.line(80),
            "1,234 of 3,000 namespaces, 12M objects, 3h20m left, 10k/s"
        );
        for columns in 25..80 {
            assert!(width(&now.line(columns)) <= columns);
        }
        assert_eq!(of(&[], 1.0).line(80), "listing the namespaces");
    }

    #[test]
    fn numbers_and_durations_are_short() {
        let numbers = [0, 999, 1_000, 9_999, 60_000, 999_999, 1_250_000, 3_500_000_000];
        assert_eq!(
            numbers.map(short),
            ["0", "999", "1.0k", "9.9k", "60k", "999k", "1.2M", "3.5G"]
        );
        assert_eq!(
            [0.4, 59.0, 61.0, 12_000.0, 400_000.0].map(duration),
            ["0s", "59s", "1m", "3h20m", "4d"]
        );
    }
}
