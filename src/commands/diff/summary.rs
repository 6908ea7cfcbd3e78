//! The output of `diff`: changes on stdout with counts on stderr, or counts alone on stdout.

use std::collections::BTreeMap;
use std::io::{self, Read};

use durable_inventory::cli::{DiffArgs, DiffFormat, GlobalArgs};
use durable_inventory::diff::{DiffCounts, DiffError, Namespaces, Operand};
use durable_inventory::documents::{self, DiffSummaryLine};
use durable_inventory::export::Stdout;
use durable_inventory::export::csv_injection::guarded;
use durable_inventory::model::ChangeKind;
use durable_inventory::text::shown;
use tracing::warn;

use super::{Compared, TROUBLE, failure};
use crate::terminal::table::ColumnKind::{Name, Right};
use crate::terminal::table::{Heading, number, table};
use crate::terminal::{self, Failure};

pub fn print(args: &DiffArgs, global: &GlobalArgs, compared: Compared) -> Result<(), Failure> {
    let Compared { namespaces, found, .. } = compared;
    let sides = [&args.from, &args.to];
    for (index, skipped) in found.skipped.iter().enumerate() {
        for (number, objects) in &skipped.not_covered {
            let label = namespaces.label(*number).unwrap_or_default();
            warn!("{}", not_compared(&label, *objects, sides[index], sides[1 - index]));
        }
        if let Some((first, _)) = skipped.unknown.first_key_value() {
            let label = namespaces.label(*first).unwrap_or_default();
            warn!("{}", unknown(&label, &skipped.unknown, sides[index], sides[1 - index]));
        }
    }
    let total = found.tally.total();
    if total.not_comparable > 0 {
        warn!(
            "{} objects on both sides were compared by id alone, because only one side has has_stored_data",
            number(total.not_comparable)
        );
    }
    if args.summary {
        let mut rows: Vec<_> = found
            .tally
            .namespaces()
            .map(|(number, counts)| (number, *counts))
            .collect();
        rows.sort_by_cached_key(|(number, _)| namespaces.key(*number));
        let text = summary(args.format(), &namespaces, &rows, &total)?;
        return terminal::out(&text).map_err(|failure| Failure {
            exit_code: TROUBLE,
            ..failure
        });
    }
    write(found.lines)?;
    if !global.quiet {
        terminal::err(&line(&total));
    }
    Ok(())
}

fn not_compared(label: &str, objects: u64, there: &Operand, silent: &Operand) -> String {
    format!(
        "namespace {} is not compared: it has {} objects in {there}, and is not in {silent}",
        shown(label),
        number(objects)
    )
}

/// Returns the warning about a file's rows whose namespaces are unknown; `label` is that of the first one.
fn unknown(label: &str, rows: &BTreeMap<u32, u64>, there: &Operand, other: &Operand) -> String {
    let others = match rows.len() - 1 {
        0 => String::new(),
        1 => " and 1 other".to_owned(),
        more => format!(" and {} others", number(more as u64)),
    };
    let why = match other {
        Operand::Moment(_) => "no record of their namespace",
        Operand::Place(_) => "without names, --namespace and --account cannot select their namespace",
    };
    let objects = number(rows.values().sum());
    format!(
        "{objects} objects in {there} are not compared: {why} {}{others}",
        shown(label)
    )
}

/// A reader that left, such as `head` or a closed terminal, is not an error.
fn write(mut lines: impl Read) -> Result<(), Failure> {
    match io::copy(&mut lines, &mut Stdout::default()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(failure(DiffError::Write(error))),
        _ => Ok(()),
    }
}

/// Returns the counts as one line.
fn line(total: &DiffCounts) -> String {
    let same = format!("{} objects are identical", number(total.same + total.not_comparable));
    if total.changed() == 0 {
        return format!("no difference: {same}");
    }
    let changes = total.changes.iter();
    let changes: Vec<_> = changes
        .map(|(kind, count)| format!("{} {kind}", number(count)))
        .collect();
    format!("{}; {same}", changes.join(", "))
}

const COLUMNS: [Heading; 9] = [
    ("namespace", Name),
    ("created", Right),
    ("removed", Right),
    ("gained", Right),
    ("lost", Right),
    ("known", Right),
    ("unknown", Right),
    ("the same", Right),
    ("by id alone", Right),
];

const GIVE_WAY: [&str; 6] = ["by id alone", "known", "unknown", "the same", "gained", "lost"];

fn summary(
    format: DiffFormat,
    namespaces: &Namespaces,
    rows: &[(u32, DiffCounts)],
    total: &DiffCounts,
) -> Result<String, Failure> {
    match format {
        DiffFormat::Text => Ok(text(namespaces, rows, total)),
        DiffFormat::Jsonl => {
            let line = |(number, counts): &(u32, DiffCounts)| {
                documents::line(&DiffSummaryLine::new(&namespaces.key(*number), counts))
            };
            let lines: Result<String, _> = rows.iter().map(line).collect();
            lines.map_err(|error| Failure::new(error, TROUBLE))
        }
        DiffFormat::Csv => csv(namespaces, rows).map_err(|error| Failure::new(error, TROUBLE)),
    }
}

fn csv(namespaces: &Namespaces, rows: &[(u32, DiffCounts)]) -> Result<String, csv::Error> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::Any(b'\n'))
        .from_writer(Vec::new());
    let kinds = ChangeKind::ALL.map(ChangeKind::as_str);
    writer.write_record([&["account_id", "namespace_id"][..], &kinds, &["same", "not_comparable"]].concat())?;
    for (number, counts) in rows {
        let key = namespaces.key(*number);
        let ids =
            [&key.account_id, &key.namespace_id].map(|id| guarded(id.as_deref().unwrap_or_default()).into_owned());
        let changes = counts.changes.iter().map(|(_, count)| count);
        let numbers = changes
            .chain([counts.same, counts.not_comparable])
            .map(|count| count.to_string());
        writer.write_record(ids.into_iter().chain(numbers))?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn text(namespaces: &Namespaces, rows: &[(u32, DiffCounts)], total: &DiffCounts) -> String {
    let cells = |label: String, counts: &DiffCounts| {
        let mut cells = vec![label];
        cells.extend(counts.changes.iter().map(|(_, count)| number(count)));
        cells.extend([number(counts.same), number(counts.not_comparable)]);
        cells
    };
    let mut lines: Vec<_> = rows
        .iter()
        .map(|(number, counts)| {
            let label = namespaces.label(*number).as_deref().map(shown);
            cells(label.unwrap_or_else(|| "(unknown)".to_owned()), counts)
        })
        .collect();
    if lines.len() != 1 {
        lines.push(cells("all".to_owned(), total));
    }
    table(&COLUMNS, &GIVE_WAY, lines.into_iter())
}
