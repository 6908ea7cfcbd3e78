//! `namespaces` and `snapshots`: what was recorded.

use clap::ValueEnum;
use comfy_table::CellAlignment::{Left, Right};
use durable_inventory::cli::{GlobalArgs, NamespacesArgs, OutputFormat, SnapshotsArgs};
use durable_inventory::config::Settings;
use durable_inventory::model::label;
use durable_inventory::store::{FoundSnapshots, NamespaceRecord, SnapshotRow, StoreError};
use durable_inventory::text::shown;
use serde_json::json;
use tracing::info;

use super::Failure;
use super::filter::Filter;
use super::store::with_store;
use crate::terminal;
use crate::terminal::table::{Column, number, table};
use crate::terminal::times::{for_people, for_programs};

pub async fn namespaces(settings: &Settings<'_>, global: &GlobalArgs, args: &NamespacesArgs) -> Result<u8, Failure> {
    let mut rows = with_store(settings.store()?, global, 2, async |store| {
        store.namespaces().await.map_err(|error| Failure::new(error, 1))
    })
    .await?;
    let filter = Filter::new(&args.filter);
    rows.retain(|row| filter.selects_record(row));
    let text = match args.output.format {
        OutputFormat::Json => terminal::json_lines(rows.iter().map(namespace_json)),
        OutputFormat::Text if rows.is_empty() => filter.nothing("namespace"),
        OutputFormat::Text => namespaces_text(&rows),
    };
    terminal::out(&text)?;
    Ok(0)
}

const NAMESPACES: [Column; 9] = [
    ("account", Left),
    ("namespace", Left),
    ("name", Left),
    ("script", Left),
    ("class", Left),
    ("objects", Right),
    ("with data", Right),
    ("recorded at", Left),
    ("missing since", Left),
];

/// Which account a namespace is of is said where they have several: its 32 digits push the rest off a terminal.
fn namespaces_text(rows: &[NamespaceRecord]) -> String {
    let several = rows.windows(2).any(|two| two[0].account_id != two[1].account_id);
    let first = usize::from(!several);
    table(
        &NAMESPACES[first..],
        rows.iter().map(|row| namespace_cells(row).split_off(first)),
    )
}

fn namespace_cells(row: &NamespaceRecord) -> Vec<String> {
    let newest = row.published;
    let text = |text: &Option<String>| text.as_deref().map(shown).unwrap_or_default();
    vec![
        row.account_id.clone(),
        shown(&row.namespace_id),
        text(&row.name),
        text(&row.script),
        text(&row.class),
        newest.map(|newest| number(newest.objects)).unwrap_or_default(),
        newest.map(|newest| number(newest.with_data)).unwrap_or_default(),
        newest.map(|newest| for_people(newest.recorded_at)).unwrap_or_default(),
        missing(row),
    ]
}

/// Nothing is left to be done about a namespace of which nothing is left, as `report` has it.
fn missing(row: &NamespaceRecord) -> String {
    match (row.missing_since, row.published.map_or(0, |newest| newest.objects)) {
        (None, _) => String::new(),
        (Some(_), 0) => "retired".to_owned(),
        (Some(since), _) => for_people(since),
    }
}

fn namespace_json(row: &NamespaceRecord) -> serde_json::Value {
    let newest = row.published;
    json!({
        "account_id": row.account_id,
        "namespace_id": row.namespace_id,
        "name": row.name,
        "script": row.script,
        "class": row.class,
        "use_sqlite": row.use_sqlite,
        "missing_since": row.missing_since.map(for_programs),
        "snapshot_id": newest.map(|newest| newest.snapshot_id),
        "recorded_at": newest.map(|newest| for_programs(newest.recorded_at)),
        "objects": newest.map(|newest| newest.objects),
        "with_data": newest.map(|newest| newest.with_data),
    })
}

