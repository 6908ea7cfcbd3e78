//! A report for the terminal: a table, totals, and what needs attention.

use comfy_table::CellAlignment::{Left, Right};
use durable_inventory::report::{Attention, Count, CountChange, NamespaceFigures, Report, by_trouble, summary, words};
use durable_inventory::text::shown;

use crate::terminal::table::{Heading, number, table};
use crate::terminal::times::for_people;

/// Days of the sparkline, today included.
pub const TREND: u16 = 14;

pub fn text(report: &Report) -> String {
    let mut rows: Vec<_> = report.present().map(|figures| cells(report, figures)).collect();
    rows.push(total(report));
    let mut text = table(&COLUMNS, rows.into_iter());
    for line in notes(report) {
        text.push_str(&line);
        text.push('\n');
    }
    if report.attention.is_empty() {
        text.push_str("\nnothing needs attention\n");
        return text;
    }
    text.push_str("\nneeds attention\n");
    for (shown, rest) in by_trouble(&report.attention) {
        shown.iter().for_each(|entry| text.push_str(&attention(report, entry)));
        if let Some(first) = rest.first() {
            text.push_str(&format!(
                "{:7}  and {} more\n",
                first.trouble.as_str(),
                number(rest.len() as u64)
            ));
        }
    }
    text
}

const COLUMNS: [Heading; 10] = [
    ("namespace", Left),
    ("objects", Right),
    ("with data", Right),
    ("share", Right),
    ("1 day", Right),
    ("7 days", Right),
    ("30 days", Right),
    ("last snapshot", Left),
    ("age", Right),
    ("last 14 days", Left),
];

fn cells(report: &Report, figures: &NamespaceFigures) -> Vec<String> {
    let label = match report.several_accounts() {
        true => format!("{}/{}", figures.account_id, shown(figures.label())),
        false => shown(figures.label()),
    };
    let newest = figures.newest;
    let mut cells = vec![label];
    cells.extend(counts(newest.map(|newest| newest.count), &figures.changes));
    cells.push(newest.map_or_else(none, |newest| for_people(newest.recorded_at)));
    cells.push(figures.age(report.at).map_or_else(none, words::age));
    cells.push(words::sparkline(&figures.days));
    cells
}

fn total(report: &Report) -> Vec<String> {
    let totals = &report.totals;
    let mut cells = vec!["total".to_owned()];
    cells.extend(counts(Some(totals.count), &totals.changes));
    cells.extend([String::new(), String::new(), words::sparkline(&totals.days)]);
    cells
}

/// Cells for objects, objects with data, their share, and the changes.
fn counts(count: Option<Count>, changes: &[Option<CountChange>; 3]) -> Vec<String> {
    let mut cells = vec![
        count.map_or_else(none, |count| number(count.objects)),
        count.map_or_else(none, |count| number(count.with_data)),
        count.and_then(|count| count.share()).map_or_else(none, words::percent),
    ];
    let changes = changes.iter();
    cells.extend(changes.map(|change| change.map_or_else(none, |change| words::signed(change.objects, '-'))));
    cells
}

fn none() -> String {
    words::NONE.to_owned()
}

/// Lines below the table.
fn notes(report: &Report) -> Vec<String> {
    let mut notes = vec![String::new(), summary::totals(report)];
    notes.extend(summary::partial_changes(report));
    notes.extend(summary::vanished(report));
    if let Some(run) = &report.last_run {
        let when = match run.finished_at {
            Some(at) => format!("ended {}", for_people(at)),
            None => format!("began {}", for_people(run.started_at)),
        };
        notes.push(format!("last run: {}, {}, {when}", run.run_id, run.outcome));
    }
    notes
}

fn attention(report: &Report, entry: &Attention) -> String {
    let account = match report.several_accounts() {
        true => format!("{}/", entry.account_id),
        false => String::new(),
    };
    format!(
        "{:7}  {account}{}: {}\n",
        entry.trouble.as_str(),
        entry.label,
        entry.why
    )
}
