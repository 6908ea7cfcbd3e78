//! A report's figures, from counts and a moment.

use std::collections::HashMap;
use std::time::Duration as StdDuration;

use time::{Duration, OffsetDateTime};

use super::attention::{self, Attention};
use super::series::{Day, Growth, Point, Series, dates_until};
use crate::model::label;
use crate::store::{LastRun, NamespaceRecord, PointRow, ReportRow};

/// The periods of the "change since" columns, in days.
pub const PERIODS: [u16; 3] = [1, 7, 30];

/// What makes a report, besides the record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked {
    /// Growth is sudden above so many times the usual.
    pub growth_factor: f64,
    /// Growth of fewer objects a day is never called sudden.
    pub growth_floor: u64,
    /// An older newest snapshot is stale.
    pub stale_after: StdDuration,
    /// Days of the charts, today included.
    pub days: u16,
}

#[derive(Debug, Clone)]
pub struct Report {
    pub asked: Asked,
    pub at: OffsetDateTime,
    /// Namespaces in the record, whether they were asked for or not.
    pub recorded: usize,
    /// Largest first within an account.
    pub namespaces: Vec<NamespaceFigures>,
    /// Of the namespaces that are neither missing nor retired.
    pub totals: Totals,
    pub attention: Vec<Attention>,
    pub last_run: Option<LastRun>,
}

/// Where a namespace stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Present,
    /// No longer listed, and its object list answers 404; its objects stay as they were recorded.
    Missing,
    /// Missing, and no object of it is left in the record.
    Retired,
}

#[derive(Debug, Clone)]
pub struct NamespaceFigures {
    pub account_id: String,
    pub namespace_id: String,
    pub name: Option<String>,
    pub script: Option<String>,
    pub class: Option<String>,
    pub presence: Presence,
    pub missing_since: Option<OffsetDateTime>,
    /// `None` where no snapshot was published yet.
    pub newest: Option<Newest>,
    /// Against what was recorded [`PERIODS`] ago; `None` before the baseline.
    pub changes: [Option<Change>; 3],
    pub growth: Option<Growth>,
    pub sudden: bool,
    pub days: Vec<Day>,
}

/// The newest published snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    pub snapshot_id: i32,
    pub recorded_at: OffsetDateTime,
    pub count: Count,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    pub objects: u64,
    pub with_data: u64,
    pub unknown: u64,
}

impl Count {
    /// The part of the objects that is known to hold data, in percent.
    pub fn share(&self) -> Option<f64> {
        (self.objects > 0).then(|| self.with_data as f64 * 100.0 / self.objects as f64)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    pub objects: i64,
    pub with_data: i64,
    /// Namespaces that it is of: those that were recorded then.
    pub namespaces: usize,
}

#[derive(Debug, Clone, Default)]
pub struct Totals {
    pub namespaces: usize,
    /// Of them, without a published snapshot.
    pub unrecorded: usize,
    pub count: Count,
    pub changes: [Option<Change>; 3],
    /// What was recorded of the namespaces that were not missing on that day.
    pub days: Vec<Day>,
    pub missing: usize,
    pub missing_objects: u64,
    pub retired: usize,
}

impl Report {
    pub fn new(
        asked: Asked,
        at: OffsetDateTime,
        recorded: usize,
        rows: &[ReportRow],
        points: &[PointRow],
        last_run: Option<LastRun>,
    ) -> Self {
        let mut by_key: HashMap<i32, Vec<Point>> = HashMap::new();
        for point in points {
            by_key.entry(point.key).or_default().push(point.into());
        }
        let dates = dates_until(at, asked.days);
        let mut attention: Vec<_> = last_run.as_ref().and_then(attention::of_run).into_iter().collect();
        let mut namespaces = Vec::with_capacity(rows.len());
        for row in rows {
            let series = Series::new(by_key.remove(&row.namespace.key).unwrap_or_default());
            let figures = NamespaceFigures::new(&asked, at, &row.namespace, &series, series.days(&dates));
            attention::of_namespace(&asked, at, row, &figures, &mut attention);
            namespaces.push(figures);
        }
        // The rows come by name; a stable sort leaves equals in that order.
        namespaces.sort_by(|one, other| {
            let size = |figures: &NamespaceFigures| figures.newest.map(|newest| newest.count.objects);
            (one.account_id.cmp(&other.account_id)).then(size(other).cmp(&size(one)))
        });
        attention.sort_by_key(|entry| entry.trouble.rank());
        Self {
            asked,
            at,
            recorded,
            totals: Totals::of(&namespaces),
            namespaces,
            attention,
            last_run,
        }
    }

