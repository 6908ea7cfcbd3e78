//! A namespace's figures over time, from the counts of its published snapshots.

use time::{Date, Duration, OffsetDateTime, UtcOffset};

use crate::store::PointRow;

/// A day in UTC: the counts recorded at its end, and the objects recorded as created and removed during it. All are
/// `None` before the baseline, and a baseline creates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    pub date: Date,
    pub objects: Option<u64>,
    pub with_data: Option<u64>,
    pub created: Option<u64>,
    pub removed: Option<u64>,
}

/// Published snapshots, the oldest first.
#[derive(Debug, Clone, Default)]
pub struct Series(Vec<PointRow>);

/// A namespace's latest and usual growth, in objects per day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    pub latest: f64,
    pub usual: f64,
}

/// The usual growth is the average of up to `USUAL_DAYS` days, and unknown with fewer than `FEWEST_DAYS`.
const USUAL_DAYS: i64 = 29;
const FEWEST_DAYS: usize = 7;

impl Series {
    pub fn new(mut points: Vec<PointRow>) -> Self {
        points.sort_by_key(|point| point.at);
        Self(points)
    }

    /// The newest snapshot published by `moment`; `None` before the first.
    pub fn as_of(&self, moment: OffsetDateTime) -> Option<&PointRow> {
        let newer = self.0.partition_point(|point| point.at <= moment);
        newer.checked_sub(1).map(|newest| &self.0[newest])
    }

    /// One entry per date.
    pub fn days(&self, dates: &[Date]) -> Vec<Day> {
        dates.iter().map(|date| self.day(*date)).collect()
    }

    fn day(&self, date: Date) -> Day {
        let begins = self.0.partition_point(|point| day_of(point.at) < date);
        let ends = self.0.partition_point(|point| day_of(point.at) <= date);
        let newest = ends.checked_sub(1).map(|newest| &self.0[newest]);
        let of_the_day = &self.0[begins..ends];
        // A day with only the baseline has no known changes.
        let only_baseline = !of_the_day.is_empty() && of_the_day.iter().all(|point| point.baseline);
        let sum = |count: fn(&PointRow) -> i64| {
            let counted = of_the_day.iter().filter(|point| !point.baseline).map(count);
            (newest.is_some() && !only_baseline).then(|| counted.sum::<i64>() as u64)
        };
        Day {
            date,
            objects: newest.map(|point| point.objects as u64),
            with_data: newest.map(|point| point.with_data as u64),
            created: sum(|point| point.created),
            removed: sum(|point| point.removed),
        }
    }

    /// The growth since yesterday, and the average growth of the days before. A day on which the namespace shrank
    /// counts as one without growth. If snapshots are more than a day apart, growth is spread evenly over the days
    /// between them. `None` while the record is too short.
    pub fn growth(&self, now: OffsetDateTime) -> Option<Growth> {
        let newest = self.as_of(now)?;
        let before = self.as_of(now - Duration::DAY)?;
        let objects_at = |back: i64| {
            self.as_of(before.at - Duration::days(back))
                .map(|point| point.objects as f64)
        };
        let grown: Vec<f64> = (0..USUAL_DAYS)
            .map_while(|back| Some((objects_at(back)? - objects_at(back + 1)?).max(0.0)))
            .collect();
        if grown.len() < FEWEST_DAYS {
            return None;
        }
        let days_between = ((newest.at - before.at) / Duration::DAY).max(1.0);
        Some(Growth {
            latest: (newest.objects - before.objects) as f64 / days_between,
            usual: grown.iter().sum::<f64>() / grown.len() as f64,
        })
    }
}

pub fn day_of(moment: OffsetDateTime) -> Date {
    moment.to_offset(UtcOffset::UTC).date()
}

/// The dates of the last `days` days, up to that of `moment`.
pub fn dates_until(moment: OffsetDateTime, days: u16) -> Vec<Date> {
    let last = day_of(moment);
    (0..i64::from(days))
        .rev()
        .filter_map(|back| last.checked_sub(Duration::days(back)))
        .collect()
}

#[cfg(test)]
mod tests;
