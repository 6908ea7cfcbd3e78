//! Independent engines read the same dataset and find the same rows.

use std::process::Command;

use serde_json::{Value, json};

use super::*;
use crate::support::python::{python, readers};

/// Reads the datasets before and after with an engine, and compares counts, partitions and differences with the truth.
async fn reads(engine: &str, packages: &str, types: Value) {
    let recorded = recorded().await;
    let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (moment, folder) in [("latest~1", &before), ("latest", &after)] {
        let to = folder.path().to_str().unwrap();
        recorded.exported(&["objects", "--as-of", moment, "--output", to]);
    }
    let read = Command::new(python(packages))
        .arg(readers().join("read.py"))
        .arg(engine)
        .args([before.path(), after.path()])
        .output()
        .unwrap();
    let read: Ended = read.into();
    assert_eq!(read.code, Some(0), "{read:#?}");
    let found = read.json();

    let (old, new) = (&recorded.first.truth, &recorded.second.truth);
    let count = |flag: Flag| new.values().filter(|there| **there == flag).count();
    let changed = old
        .iter()
        .filter(|(id, flag)| new.get(*id).is_some_and(|now| now != *flag));
    assert_eq!(
        found["flags"],
        json!({"true": count(Some(true)), "false": count(Some(false)), "null": count(None)})
    );
    assert_eq!(
        found["diff"],
        json!([
            new.keys().filter(|id| !old.contains_key(*id)).count(),
            old.keys().filter(|id| !new.contains_key(*id)).count(),
            changed.count()
        ])
    );
    let snapshot: i32 = recorded.second.snapshot.parse().unwrap();
    assert_eq!(found["partitions"], json!([[ACCOUNT, recorded.namespace, snapshot]]));
    for (column, kind) in types.as_object().unwrap() {
        assert_eq!(&found["types"][column], kind, "{column}: {found}");
    }
}

#[tokio::test]
#[ignore = "needs Python: scripts/test --all"]
async fn duckdb_reads_a_dataset() {
    let types = json!({
        "object_id": "VARCHAR", "has_stored_data": "BOOLEAN", "first_seen_at": "TIMESTAMP WITH TIME ZONE",
        "since": "TIMESTAMP WITH TIME ZONE", "last_seen_at": "TIMESTAMP WITH TIME ZONE", "account_id": "VARCHAR",
        "namespace_id": "VARCHAR", "snapshot": "BIGINT"
    });
    reads("duckdb", "engines", types).await;
}

#[tokio::test]
#[ignore = "needs Python: scripts/test --all"]
async fn pyarrow_and_pandas_read_a_dataset() {
    let types = json!({
        "object_id": "string", "has_stored_data": "bool", "first_seen_at": "timestamp[us, tz=UTC]",
        "since": "timestamp[us, tz=UTC]", "last_seen_at": "timestamp[us, tz=UTC]", "account_id": "string",
        "namespace_id": "string", "snapshot": "int32"
    });
    reads("pyarrow", "engines", types).await;
}

/// Downloads 450 MB and needs Java 17. Set `DURABLE_INVENTORY_TEST_SPARK=1` to run it.
#[tokio::test]
#[ignore = "needs Python and Java 17: DURABLE_INVENTORY_TEST_SPARK=1 scripts/test --all"]
async fn spark_reads_a_dataset() {
    if std::env::var_os("DURABLE_INVENTORY_TEST_SPARK").is_none() {
        return;
    }
    let types = json!({
        "object_id": "string", "has_stored_data": "boolean", "first_seen_at": "timestamp", "since": "timestamp",
        "last_seen_at": "timestamp", "account_id": "string", "namespace_id": "string", "snapshot": "int"
    });
    reads("spark", "spark", types).await;
}
