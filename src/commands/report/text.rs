//! A report for the terminal: a table, totals, and what needs attention.

use durable_inventory::report::words::{ASCII_SPARK, SPARK, Spark};
use durable_inventory::report::{
    Attention, Count, CountChange, Day, NamespaceFigures, Previews, Report, ReportEntry, by_trouble, summary, words,
};
use durable_inventory::text::shown;
use time::OffsetDateTime;

use crate::terminal::look::{Look, Tint};
use crate::terminal::table::ColumnKind::{Left, Name, Right};
use crate::terminal::table::{Heading, number, table};
use crate::terminal::times::for_people;

/// Days of the sparkline, today included.
pub const TREND: u16 = 14;

pub fn text(report: &Report) -> String {
    let look = &Look::stdout();
    let rows = report.entries().into_iter().map(|entry| match entry {
        ReportEntry::Namespace(figures) => cells(report, figures, look),
        ReportEntry::Previews(previews) => cells_of_previews(report, &previews, look),
    });
    let mut rows: Vec<_> = rows.collect();
    rows.push(total(report, look));
    let mut text = table(&COLUMNS, &GIVE_WAY, rows.into_iter());
    for line in notes(report) {
        text.push_str(&(look.wrapped(&line, 2) + "\n"));
    }
    if report.attention.is_empty() {
        text.push_str("\nnothing needs attention\n");
        return text;
    }
    text.push_str(&format!("\n{}\n", look.tinted("needs attention", Some(Tint::Bold))));
    for (shown, rest) in by_trouble(&report.attention) {
        shown
            .iter()
            .for_each(|entry| text.push_str(&attention(report, entry, look)));
        if let Some(first) = rest.first() {
            text.push_str(&format!(
                "{}  and {} more\n",
                trouble(first, look),
                number(rest.len() as u64)
            ));
        }
    }
    text
}

const COLUMNS: [Heading; 10] = [
    ("namespace", Name),
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

/// The age says what the time of the last snapshot does.
const GIVE_WAY: [&str; 7] = [
    "last snapshot",
    "with data",
    "30 days",
    "last 14 days",
    "share",
    "7 days",
    "age",
];

fn cells(report: &Report, figures: &NamespaceFigures, look: &Look) -> Vec<String> {
    let label = with_account(report, &figures.account_id, shown(figures.label()));
    let count = figures.newest.map(|newest| newest.count);
    let recorded_at = figures.newest.map(|newest| newest.recorded_at);
    row(label, count, &figures.changes, recorded_at, &figures.days, report, look)
}

/// The time is that of the preview that was not recorded for the longest time.
fn cells_of_previews(report: &Report, previews: &Previews<'_>, look: &Look) -> Vec<String> {
    let (namespaces, totals) = (&previews.namespaces, &previews.totals);
    let class = format!("{}_{}", shown(previews.script), shown(previews.class));
    let label = format!("{class} ({} previews)", number(namespaces.len() as u64));
    let account = namespaces.first().map_or("", |first| first.account_id.as_str());
    let recorded_at = namespaces.iter().filter_map(|one| Some(one.newest?.recorded_at)).min();
    let label = with_account(report, account, label);
    row(
        label,
        Some(totals.count),
        &totals.changes,
        recorded_at,
        &totals.days,
        report,
        look,
    )
}

fn with_account(report: &Report, account: &str, label: String) -> String {
    match report.several_accounts() {
        true => format!("{account}/{label}"),
        false => label,
    }
}

fn row(
    label: String,
    count: Option<Count>,
    changes: &[Option<CountChange>; 3],
    recorded_at: Option<OffsetDateTime>,
    days: &[Day],
    report: &Report,
    look: &Look,
) -> Vec<String> {
    let mut cells = vec![label];
    cells.extend(counts(count, changes, look));
    cells.push(recorded_at.map_or_else(|| look.none().to_owned(), for_people));
    cells.push(recorded_at.map_or_else(|| look.none().to_owned(), |at| words::age(report.at - at)));
    cells.push(words::sparkline(days, spark(look)));
    cells
}

fn total(report: &Report, look: &Look) -> Vec<String> {
    let totals = &report.totals;
    let mut cells = vec!["total".to_owned()];
    cells.extend(counts(Some(totals.count), &totals.changes, look));
    cells.extend([
        String::new(),
        String::new(),
        words::sparkline(&totals.days, spark(look)),
    ]);
    cells
}

/// Cells for objects, objects with data, their share, and the changes.
fn counts(count: Option<Count>, changes: &[Option<CountChange>; 3], look: &Look) -> Vec<String> {
    let mut cells = vec![
        count.map_or_else(|| look.none().to_owned(), |count| number(count.objects)),
        count.map_or_else(|| look.none().to_owned(), |count| number(count.with_data)),
        count
            .and_then(|count| count.share())
            .map_or_else(|| look.none().to_owned(), words::percent),
    ];
    let changes = changes.iter();
    cells.extend(
        changes
            .map(|change| change.map_or_else(|| look.none().to_owned(), |change| words::signed(change.objects, '-'))),
    );
    cells
}

fn spark(look: &Look) -> &'static Spark {
    if look.unicode { &SPARK } else { &ASCII_SPARK }
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

fn attention(report: &Report, entry: &Attention, look: &Look) -> String {
    let account = match report.several_accounts() {
        true => format!("{}/", entry.account_id),
        false => String::new(),
    };
    let text = format!("{}  {account}{}: {}", trouble(entry, look), entry.label, entry.why);
    look.wrapped(&text, 9) + "\n"
}

fn trouble(entry: &Attention, look: &Look) -> String {
    let word = entry.trouble.as_str();
    let padding = " ".repeat(7_usize.saturating_sub(word.len()));
    look.tinted(word, Tint::of_status(word)) + &padding
}
