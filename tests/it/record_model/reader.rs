//! The results of exports and of every other reader of points in time.

use std::ops::ControlFlow;

use durable_inventory::moment::Moment;
use durable_inventory::store::{ReadNamespace, Reader, Row, Slice, SnapshotAt, Store, StoreError, Table};
use time::OffsetDateTime;

use super::model::{Model, Published};

pub async fn compare(store: &Store, namespace: &str, model: &Model) {
    let mut reader = store.reader().await.unwrap();
    let namespaces = reader.namespaces().await.unwrap();
    let namespace = namespaces.iter().find(|n| n.namespace_id == namespace).unwrap();
    let now = reader.now();
    for moment in model.all_moments().into_iter().filter(|moment| *moment <= now) {
        let found = reader.snapshot_at(namespace, Moment::At(moment)).await;
        match model.snapshot_at(moment) {
            None => assert_eq!(found.unwrap(), None),
            Some(_) if model.horizon().is_some_and(|horizon| moment < horizon) => refused(found, model),
            Some(told) => assert_eq!(id(found), told.snapshot_id),
        }
    }
    for (back, snapshot) in (0..).zip(model.snapshots().iter().rev()) {
        let found = reader.snapshot_at(namespace, Moment::Latest(back)).await;
        match model.is_pruned(snapshot) {
            true => refused(found, model),
            false => assert_eq!(id(found), snapshot.snapshot_id),
        }
        let named = Moment::Snapshot(snapshot.snapshot_id as i32);
        match model.is_pruned(snapshot) {
            // Its row may be gone. The command checks for that first.
            true => drop(
                reader
                    .snapshot_at(namespace, named)
                    .await
                    .map(|found| assert_eq!(found, None)),
            ),
            false => {
                let until = reader.snapshot_at(namespace, named).await.unwrap().unwrap();
                objects(&mut reader, namespace, until, model, snapshot).await;
            }
        }
    }
    changes(&mut reader, namespace, model).await;
    let of_rows = store
        .digest_of_rows(key(store, &namespace.namespace_id).await)
        .await
        .unwrap();
    assert_eq!(of_rows, model.newest_digest(), "as `check --deep` sees it");
}

async fn key(store: &Store, namespace: &str) -> i32 {
    let all = store.namespaces().await.unwrap();
    all.iter().find(|n| n.namespace_id == namespace).unwrap().key
}

fn id(found: Result<Option<SnapshotAt>, StoreError>) -> i64 {
    i64::from(found.unwrap().unwrap().snapshot_id)
}

fn refused(found: Result<Option<SnapshotAt>, StoreError>, model: &Model) {
    match found {
        Err(StoreError::Pruned { horizon, .. }) => assert_eq!(Some(horizon), model.horizon()),
        other => panic!("before the horizon: {other:?}"),
    }
}

async fn objects(reader: &mut Reader, namespace: &ReadNamespace, until: SnapshotAt, model: &Model, told: &Published) {
    let rows = read(reader, Table::Objects, namespace, until).await;
    let rows = rows.into_iter().map(|row| match row {
        Row::Object {
            id,
            data,
            first_seen_at,
            since,
        } => (id.to_string(), Option::<bool>::from(data), first_seen_at, since),
        other => panic!("{other:?}"),
    });
    let told = model.objects_of(told).into_iter().map(|row| {
        let (first, since) = (micros(row.first_seen_at), micros(row.since));
        (row.object_id, row.has_stored_data, first, since)
    });
    assert_eq!(rows.collect::<Vec<_>>(), told.collect::<Vec<_>>());
}

/// All remaining changes.
async fn changes(reader: &mut Reader, namespace: &ReadNamespace, model: &Model) {
    let until = reader.snapshot_at(namespace, Moment::Latest(0)).await.unwrap().unwrap();
    let rows = read(reader, Table::Changes, namespace, until).await;
    let rows = rows.into_iter().map(|row| match row {
        Row::Change {
            id, snapshot_id, at, ..
        } => (i64::from(snapshot_id), id.to_string(), at),
        other => panic!("{other:?}"),
    });
    let told = model.changes().into_iter();
    let told = told.map(|change| (change.snapshot_id, change.object_id, micros(change.at)));
    assert_eq!(rows.collect::<Vec<_>>(), told.collect::<Vec<_>>());
}

async fn read(reader: &mut Reader, table: Table, namespace: &ReadNamespace, until: SnapshotAt) -> Vec<Row> {
    let slice = Slice {
        namespace: namespace.clone(),
        since: None,
        until,
    };
    let mut all = Vec::new();
    let deliver = async |rows: Vec<Row>| {
        all.extend(rows);
        ControlFlow::Continue(())
    };
    let _all = reader.read(table, &slice, None, deliver).await.unwrap();
    all
}

fn micros(moment: OffsetDateTime) -> i64 {
    (moment.unix_timestamp_nanos() / 1000) as i64
}
