//! The schemas in docs/schemas are those of the types. After an intended change:
//! `UPDATE_DOCS=1 cargo test --lib documents`.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::*;

impl JsonSchema for Version {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "const": 1 })
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

fn schema<T: JsonSchema>(title: &str) -> String {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    serde_json::to_string_pretty(&schema).unwrap() + "\n"
}

#[test]
fn the_schemas_in_docs_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
    let schemas = [
        ("check", schema::<CheckDocument>("check --format json")),
        (
            "diff-summary",
            schema::<DiffSummaryLine>("A line of diff --summary --format jsonl"),
        ),
        ("diff", schema::<DiffLine>("A line of diff --format jsonl")),
        ("history", schema::<IntervalLine>("A line of history --format json")),
        (
            "namespaces",
            schema::<NamespaceLine>("A line of namespaces --format json"),
        ),
        (
            "notification",
            schema::<NotificationDocument>("The message of sync --notify-url"),
        ),
        ("prune", schema::<PruneDocument>("prune --format json")),
        ("report", schema::<ReportDocument>("report --format json")),
        ("snapshots", schema::<SnapshotLine>("A line of snapshots --format json")),
        ("sync", schema::<SyncDocument>("sync --format json")),
    ];
    for (name, schema) in &schemas {
        let path = folder.join(format!("{name}.json"));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, schema).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(&written, schema, "docs/schemas/{name}.json: UPDATE_DOCS=1 writes it");
    }
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, schemas.map(|(name, _)| format!("{name}.json")));
}
