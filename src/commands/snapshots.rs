//! `snapshots`: lists the recorded snapshots, or accepts or discards a held one.

use clap::ValueEnum;
use durable_inventory::cli::{OutputFormat, SnapshotDecision, SnapshotsArgs};
use durable_inventory::config::Settings;
use durable_inventory::documents::SnapshotLine;
use durable_inventory::model::label;
use durable_inventory::store::{FoundSnapshots, SnapshotRow, StoreError};
use durable_inventory::sync::{self, Decision};
use durable_inventory::text::{self, cut, shown};
use tracing::info;

use super::filter::Filter;
use super::store::{nothing_recorded, nothing_to_show, with_record};
use crate::terminal::look::Look;
use crate::terminal::suggested::complete;
use crate::terminal::table::ColumnKind::{Left, Name, Right, Status};
use crate::terminal::table::{Heading, number, table};
use crate::terminal::times::for_people;
use crate::terminal::{self, Failure, question};

pub async fn run(settings: &Settings<'_>, args: &SnapshotsArgs) -> Result<u8, Failure> {
    if let Some(decision) = &args.decision {
        return decide(settings, decision).await;
    }
    let filter = Filter::new(&args.filter);
    let statuses = args.status.iter().filter_map(ValueEnum::to_possible_value);
    let statuses: Vec<_> = statuses.map(|status| status.get_name().to_owned()).collect();
    let listed = with_record(settings.store()?, 2, async |store| {
        filter.require_match(store).await?;
        let work = async {
            let mut namespaces = store.namespaces().await?;
            namespaces.retain(|there| filter.selects_record(there));
            let keys: Vec<_> = namespaces.iter().map(|namespace| namespace.key).collect();
            store.snapshot_rows(&keys, &statuses, args.limit).await
        };
        work.await.map_err(|error: StoreError| Failure::new(error, 1))
    });
    let FoundSnapshots { rows, found } = listed.await?.unwrap_or_default();
    if (rows.len() as u64) < found {
        let (shown, found) = (number(rows.len() as u64), number(found));
        info!("showing the newest {shown} of {found} snapshots: use --limit to show more");
    }
    let text = match args.output.format() {
        OutputFormat::Json => terminal::json_lines(rows.iter().map(SnapshotLine::from))?,
        OutputFormat::Text if rows.is_empty() && !args.status.is_empty() => "no snapshot matches\n".to_owned(),
        OutputFormat::Text if rows.is_empty() => nothing_to_show(),
        OutputFormat::Text => complete(&as_text(&rows)).into_owned(),
    };
    terminal::out(&text)?;
    Ok(0)
}

const COLUMNS: [Heading; 11] = [
    ("snapshot", Right),
    ("run", Right),
    ("namespace", Name),
    ("status", Status),
    ("started at", Left),
    ("recorded at", Left),
    ("objects", Right),
    ("created", Right),
    ("removed", Right),
    ("gained", Right),
    ("lost", Right),
];

const GIVE_WAY: [&str; 8] = [
    "run",
    "started at",
    "lost",
    "gained",
    "removed",
    "created",
    "objects",
    "recorded at",
];

fn as_text(rows: &[SnapshotRow]) -> String {
    let (mut text, look) = (table(&COLUMNS, &GIVE_WAY, rows.iter().map(cells)), Look::stdout());
    for row in rows {
        if let Some(error) = &row.error {
            let line = format!("snapshot {}: {}", row.snapshot_id, cut(error));
            text.push_str(&(look.wrapped(&line, 2) + "\n"));
        }
    }
    text
}

fn cells(row: &SnapshotRow) -> Vec<String> {
    let status = if row.baseline {
        format!("{} (baseline)", row.status)
    } else {
        row.status.clone()
    };
    vec![
        row.snapshot_id.to_string(),
        row.run_id.to_string(),
        shown(label(row.name.as_deref(), &row.namespace_id)),
        status,
        for_people(row.started_at),
        row.recorded_at.map(for_people).unwrap_or_default(),
        number(row.objects as u64),
        number(row.created as u64),
        number(row.removed as u64),
        number(row.data_gained as u64),
        number(row.data_lost as u64),
    ]
}

async fn decide(settings: &Settings<'_>, decision: &SnapshotDecision) -> Result<u8, Failure> {
    let (decision, asked, question, done) = match decision {
        SnapshotDecision::Accept { held } => (Decision::Accept, &held.held, "Publish it?", "published"),
        SnapshotDecision::Discard { held } => (Decision::Discard, &held.held, "Drop it?", "discarded"),
    };
    let by_number = asked.parse().ok();
    with_record(settings.store()?, 3, async |store| {
        let failed = |error| Failure::new(error, 1);
        let held = match by_number {
            Some(id) => sync::held(store, id, decision).await,
            None => sync::held_of(store, asked, decision).await,
        };
        let held = held.map_err(failed)?;
        if by_number.is_none() && !question::can_be_asked() {
            return Err(Failure {
                message: format!(
                    "there is no terminal to ask for confirmation: name the snapshot by its number: `{}`",
                    decision.command(held.snapshot_id)
                ),
                exit_code: 2,
            });
        }
        terminal::err(&preview(&held));
        if by_number.is_none() && !question::ask(question).await {
            terminal::err(&format!(
                "nothing was changed: snapshot {} stays held",
                held.snapshot_id
            ));
            return Ok(1);
        }
        // The number that was shown, whatever was held since.
        let id = i32::try_from(held.snapshot_id).map_err(|error| Failure::new(error, 1))?;
        let namespace = sync::decide(store, id, decision).await.map_err(failed)?;
        terminal::out(&format!("snapshot {id} of {} is {done}\n", shown(&namespace)))?;
        Ok(0)
    })
    .await?
    .ok_or_else(nothing_recorded)
}

/// What a person has to know before the decision.
fn preview(held: &SnapshotRow) -> String {
    let count = |n: i64| number(n as u64);
    format!(
        "snapshot {} of {}, taken {}: {} ({} recorded now), {} created, {} removed, {} unknown",
        held.snapshot_id,
        shown(label(held.name.as_deref(), &held.namespace_id)),
        for_people(held.finished_at.unwrap_or(held.started_at)),
        text::count(held.objects as u64, "object"),
        count(held.objects + held.removed - held.created),
        count(held.created),
        count(held.removed),
        count(held.unknown),
    )
}
