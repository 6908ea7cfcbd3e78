//! What `diff` says: changes on stdout, counts on stderr, or counts alone on stdout.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use comfy_table::CellAlignment::{Left, Right};
use durable_inventory::cli::{DiffArgs, DiffFormat, GlobalArgs};
use durable_inventory::diff::{Asked, Counts, DiffError, Owners, Spool};
use durable_inventory::export::csv_injection::guarded;
use durable_inventory::model::{ChangeCounts, ChangeKind};
use durable_inventory::text::shown;
use serde::Serialize;
use tracing::warn;

use super::{Compared, TROUBLE, failure};
use crate::commands::Failure;
use crate::terminal;
use crate::terminal::table::{Column, number, table};

pub fn tell(args: &DiffArgs, global: &GlobalArgs, compared: Compared) -> Result<(), Failure> {
    let Compared { owners, found, .. } = compared;
    let sides = [&args.from, &args.to];
    for (index, skipped) in found.skipped.iter().enumerate() {
        for (owner, objects) in &skipped.not_covered {
            let label = owners.label(*owner).unwrap_or_default();
            warn!("{}", not_compared(&label, *objects, sides[index], sides[1 - index]));
        }
        if let Some((first, _)) = skipped.unknown.first_key_value() {
            let label = owners.label(*first).unwrap_or_default();
            warn!("{}", unknown(&label, &skipped.unknown, sides[index], sides[1 - index]));
        }
    }
    let total = found.tally.total();
    if total.not_comparable > 0 {
        warn!(
            "{} objects that both sides list were compared by their ids alone: only one side has has_stored_data",
            number(total.not_comparable)
        );
    }
    if args.summary {
        let mut rows: Vec<_> = found.tally.owners().map(|(owner, counts)| (owner, *counts)).collect();
        rows.sort_by_cached_key(|(owner, _)| owners.owner(*owner));
        let text = summary(args.format.unwrap_or_default(), &owners, &rows, &total)?;
        return terminal::out(&text).map_err(|failure| Failure {
            exit_code: TROUBLE,
            ..failure
        });
    }
    write(found.listed)?;
    if !global.quiet {
        terminal::err(&line(&total));
    }
    Ok(())
}

fn not_compared(label: &str, objects: u64, there: &Asked, silent: &Asked) -> String {
    format!(
        "namespace {} is not compared, with {} objects in {there}: {silent} says nothing of it",
        shown(label),
        number(objects)
    )
}

/// Rows of a file whose namespaces could not be chosen, with the label of the first of these.
fn unknown(label: &str, rows: &BTreeMap<u32, u64>, there: &Asked, other: &Asked) -> String {
    let others = match rows.len() - 1 {
        0 => String::new(),
        1 => " and another one".to_owned(),
        more => format!(" and {} others", number(more as u64)),
    };
    let why = match other {
        Asked::Moment(_) => "the record does not have their namespace",
        Asked::Place(_) => "without names, --namespace and --account do not choose their namespace",
    };
    let objects = number(rows.values().sum());
    format!(
        "{objects} objects in {there} are not compared: {why} {}{others}",
        shown(label)
    )
}

/// Whoever read the first lines and left, such as `head`, has what it wanted.
fn write(listed: Spool) -> Result<(), Failure> {
    let mut stdout = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let written = listed.copy_to(&mut stdout).and_then(|()| stdout.flush());
    // What could not be written is not tried once more.
    let (_stdout, _rest) = stdout.into_parts();
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(failure(DiffError::Write(error))),
        _ => Ok(()),
    }
}

/// All changes in one line.
fn line(total: &Counts) -> String {
    let same = format!("{} objects are the same", number(total.same + total.not_comparable));
    if total.changed() == 0 {
        return format!("no difference: {same}");
    }
    let changes = total.changes.iter();
    let changes: Vec<_> = changes
        .map(|(kind, count)| format!("{} {kind}", number(count)))
        .collect();
    format!("{}; {same}", changes.join(", "))
}

const COLUMNS: [Column; 9] = [
    ("namespace", Left),
    ("created", Right),
    ("removed", Right),
    ("gained", Right),
    ("lost", Right),
    ("known", Right),
    ("unknown", Right),
    ("the same", Right),
    ("by id alone", Right),
];

/// One namespace, for programs.
#[derive(Serialize)]
struct Row {
    account_id: Option<String>,
    namespace_id: Option<String>,
    #[serde(flatten)]
    changes: ChangeCounts,
    same: u64,
    not_comparable: u64,
}

impl Row {
    fn new(owners: &Owners, owner: u32, counts: &Counts) -> Self {
        let whose = owners.owner(owner);
        Self {
            account_id: whose.account_id.map(|text| text.to_string()),
            namespace_id: whose.namespace_id.map(|text| text.to_string()),
            changes: counts.changes,
            same: counts.same,
            not_comparable: counts.not_comparable,
        }
    }
}

fn summary(format: DiffFormat, owners: &Owners, rows: &[(u32, Counts)], total: &Counts) -> Result<String, Failure> {
    let programs = rows.iter().map(|(owner, counts)| Row::new(owners, *owner, counts));
    match format {
        DiffFormat::Text => Ok(text(owners, rows, total)),
        DiffFormat::Jsonl => {
            let lines: Result<Vec<_>, _> = programs.map(|row| serde_json::to_string(&row)).collect();
            let lines = lines.map_err(|error| Failure::new(error, TROUBLE))?;
            Ok(lines.into_iter().map(|line| line + "\n").collect())
        }
        DiffFormat::Csv => csv(programs).map_err(|error| Failure::new(error, TROUBLE)),
    }
}

fn csv(rows: impl Iterator<Item = Row>) -> Result<String, csv::Error> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .has_headers(false)
        .from_writer(Vec::new());
    // Also if there is no row.
    let kinds = ChangeKind::ALL.map(ChangeKind::as_str);
    writer.write_record([&["account_id", "namespace_id"][..], &kinds, &["same", "not_comparable"]].concat())?;
    for row in rows {
        let id = |id: &Option<String>| id.as_deref().map(|id| guarded(id).into_owned()).unwrap_or_default();
        let counts = row.changes.iter().map(|(_, count)| count);
        let numbers = counts
            .chain([row.same, row.not_comparable])
            .map(|count| count.to_string());
        let ids = [id(&row.account_id), id(&row.namespace_id)];
        writer.write_record(ids.into_iter().chain(numbers))?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn text(owners: &Owners, rows: &[(u32, Counts)], total: &Counts) -> String {
    let cells = |label: String, counts: &Counts| {
        let mut cells = vec![label];
        cells.extend(counts.changes.iter().map(|(_, count)| number(count)));
        cells.extend([number(counts.same), number(counts.not_comparable)]);
        cells
    };
    let mut lines: Vec<_> = rows
        .iter()
        .map(|(owner, counts)| {
            let label = owners.label(*owner).as_deref().map(shown);
            cells(label.unwrap_or_else(|| "(not said)".to_owned()), counts)
        })
        .collect();
    if lines.len() != 1 {
        lines.push(cells("all".to_owned(), total));
    }
    table(&COLUMNS, lines.into_iter())
}
