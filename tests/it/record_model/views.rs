//! The rows of one namespace in the documented views.

use cloudflare_simulator::Flag;
use durable_inventory::model::{ChangeKind, Counts};
use sqlx::{FromRow, PgConnection, Row};
use time::OffsetDateTime;

#[derive(Debug, PartialEq, FromRow)]
pub struct ObjectRow {
    pub object_id: String,
    pub has_stored_data: Flag,
    pub first_seen_at: OffsetDateTime,
    pub since: OffsetDateTime,
    pub last_seen_at: OffsetDateTime,
}

#[derive(Debug, PartialEq, FromRow)]
pub struct ChangeRow {
    pub snapshot_id: i64,
    pub at: OffsetDateTime,
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
    pub object_id: String,
    pub change: String,
    pub old_state: String,
    pub new_state: String,
}

#[derive(Debug, FromRow)]
pub struct IntervalRow {
    pub object_id: String,
    pub has_stored_data: Flag,
    pub valid_from: OffsetDateTime,
    pub valid_to: Option<OffsetDateTime>,
}

pub struct SnapshotRow {
    pub snapshot_id: i64,
    pub base_snapshot_id: Option<i64>,
    pub baseline: bool,
    pub started_at: OffsetDateTime,
    pub finished_at: OffsetDateTime,
    pub recorded_at: OffsetDateTime,
    pub counts: Counts,
    pub digest: String,
}

pub async fn objects(session: &mut PgConnection, namespace: &str) -> Vec<ObjectRow> {
    sqlx::query_as(
        "select object_id, has_stored_data, first_seen_at, since, last_seen_at
         from inventory.objects where namespace_id = $1 order by object_id",
    )
    .bind(namespace)
    .fetch_all(session)
    .await
    .unwrap()
}

/// The objects at each of the moments, which are numbered from 1.
pub async fn as_of(
    session: &mut PgConnection,
    namespace: &str,
    moments: &[OffsetDateTime],
) -> Vec<(i64, String, Flag)> {
    sqlx::query_as(
        "select m.number, h.object_id, h.has_stored_data
         from unnest($2::timestamptz[]) with ordinality as m (t, number)
         join inventory.object_history h on valid_from <= t and (valid_to is null or valid_to > t)
         where h.namespace_id = $1
         order by m.number, h.object_id",
    )
    .bind(namespace)
    .bind(moments)
    .fetch_all(session)
    .await
    .unwrap()
}

pub async fn changes(session: &mut PgConnection, namespace: &str) -> Vec<ChangeRow> {
    sqlx::query_as(
        "select snapshot_id, at, not_before, not_after, object_id, change, old_state, new_state
         from inventory.changes where namespace_id = $1 order by snapshot_id, object_id",
    )
    .bind(namespace)
    .fetch_all(session)
    .await
    .unwrap()
}

/// Sorted by object, then by time.
pub async fn history(session: &mut PgConnection, namespace: &str) -> Vec<IntervalRow> {
    sqlx::query_as(
        "select object_id, has_stored_data, valid_from, valid_to
         from inventory.object_history where namespace_id = $1 order by object_id, valid_from",
    )
    .bind(namespace)
    .fetch_all(session)
    .await
    .unwrap()
}

pub async fn newest_snapshot(session: &mut PgConnection, namespace: &str) -> SnapshotRow {
    let row = sqlx::query(
        "select * from inventory.snapshots where namespace_id = $1 and status = 'complete'
         order by recorded_at desc limit 1",
    )
    .bind(namespace)
    .fetch_one(session)
    .await
    .unwrap();
    let number = |column: &str| row.get::<i64, _>(column) as u64;
    let counts = Counts {
        with_data: number("with_data"),
        without_data: number("without_data"),
        unknown: number("unknown"),
        changes: ChangeKind::ALL
            .iter()
            .map(|kind| (*kind, number(kind.as_str())))
            .collect(),
    };
    assert_eq!(number("objects"), counts.objects());
    SnapshotRow {
        snapshot_id: row.get("snapshot_id"),
        base_snapshot_id: row.get("base_snapshot_id"),
        baseline: row.get("baseline"),
        started_at: row.get("started_at"),
        finished_at: row.get("finished_at"),
        recorded_at: row.get("recorded_at"),
        counts,
        digest: row.get("digest"),
    }
}
