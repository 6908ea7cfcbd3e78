//! A report as JSON: one versioned object, independent of the library's types.

use durable_inventory::report::{
    Attention, CountChange, Day, LatestSnapshot, NamespaceFigures, PERIODS, Presence, Report,
};
use serde_json::{Map, Value, json};

use crate::terminal::times::for_programs;

/// Version 1. Scripts depend on it: fields may be added, never changed.
pub fn json(report: &Report) -> String {
    let (options, totals) = (&report.options, &report.totals);
    let json = json!({
        "version": 1,
        "at": for_programs(report.at),
        "growth_factor": options.growth_factor,
        "growth_floor": options.growth_floor,
        "stale_after_seconds": options.stale_after.as_secs(),
        "totals": totals_json(report),
        "missing": { "namespaces": totals.missing, "objects": totals.missing_objects },
        "retired": { "namespaces": totals.retired },
        "attention": report.attention.iter().map(attention).collect::<Vec<_>>(),
        "last_run": report.last_run.as_ref().map(|run| json!({
            "run_id": run.run_id,
            "started_at": for_programs(run.started_at),
            "finished_at": run.finished_at.map(for_programs),
            "outcome": run.outcome,
        })),
        "namespaces": report.namespaces.iter().map(|figures| namespace(report, figures)).collect::<Vec<_>>(),
    });
    format!("{json}\n")
}

fn totals_json(report: &Report) -> Value {
    let totals = &report.totals;
    json!({
        "namespaces": totals.namespaces,
        "namespaces_without_a_snapshot": totals.unrecorded,
        "objects": totals.count.objects,
        "with_data": totals.count.with_data,
        "unknown": totals.count.unknown,
        "with_data_percent": totals.count.share(),
        "changes": changes(&totals.changes),
        "days": totals.days.iter().map(day).collect::<Vec<_>>(),
    })
}

fn namespace(report: &Report, figures: &NamespaceFigures) -> Value {
    let presence = match figures.presence {
        Presence::Present => "present",
        Presence::Missing => "missing",
        Presence::Retired => "retired",
    };
    json!({
        "account_id": figures.account_id,
        "namespace_id": figures.namespace_id,
        "name": figures.name,
        "script": figures.script,
        "class": figures.class,
        "presence": presence,
        "missing_since": figures.missing_since.map(for_programs),
        "snapshot": figures.newest.as_ref().map(|newest| snapshot(report, figures, newest)),
        "changes": changes(&figures.changes),
        "growth": figures.growth.map(|growth| {
            json!({ "latest": growth.latest, "usual": growth.usual, "sudden": figures.sudden })
        }),
        "days": figures.days.iter().map(day).collect::<Vec<_>>(),
    })
}

fn snapshot(report: &Report, figures: &NamespaceFigures, newest: &LatestSnapshot) -> Value {
    json!({
        "snapshot_id": newest.snapshot_id,
        "recorded_at": for_programs(newest.recorded_at),
        "age_seconds": figures.age(report.at).map(|age| age.whole_seconds()),
        "objects": newest.count.objects,
        "with_data": newest.count.with_data,
        "unknown": newest.count.unknown,
        "with_data_percent": newest.count.share(),
    })
}

/// Changes by period, such as `7d`. A period that begins before the baseline is null.
fn changes(changes: &[Option<CountChange>; 3]) -> Value {
    let change = |change: &Option<CountChange>| match change {
        Some(change) => {
            json!({ "objects": change.objects, "with_data": change.with_data, "namespaces": change.namespaces })
        }
        None => Value::Null,
    };
    let by_period = PERIODS
        .iter()
        .zip(changes)
        .map(|(days, of)| (format!("{days}d"), change(of)));
    Value::Object(by_period.collect::<Map<_, _>>())
}

fn day(day: &Day) -> Value {
    json!({
        "date": day.date.to_string(),
        "objects": day.objects,
        "with_data": day.with_data,
        "created": day.created,
        "removed": day.removed,
    })
}

fn attention(entry: &Attention) -> Value {
    json!({
        "trouble": entry.trouble.as_str(),
        "account_id": Some(&entry.account_id).filter(|id| !id.is_empty()),
        "namespace_id": Some(&entry.namespace_id).filter(|id| !id.is_empty()),
        "label": entry.label,
        "snapshot_id": entry.snapshot_id,
        "why": entry.why,
    })
}