    /// Those that are neither missing nor retired.
    pub fn present(&self) -> impl Iterator<Item = &NamespaceFigures> {
        self.namespaces
            .iter()
            .filter(|figures| figures.presence == Presence::Present)
    }

    /// Whether an account has to be named for its namespaces to be told apart.
    pub fn several_accounts(&self) -> bool {
        self.namespaces
            .windows(2)
            .any(|two| two[0].account_id != two[1].account_id)
    }
}

impl NamespaceFigures {
    fn new(asked: &Asked, at: OffsetDateTime, row: &NamespaceRecord, series: &Series, days: Vec<Day>) -> Self {
        let newest = newest(row);
        let growth = series.growth(at);
        let sudden = growth.is_some_and(|growth| {
            growth.latest >= asked.growth_floor as f64 && growth.latest > asked.growth_factor * growth.usual
        });
        let objects = newest.map(|newest| newest.count.objects);
        let presence = match (row.missing_since, objects.unwrap_or(0)) {
            (None, _) => Presence::Present,
            (Some(_), 0) => Presence::Retired,
            (Some(_), _) => Presence::Missing,
        };
        Self {
            account_id: row.account_id.clone(),
            namespace_id: row.namespace_id.clone(),
            name: row.name.clone().filter(|name| !name.is_empty()),
            script: row.script.clone(),
            class: row.class.clone(),
            presence,
            missing_since: row.missing_since,
            newest,
            changes: PERIODS.map(|days| {
                let then = series.as_of(at - Duration::days(i64::from(days)))?;
                let now = newest?.count;
                Some(Change {
                    objects: now.objects as i64 - then.objects as i64,
                    with_data: now.with_data as i64 - then.with_data as i64,
                    namespaces: 1,
                })
            }),
            growth,
            sudden: sudden && presence == Presence::Present,
            days,
        }
    }

    /// What a person is shown: the name where there is one, else the id. Foreign words: show them through `text::shown`.
    pub fn label(&self) -> &str {
        label(self.name.as_deref(), &self.namespace_id)
    }

    pub fn age(&self, at: OffsetDateTime) -> Option<Duration> {
        Some(at - self.newest?.recorded_at)
    }
}

fn newest(namespace: &NamespaceRecord) -> Option<Newest> {
    namespace.published.map(|newest| Newest {
        snapshot_id: newest.snapshot_id,
        recorded_at: newest.recorded_at,
        count: Count {
            objects: newest.objects,
            with_data: newest.with_data,
            unknown: newest.unknown,
        },
    })
}

impl Totals {
    fn of(namespaces: &[NamespaceFigures]) -> Self {
        let mut totals = Self::default();
        for figures in namespaces {
            let count = figures.newest.map(|newest| newest.count).unwrap_or_default();
            totals.add_days(figures);
            match figures.presence {
                Presence::Missing => {
                    totals.missing += 1;
                    totals.missing_objects += count.objects;
                    continue;
                }
                Presence::Retired => {
                    totals.retired += 1;
                    continue;
                }
                Presence::Present => {}
            }
            totals.namespaces += 1;
            totals.unrecorded += usize::from(figures.newest.is_none());
            totals.count.objects += count.objects;
            totals.count.with_data += count.with_data;
            totals.count.unknown += count.unknown;
            for (sum, change) in totals.changes.iter_mut().zip(figures.changes) {
                let Some(change) = change else { continue };
                let sum = sum.get_or_insert_default();
                sum.objects += change.objects;
                sum.with_data += change.with_data;
                sum.namespaces += change.namespaces;
            }
        }
        totals
    }

    /// A namespace counts up to the day on which it was found missing.
    fn add_days(&mut self, figures: &NamespaceFigures) {
        let missing = figures.missing_since.map(super::series::day_of);
        for (index, day) in figures.days.iter().enumerate() {
            if self.days.len() <= index {
                self.days.push(Day {
                    objects: None,
                    with_data: None,
                    created: None,
                    removed: None,
                    ..*day
                });
            }
            if missing.is_some_and(|missing| day.date >= missing) {
                continue;
            }
            let sum = &mut self.days[index];
            for (sum, one) in [
                (&mut sum.objects, day.objects),
                (&mut sum.with_data, day.with_data),
                (&mut sum.created, day.created),
                (&mut sum.removed, day.removed),
            ] {
                if let Some(one) = one {
                    *sum.get_or_insert(0) += one;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
