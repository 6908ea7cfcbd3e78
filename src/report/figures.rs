//! A report's figures per namespace and in total.

use std::time::Duration as StdDuration;

use time::{Duration, OffsetDateTime};

use super::series::{Day, Growth, Series, day_of};
use crate::model::label;
use crate::store::NamespaceRecord;

/// The periods of the "change since" columns, in days.
pub const PERIODS: [u16; 3] = [1, 7, 30];

/// The settings of a report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReportOptions {
    /// Growth above this multiple of the usual is sudden.
    pub growth_factor: f64,
    /// Growth of fewer objects per day is never sudden.
    pub growth_floor: u64,
    /// A namespace is stale if its newest snapshot is older.
    pub stale_after: StdDuration,
    /// Days in the charts, including today.
    pub days: u16,
}

impl Default for ReportOptions {
    /// The defaults of `report`.
    fn default() -> Self {
        Self {
            growth_factor: 3.0,
            growth_floor: 100,
            stale_after: StdDuration::from_secs(36 * 3600),
            days: 90,
        }
    }
}

/// Whether the account still has a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Present,
    /// No longer listed, and its object list returns 404. Its recorded objects stay.
    Missing,
    /// Missing, and without objects in the record.
    Retired,
}

#[derive(Debug, Clone)]
pub struct NamespaceFigures {
    pub account_id: String,
    pub namespace_id: String,
    pub name: Option<String>,
    pub script: Option<String>,
    pub class: Option<String>,
    /// Whether it belongs to a preview deployment, whose script and class are those of its parent.
    pub is_preview: bool,
    pub presence: Presence,
    pub missing_since: Option<OffsetDateTime>,
    /// `None` before the first published snapshot.
    pub newest: Option<LatestSnapshot>,
    /// Changes since each of [`PERIODS`]; `None` if that was before the baseline.
    pub changes: [Option<CountChange>; 3],
    pub growth: Option<Growth>,
    pub sudden: bool,
    pub days: Vec<Day>,
}

/// The newest published snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatestSnapshot {
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
    /// Percentage of objects that are known to hold data.
    pub fn share(&self) -> Option<f64> {
        (self.objects > 0).then(|| self.with_data as f64 * 100.0 / self.objects as f64)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CountChange {
    pub objects: i64,
    pub with_data: i64,
    /// Namespaces included: those that were recorded at the start of the period.
    pub namespaces: usize,
}

#[derive(Debug, Clone, Default)]
pub struct Totals {
    pub namespaces: usize,
    /// Namespaces without a published snapshot.
    pub unrecorded: usize,
    pub count: Count,
    pub changes: [Option<CountChange>; 3],
    /// Sums over the namespaces that were not missing on that day.
    pub days: Vec<Day>,
    pub missing: usize,
    pub missing_objects: u64,
    pub retired: usize,
}

impl NamespaceFigures {
    pub(super) fn new(
        options: &ReportOptions,
        at: OffsetDateTime,
        row: &NamespaceRecord,
        series: &Series,
        days: Vec<Day>,
    ) -> Self {
        let newest = newest(row);
        let growth = series.growth(at);
        let sudden = growth.is_some_and(|growth| {
            growth.latest >= options.growth_floor as f64 && growth.latest > options.growth_factor * growth.usual
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
            is_preview: row.preview.is_some(),
            presence,
            missing_since: row.missing_since,
            newest,
            changes: PERIODS.map(|days| {
                let then = series.as_of(at - Duration::days(i64::from(days)))?;
                let now = newest?.count;
                Some(CountChange {
                    objects: now.objects as i64 - then.objects,
                    with_data: now.with_data as i64 - then.with_data,
                    namespaces: 1,
                })
            }),
            growth,
            sudden: sudden && presence == Presence::Present,
            days,
        }
    }

    /// The name if there is one, else the id. Untrusted: sanitize it with `text::shown`.
    pub fn label(&self) -> &str {
        label(self.name.as_deref(), &self.namespace_id)
    }

    pub fn age(&self, at: OffsetDateTime) -> Option<Duration> {
        Some(at - self.newest?.recorded_at)
    }
}

fn newest(namespace: &NamespaceRecord) -> Option<LatestSnapshot> {
    namespace.published.map(|newest| LatestSnapshot {
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
    pub(super) fn of<'a>(namespaces: impl IntoIterator<Item = &'a NamespaceFigures>) -> Self {
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

    /// A namespace counts until the day on which it was found missing.
    fn add_days(&mut self, figures: &NamespaceFigures) {
        let missing = figures.missing_since.map(day_of);
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
