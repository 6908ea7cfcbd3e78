//! The output of `sync`: a table as text, or one versioned object as JSON.

use comfy_table::CellAlignment;
use durable_inventory::model::{ChangeCounts, ChangeKind, label};
use durable_inventory::store::RunOutcome;
use durable_inventory::sync::{NamespaceOutcome, Status, StopReason, Summary};
use durable_inventory::text::{shown, visible};
use serde::Serialize;

use crate::terminal::Failure;
use crate::terminal::table::{Heading, number, table};

pub fn text(summary: &Summary, outcome: RunOutcome) -> String {
    let mut text = String::new();
    if !summary.namespaces.is_empty() {
        text.push_str(&table(&COLUMNS, summary.namespaces.iter().map(row)));
    }
    for namespace in summary.namespaces.iter().filter(|namespace| namespace.error.is_some()) {
        let why = namespace.error.as_deref().unwrap_or_default();
        text.push_str(&format!(
            "{} {}: {}\n",
            shown_label(namespace),
            namespace.status.as_str(),
            shown(why)
        ));
    }
    for failure in &summary.failed_accounts {
        text.push_str(&format!(
            "account {} failed: {}\n",
            failure.account,
            shown(&failure.error)
        ));
    }
    for list in &summary.doubtful_lists {
        text.push_str(&format!("account {}: {}\n", list.account, visible(&list.why)));
    }
    for vanishing in &summary.mass_vanishings {
        text.push_str(&format!("account {}: {}\n", vanishing.account, visible(&vanishing.why)));
    }
    text.push_str(&last_line(summary, outcome));
    text
}

const COLUMNS: [Heading; 11] = [
    ("namespace", CellAlignment::Left),
    ("objects", CellAlignment::Right),
    ("with data", CellAlignment::Right),
    ("created", CellAlignment::Right),
    ("removed", CellAlignment::Right),
    ("gained", CellAlignment::Right),
    ("lost", CellAlignment::Right),
    ("pages", CellAlignment::Right),
    ("time", CellAlignment::Right),
    ("snapshot", CellAlignment::Right),
    ("outcome", CellAlignment::Left),
];

fn row(namespace: &NamespaceOutcome) -> Vec<String> {
    let counts = &namespace.counts;
    let outcome = match (namespace.status, namespace.baseline) {
        (Status::Complete, true) => "complete (baseline)",
        (status, _) => status.as_str(),
    };
    // A walk without a proven end has no totals.
    let whole = matches!(namespace.status, Status::Complete | Status::Held);
    let number = |n: u64| if whole { number(n) } else { String::new() };
    vec![
        shown_label(namespace),
        number(counts.objects()),
        number(counts.with_data),
        number(counts.changes[ChangeKind::Created]),
        number(counts.changes[ChangeKind::Removed]),
        number(counts.changes[ChangeKind::DataGained]),
        number(counts.changes[ChangeKind::DataLost]),
        number(namespace.pages),
        format!("{:.1} s", namespace.elapsed.as_secs_f64()),
        namespace.snapshot_id.map(|id| id.to_string()).unwrap_or_default(),
        outcome.to_owned(),
    ]
}

fn shown_label(namespace: &NamespaceOutcome) -> String {
    shown(label(namespace.name.as_deref(), namespace.namespace.as_str()))
}

/// The summary, which is all that --quiet prints: problems are in the warnings.
pub fn last_line(summary: &Summary, outcome: RunOutcome) -> String {
    let complete = summary
        .namespaces
        .iter()
        .filter(|namespace| namespace.status == Status::Complete);
    let objects: u64 = complete.clone().map(|namespace| namespace.counts.objects()).sum();
    if summary.namespaces.is_empty() && !summary.failed_accounts.is_empty() {
        return format!("run {} {}: no namespace was walked\n", summary.run_id, outcome.as_str());
    }
    let stopped = match summary.stopped {
        Some(StopReason::Signal) => "; stopped by a signal: the next run goes on from the last committed pages",
        Some(StopReason::Deadline) => "; the deadline came: the next run goes on from the last committed pages",
        None => "",
    };
    // Without this, "100 of 100" would read as complete.
    let doubtful = match summary.doubtful_lists.as_slice() {
        [] => "",
        _ => "; there may be more namespaces than were listed",
    };
    format!(
        "run {} {}: {} of {} namespaces recorded, {} objects{doubtful}{stopped}\n",
        summary.run_id,
        outcome.as_str(),
        complete.count(),
        summary.namespaces.len(),
        number(objects)
    )
}

/// Version 1. Scripts depend on it: fields may be added, never changed.
#[derive(Serialize)]
struct Json<'a> {
    version: u8,
    run_id: i64,
    outcome: &'static str,
    exit_code: u8,
    namespaces: Vec<JsonNamespace<'a>>,
    accounts_failed: Vec<JsonAccount<'a>>,
    /// Accounts whose namespace list may be truncated; the listed namespaces were walked.
    lists_doubtful: Vec<JsonAccount<'a>>,
    /// Accounts of which many namespaces vanished at once; none of these was marked as missing.
    mass_vanishings: Vec<JsonAccount<'a>>,
}

#[derive(Serialize)]
struct JsonAccount<'a> {
    account_id: &'a str,
    error: &'a str,
}

#[derive(Serialize)]
struct JsonNamespace<'a> {
    account_id: &'a str,
    namespace_id: &'a str,
    name: Option<&'a str>,
    status: &'static str,
    snapshot_id: Option<i32>,
    objects: u64,
    with_data: u64,
    without_data: u64,
    unknown: u64,
    #[serde(flatten)]
    changes: ChangeCounts,
    pages: u64,
    requests: u64,
    resumed: u64,
    seconds: f64,
    error: Option<&'a str>,
}

pub fn json(summary: &Summary, outcome: RunOutcome, exit_code: u8) -> Result<String, Failure> {
    let json = Json {
        version: 1,
        run_id: summary.run_id,
        outcome: outcome.as_str(),
        exit_code,
        namespaces: summary.namespaces.iter().map(json_namespace).collect(),
        accounts_failed: summary
            .failed_accounts
            .iter()
            .map(|failure| JsonAccount {
                account_id: failure.account.as_str(),
                error: &failure.error,
            })
            .collect(),
        lists_doubtful: summary
            .doubtful_lists
            .iter()
            .map(|list| JsonAccount {
                account_id: list.account.as_str(),
                error: &list.why,
            })
            .collect(),
        mass_vanishings: summary
            .mass_vanishings
            .iter()
            .map(|vanishing| JsonAccount {
                account_id: vanishing.account.as_str(),
                error: &vanishing.why,
            })
            .collect(),
    };
    let text = serde_json::to_string(&json).map_err(|error| Failure::new(error, 1))?;
    Ok(text + "\n")
}

fn json_namespace(namespace: &NamespaceOutcome) -> JsonNamespace<'_> {
    let counts = &namespace.counts;
    JsonNamespace {
        account_id: namespace.account.as_str(),
        namespace_id: namespace.namespace.as_str(),
        name: namespace.name.as_deref(),
        status: namespace.status.as_str(),
        snapshot_id: namespace.snapshot_id,
        objects: counts.objects(),
        with_data: counts.with_data,
        without_data: counts.without_data,
        unknown: counts.unknown,
        changes: counts.changes,
        pages: namespace.pages,
        requests: namespace.requests,
        resumed: namespace.resumed,
        seconds: (namespace.elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
        error: namespace.error.as_deref(),
    }
}