pub async fn snapshots(settings: &Settings<'_>, global: &GlobalArgs, args: &SnapshotsArgs) -> Result<u8, Failure> {
    let filter = Filter::new(&args.filter);
    let statuses = args.status.iter().filter_map(ValueEnum::to_possible_value);
    let statuses: Vec<_> = statuses.map(|status| status.get_name().to_owned()).collect();
    let FoundSnapshots { rows, found } = with_store(settings.store()?, global, 2, async |store| {
        let work = async {
            let mut namespaces = store.namespaces().await?;
            namespaces.retain(|there| filter.selects_record(there));
            let keys: Vec<_> = namespaces.iter().map(|namespace| namespace.key).collect();
            store.snapshot_rows(&keys, &statuses, args.limit).await
        };
        work.await.map_err(|error: StoreError| Failure::new(error, 1))
    })
    .await?;
    if (rows.len() as u64) < found {
        let (shown, found) = (number(rows.len() as u64), number(found));
        info!("these are the newest {shown} of {found} snapshots: --limit shows more");
    }
    let text = match args.output.format {
        OutputFormat::Json => terminal::json_lines(rows.iter().map(snapshot_json)),
        OutputFormat::Text if rows.is_empty() && !args.status.is_empty() => "no such snapshot is recorded\n".to_owned(),
        OutputFormat::Text if rows.is_empty() => filter.nothing("snapshot"),
        OutputFormat::Text => snapshots_text(&rows),
    };
    terminal::out(&text)?;
    Ok(0)
}

const SNAPSHOTS: [Column; 11] = [
    ("snapshot", Right),
    ("run", Right),
    ("namespace", Left),
    ("status", Left),
    ("started at", Left),
    ("recorded at", Left),
    ("objects", Right),
    ("created", Right),
    ("removed", Right),
    ("gained", Right),
    ("lost", Right),
];

fn snapshots_text(rows: &[SnapshotRow]) -> String {
    let mut text = table(&SNAPSHOTS, rows.iter().map(snapshot_cells));
    for row in rows {
        if let Some(error) = &row.error {
            text.push_str(&format!("snapshot {}: {}\n", row.snapshot_id, shown(error)));
        }
    }
    text
}

fn snapshot_cells(row: &SnapshotRow) -> Vec<String> {
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

fn snapshot_json(row: &SnapshotRow) -> serde_json::Value {
    json!({
        "snapshot_id": row.snapshot_id,
        "run_id": row.run_id,
        "account_id": row.account_id,
        "namespace_id": row.namespace_id,
        "status": row.status,
        "baseline": row.baseline,
        "base_snapshot_id": row.base_snapshot_id,
        "started_at": for_programs(row.started_at),
        "finished_at": row.finished_at.map(for_programs),
        "recorded_at": row.recorded_at.map(for_programs),
        "pages": row.pages,
        "requests": row.requests,
        "objects": row.objects,
        "with_data": row.with_data,
        "without_data": row.without_data,
        "unknown": row.unknown,
        "created": row.created,
        "removed": row.removed,
        "data_gained": row.data_gained,
        "data_lost": row.data_lost,
        "data_known": row.data_known,
        "data_unknown": row.data_unknown,
        "resumed": row.resumed,
        "digest": row.digest,
        "error": row.error,
    })
}

#[cfg(test)]
mod tests {
    use durable_inventory::store::{LeaseNumber, PublishedRecord};
    use time::OffsetDateTime;

    use super::*;

    fn row(account: &str) -> NamespaceRecord {
        NamespaceRecord {
            key: 1,
            lease: LeaseNumber::default(),
            account_id: account.to_owned(),
            namespace_id: "5fd1caff".to_owned(),
            name: None,
            script: None,
            class: None,
            use_sqlite: None,
            preview: None,
            first_seen_at: OffsetDateTime::UNIX_EPOCH,
            missing_since: None,
            published: None,
        }
    }

    #[test]
    fn accounts_are_told_where_there_are_several() {
        let one = namespaces_text(&[row("a"), row("a")]);
        assert!(one.starts_with("namespace") && one.contains("\n5fd1caff"), "{one}");
        let two = namespaces_text(&[row("a"), row("b")]);
        assert!(two.starts_with("account") && two.contains("\nb "), "{two}");
    }

    #[test]
    fn what_is_missing_and_has_nothing_left_is_retired() {
        let gone = |objects| NamespaceRecord {
            missing_since: Some(OffsetDateTime::UNIX_EPOCH),
            published: Some(PublishedRecord {
                snapshot_id: 1,
                recorded_at: OffsetDateTime::UNIX_EPOCH,
                objects,
                with_data: 0,
                unknown: 0,
                baseline_snapshot: 1,
                recorded_since: OffsetDateTime::UNIX_EPOCH,
                horizon: None,
                horizon_snapshot: None,
            }),
            ..row("a")
        };
        assert_eq!(missing(&gone(0)), "retired");
        assert_eq!(missing(&gone(1)), "1970-01-01 00:00:00Z");
        assert_eq!(missing(&row("a")), "");
    }
}
