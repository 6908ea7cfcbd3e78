//! The document of `report`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Time, Version};
use crate::report::{self, CountChange, LatestSnapshot, NamespaceFigures, PERIODS, Presence, Report};

/// Growth of the record, and what needs attention: `report --format json`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReportDocument<'a> {
    version: Version,
    at: Time,
    growth_factor: f64,
    growth_floor: u64,
    stale_after_seconds: u64,
    /// Of the namespaces that are neither missing nor retired.
    totals: Totals,
    missing: Missing,
    retired: Retired,
    /// The most urgent first.
    attention: Vec<AttentionEntry<'a>>,
    last_run: Option<LastRun<'a>>,
    namespaces: Vec<Namespace<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Totals {
    namespaces: usize,
    namespaces_without_a_snapshot: usize,
    objects: u64,
    with_data: u64,
    unknown: u64,
    with_data_percent: Option<f64>,
    changes: ByPeriod,
    days: Vec<Day>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Missing {
    namespaces: usize,
    objects: u64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Retired {
    namespaces: usize,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Attention"))]
pub(super) struct AttentionEntry<'a> {
    /// held, failed, stale, missing or growth.
    trouble: &'static str,
    /// Null for a run.
    account_id: Option<&'a str>,
    /// Null for a run.
    namespace_id: Option<&'a str>,
    label: &'a str,
    snapshot_id: Option<i32>,
    why: &'a str,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct LastRun<'a> {
    run_id: i64,
    started_at: Time,
    finished_at: Option<Time>,
    outcome: &'a str,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Namespace<'a> {
    account_id: &'a str,
    namespace_id: &'a str,
    name: Option<&'a str>,
    script: Option<&'a str>,
    class: Option<&'a str>,
    /// present, missing or retired.
    presence: &'static str,
    missing_since: Option<Time>,
    /// The newest published snapshot.
    snapshot: Option<Snapshot>,
    changes: ByPeriod,
    growth: Option<Growth>,
    days: Vec<Day>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Snapshot {
    snapshot_id: i32,
    recorded_at: Time,
    age_seconds: Option<i64>,
    objects: u64,
    with_data: u64,
    unknown: u64,
    with_data_percent: Option<f64>,
}

/// Changes by period: `1d`, `7d` and `30d`. A period that begins before the baseline is null.
type ByPeriod = BTreeMap<String, Option<Change>>;

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Change {
    objects: i64,
    with_data: i64,
    /// Namespaces that were recorded at the start of the period.
    namespaces: usize,
}

/// Objects per day.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Growth {
    latest: f64,
    usual: f64,
    sudden: bool,
}

/// A day in UTC. The counts are null before the baseline.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Day {
    date: String,
    objects: Option<u64>,
    with_data: Option<u64>,
    created: Option<u64>,
    removed: Option<u64>,
}

impl<'a> From<&'a Report> for ReportDocument<'a> {
    fn from(report: &'a Report) -> Self {
        let (options, totals) = (&report.options, &report.totals);
        Self {
            version: Version,
            at: Time(report.at),
            growth_factor: options.growth_factor,
            growth_floor: options.growth_floor,
            stale_after_seconds: options.stale_after.as_secs(),
            totals: Totals {
                namespaces: totals.namespaces,
                namespaces_without_a_snapshot: totals.unrecorded,
                objects: totals.count.objects,
                with_data: totals.count.with_data,
                unknown: totals.count.unknown,
                with_data_percent: totals.count.share(),
                changes: by_period(&totals.changes),
                days: totals.days.iter().map(day).collect(),
            },
            missing: Missing {
                namespaces: totals.missing,
                objects: totals.missing_objects,
            },
            retired: Retired {
                namespaces: totals.retired,
            },
            attention: report.attention.iter().map(attention).collect(),
            last_run: report.last_run.as_ref().map(|run| LastRun {
                run_id: run.run_id,
                started_at: Time(run.started_at),
                finished_at: run.finished_at.map(Time),
                outcome: &run.outcome,
            }),
            namespaces: report
                .namespaces
                .iter()
                .map(|figures| namespace(report, figures))
                .collect(),
        }
    }
}

fn unless_empty(id: &str) -> Option<&str> {
    Some(id).filter(|id| !id.is_empty())
}

pub(super) fn attention(entry: &report::Attention) -> AttentionEntry<'_> {
    AttentionEntry {
        trouble: entry.trouble.as_str(),
        account_id: unless_empty(&entry.account_id),
        namespace_id: unless_empty(&entry.namespace_id),
        label: &entry.label,
        snapshot_id: entry.snapshot_id,
        why: &entry.why,
    }
}

fn namespace<'a>(report: &Report, figures: &'a NamespaceFigures) -> Namespace<'a> {
    Namespace {
        account_id: &figures.account_id,
        namespace_id: &figures.namespace_id,
        name: figures.name.as_deref(),
        script: figures.script.as_deref(),
        class: figures.class.as_deref(),
        presence: match figures.presence {
            Presence::Present => "present",
            Presence::Missing => "missing",
            Presence::Retired => "retired",
        },
        missing_since: figures.missing_since.map(Time),
        snapshot: figures.newest.as_ref().map(|newest| snapshot(report, figures, newest)),
        changes: by_period(&figures.changes),
        growth: figures.growth.map(|growth| Growth {
            latest: growth.latest,
            usual: growth.usual,
            sudden: figures.sudden,
        }),
        days: figures.days.iter().map(day).collect(),
    }
}

fn snapshot(report: &Report, figures: &NamespaceFigures, newest: &LatestSnapshot) -> Snapshot {
    Snapshot {
        snapshot_id: newest.snapshot_id,
        recorded_at: Time(newest.recorded_at),
        age_seconds: figures.age(report.at).map(|age| age.whole_seconds()),
        objects: newest.count.objects,
        with_data: newest.count.with_data,
        unknown: newest.count.unknown,
        with_data_percent: newest.count.share(),
    }
}

fn by_period(changes: &[Option<CountChange>; 3]) -> ByPeriod {
    let change = |change: CountChange| Change {
        objects: change.objects,
        with_data: change.with_data,
        namespaces: change.namespaces,
    };
    let periods = PERIODS.iter().zip(changes);
    periods
        .map(|(days, found)| (format!("{days}d"), found.map(change)))
        .collect()
}

fn day(day: &report::Day) -> Day {
    Day {
        date: day.date.to_string(),
        objects: day.objects,
        with_data: day.with_data,
        created: day.created,
        removed: day.removed,
    }
}
