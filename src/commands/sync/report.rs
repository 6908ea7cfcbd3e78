//! The text of `sync`: a table, the problems and a summary.

use durable_inventory::model::{AccountId, ChangeKind};
use durable_inventory::report::words;
use durable_inventory::store::RunOutcome;
use durable_inventory::sync::{NamespaceOutcome, Status, StopReason, Summary};
use durable_inventory::text::{cut, first_names, shown, visible};

use crate::terminal::look::{Look, Tint};
use crate::terminal::table::{ColumnKind, Heading, number, table};

pub fn text(summary: &Summary, outcome: RunOutcome) -> String {
    let (mut text, look) = (String::new(), Look::stdout());
    if !summary.namespaces.is_empty() {
        text.push_str(&table(&COLUMNS, &GIVE_WAY, summary.namespaces.iter().map(row)));
    }
    let mut say = |line: String| text.push_str(&(look.wrapped(&line, 2) + "\n"));
    let failed = look.tinted("failed", Tint::of_status("failed"));
    for (namespaces, why) in problems(summary) {
        let (status, names) = (namespaces[0].status, labels(&namespaces));
        let tinted = |words: &str| look.tinted(words, Tint::of_status(status.as_str()));
        match status {
            Status::Held => say(format!("{names}: {} {why}", tinted("held for review."))),
            _ => say(format!("{names} {}: {why}", tinted(status.as_str()))),
        }
    }
    for failure in &summary.failed_accounts {
        let about = match failure.error.contains(failure.account.as_str()) {
            true => String::new(),
            false => format!("account {} ", failure.account),
        };
        say(format!("{about}{failed}: {}", cut(&failure.error)));
        let refused: Vec<_> = of_account(summary, &failure.account)
            .filter(|one| one.is_refused)
            .collect();
        if !refused.is_empty() {
            say(format!("not synced because of that: {}", labels(&refused)));
        }
    }
    for list in &summary.doubtful_lists {
        say(format!("account {}: {}", list.account, visible(&list.why)));
    }
    for vanishing in &summary.mass_vanishings {
        say(format!("account {}: {}", vanishing.account, visible(&vanishing.why)));
    }
    text.push_str(&(look.wrapped(&last_line(summary, outcome), 2)));
    text
}

/// Names in a message about several namespaces.
const NAMED: usize = 10;

/// What went wrong in namespaces, with those that have the same status and reason together. The table above has their
/// names, so the reason needs no ids.
fn problems(summary: &Summary) -> Vec<(Vec<&NamespaceOutcome>, String)> {
    let mut problems: Vec<(Vec<&NamespaceOutcome>, String)> = Vec::new();
    for namespace in summary.namespaces.iter().filter(|namespace| !namespace.is_refused) {
        let Some(why) = &namespace.error else { continue };
        let (id, account) = (&namespace.namespace, &namespace.account);
        let why = cut(&why.replace(&format!("objects of namespace {id} in account {account}: "), ""));
        let same = problems
            .iter_mut()
            .find(|(others, reason)| others[0].status == namespace.status && *reason == why);
        match same {
            Some((others, _)) => others.push(namespace),
            None => problems.push((vec![namespace], why)),
        }
    }
    problems
}

fn labels(namespaces: &[&NamespaceOutcome]) -> String {
    first_names(namespaces.iter().map(|one| one.label()), NAMED)
}

fn of_account<'a>(summary: &'a Summary, account: &AccountId) -> impl Iterator<Item = &'a NamespaceOutcome> {
    summary.namespaces.iter().filter(move |one| one.account == *account)
}

const COLUMNS: [Heading; 11] = [
    ("namespace", ColumnKind::Name),
    ("objects", ColumnKind::Right),
    ("with data", ColumnKind::Right),
    ("created", ColumnKind::Right),
    ("removed", ColumnKind::Right),
    ("gained", ColumnKind::Right),
    ("lost", ColumnKind::Right),
    ("pages", ColumnKind::Right),
    ("time", ColumnKind::Right),
    ("snapshot", ColumnKind::Right),
    ("outcome", ColumnKind::Status),
];

const GIVE_WAY: [&str; 8] = [
    "pages",
    "time",
    "snapshot",
    "lost",
    "gained",
    "with data",
    "removed",
    "created",
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
    shown(namespace.label())
}

/// The summary, which is all that --quiet prints: problems are in the warnings.
pub fn last_line(summary: &Summary, outcome: RunOutcome) -> String {
    let with = |statuses: &[Status]| {
        let of_status = summary.namespaces.iter().filter(|one| statuses.contains(&one.status));
        of_status.collect::<Vec<_>>()
    };
    let synced = with(&[Status::Complete]);
    let objects: u64 = synced.iter().map(|namespace| namespace.counts.objects()).sum();
    if summary.namespaces.is_empty() && !summary.failed_accounts.is_empty() {
        return format!("run {} {}: no namespace was synced\n", summary.run_id, outcome.as_str());
    }
    let stopped = match summary.stopped {
        Some(StopReason::Signal) => "; stopped by a signal: the next run resumes from the last committed pages",
        Some(StopReason::Deadline) => "; the deadline came: the next run resumes from the last committed pages",
        None => "",
    };
    // Without this, "100 of 100" would read as complete.
    let doubtful = match summary.doubtful_lists.as_slice() {
        [] => "",
        _ => "; there may be more namespaces than were listed",
    };
    let mut text = format!(
        "run {} {}: {} synced ({})",
        summary.run_id,
        outcome.as_str(),
        words::namespaces(synced.len()),
        words::objects(objects)
    );
    for (statuses, one, several) in [
        (&[Status::Missing][..], "no longer exists", "no longer exist"),
        (&[Status::Held], "held for review", "held for review"),
        (&[Status::Vanished], "vanished", "vanished"),
        (&[Status::Interrupted], "interrupted", "interrupted"),
        (&[Status::Failed], "failed", "failed"),
        (
            &[Status::Busy, Status::Superseded],
            "synced by another run",
            "synced by another run",
        ),
    ] {
        match with(statuses).len() {
            0 => {}
            1 => text.push_str(&format!(", 1 {one}")),
            n => text.push_str(&format!(", {} {several}", number(n as u64))),
        }
    }
    format!("{text}{doubtful}{stopped}\n")
}
