//! `history OBJECT_ID`: the intervals of one object, and the gaps between them.

use durable_inventory::cli::{HistoryArgs, OutputFormat};
use durable_inventory::config::Settings;
use durable_inventory::documents::IntervalLine;
use durable_inventory::model::{ObjectId, label};
use durable_inventory::store::{IntervalRow, Store, StoreError};
use durable_inventory::text::shown;

use super::filter::Filter;
use super::store::{nothing_recorded, with_record};
use crate::terminal::table::ColumnKind::{Left, Name};
use crate::terminal::table::{Heading, table};
use crate::terminal::times::for_people;
use crate::terminal::{self, Failure};

pub async fn run(settings: &Settings<'_>, args: &HistoryArgs) -> Result<u8, Failure> {
    let filter = Filter::new(&args.filter);
    let rows = with_record(settings.store()?, 2, async |store| {
        filter.require_match(store).await?;
        life(store, &filter, &args.object).await
    })
    .await?
    .ok_or_else(nothing_recorded)?;
    let text = match args.output.format() {
        OutputFormat::Json => {
            let id = args.object.to_string();
            terminal::json_lines(rows.iter().map(|row| IntervalLine::new(row, &id)))?
        }
        OutputFormat::Text => table(&COLUMNS, &GIVE_WAY, lines(&rows).into_iter()),
    };
    terminal::out(&text)?;
    Ok(0)
}

/// Returns the intervals in the selected namespaces. If there are none, the error says which remedy applies.
async fn life(store: &Store, filter: &Filter<'_>, object: &ObjectId) -> Result<Vec<IntervalRow>, Failure> {
    let failed = |error: StoreError| Failure::new(error, 1);
    let (rows, elsewhere): (Vec<_>, Vec<_>) = store
        .object_life(object)
        .await
        .map_err(failed)?
        .into_iter()
        .partition(|row| filter.selects(&row.account_id, &row.namespace_id, row.name.as_deref()));
    if !rows.is_empty() {
        return Ok(rows);
    }
    if store.namespaces().await.map_err(failed)?.is_empty() {
        return Err(nothing_recorded());
    }
    let pruned = store.pruned_object(object).await.map_err(failed)?;
    let message = match (elsewhere.first(), pruned) {
        (Some(row), _) => format!(
            "object {object} is not recorded in the selected namespaces, but in {}: omit --namespace and \
             --account",
            shown(label(row.name.as_deref(), &row.namespace_id))
        ),
        (None, Some(first_seen_at)) => format!(
            "object {object} was first seen at {}, but it was removed and its history was pruned",
            for_people(first_seen_at)
        ),
        (None, None) => {
            format!("object {object} is in no snapshot: check the id, and see `durable-inventory namespaces`")
        }
    };
    Err(Failure { message, exit_code: 1 })
}

const COLUMNS: [Heading; 4] = [("namespace", Name), ("state", Left), ("from", Left), ("to", Left)];
/// The next line begins where this one ends.
const GIVE_WAY: [&str; 1] = ["to"];

/// One line per interval and per gap between them, in which the object was absent.
fn lines(rows: &[IntervalRow]) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let label = shown(label(row.name.as_deref(), &row.namespace_id));
        if is_first_left(rows, index) && row.first_seen_at < row.valid_from {
            let (seen, from) = (for_people(row.first_seen_at), for_people(row.valid_from));
            lines.push(vec![label.clone(), "(pruned)".to_owned(), seen, from]);
        }
        let since = if row.since_baseline { " or earlier" } else { "" };
        lines.push(vec![
            label.clone(),
            state(row.has_stored_data).to_owned(),
            for_people(row.valid_from) + since,
            row.valid_to.map_or_else(|| "now".to_owned(), for_people),
        ]);
        let next = rows
            .get(index + 1)
            .filter(|next| (&next.account_id, &next.namespace_id) == (&row.account_id, &row.namespace_id));
        let Some(gone) = row
            .valid_to
            .filter(|gone| next.is_none_or(|next| next.valid_from != *gone))
        else {
            continue;
        };
        let back = next.map_or_else(|| "now".to_owned(), |next| for_people(next.valid_from));
        lines.push(vec![label, "absent".to_owned(), for_people(gone), back]);
    }
    lines
}

fn is_first_left(rows: &[IntervalRow], index: usize) -> bool {
    let of = |row: &IntervalRow| (row.account_id.clone(), row.namespace_id.clone());
    index == 0 || of(&rows[index - 1]) != of(&rows[index])
}

fn state(has_stored_data: Option<bool>) -> &'static str {
    match has_stored_data {
        Some(true) => "with data",
        Some(false) => "without data",
        None => "unknown",
    }
}
