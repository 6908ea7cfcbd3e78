//! Reads the documented views, and finds rows that must not be left in the tables behind them.

use std::collections::HashMap;

use cloudflare_simulator::{Flag, Id};
use sqlx::{PgConnection, Row};
use time::OffsetDateTime;

use super::served::Objects;

#[derive(Debug, Clone)]
pub struct Snapshot {
    pub id: i64,
    pub namespace: String,
    pub status: String,
    pub base: Option<i64>,
    pub recorded_at: Option<OffsetDateTime>,
    pub objects: i64,
    pub changes: [i64; 6],
    pub digest: Option<String>,
    pub resumed: i64,
    pub pages: i64,
    /// The next page's cursor, from the checkpoint.
    pub cursor: Option<String>,
    pub walked: bool,
}

impl Snapshot {
    pub fn is_unfinished(&self) -> bool {
        matches!(self.status.as_str(), "running" | "interrupted")
    }
}

#[derive(Debug)]
pub struct Interval {
    pub id: Id,
    pub flag: Flag,
    from: OffsetDateTime,
    to: Option<OffsetDateTime>,
}

impl Interval {
    pub fn holds_at(&self, at: OffsetDateTime) -> bool {
        self.from <= at && self.to.is_none_or(|to| to > at)
    }
}

#[derive(Debug)]
pub struct Changed {
    pub snapshot: i64,
    pub id: Id,
    pub old: String,
    pub new: String,
}

/// The rows of an account's views, by namespace.
#[derive(Debug, Default)]
pub struct Record {
    pub intervals: HashMap<String, Vec<Interval>>,
    pub present: HashMap<String, Objects>,
    pub changes: HashMap<String, Vec<Changed>>,
}

pub async fn snapshots(session: &mut PgConnection, account: &str) -> sqlx::Result<Vec<Snapshot>> {
    let rows = sqlx::query(
        "select v.snapshot_id, v.namespace_id, v.status, v.base_snapshot_id, v.recorded_at, v.objects, v.digest, v.resumed, v.pages,
                array[v.created, v.removed, v.data_gained, v.data_lost, v.data_known, v.data_unknown] as changes,
                s.cursor, s.walked
         from inventory.snapshots v join inventory.snapshot s on s.snapshot_id = v.snapshot_id
         where account_id = $1 order by v.snapshot_id",
    )
    .bind(account)
    .fetch_all(session)
    .await?;
    let snapshot = |row: sqlx::postgres::PgRow| Snapshot {
        id: row.get("snapshot_id"),
        namespace: row.get("namespace_id"),
        status: row.get("status"),
        base: row.get("base_snapshot_id"),
        recorded_at: row.get("recorded_at"),
        objects: row.get("objects"),
        changes: row.get::<Vec<i64>, _>("changes").try_into().unwrap(),
        digest: row.get("digest"),
        resumed: row.get("resumed"),
        pages: row.get("pages"),
        cursor: row.get("cursor"),
        walked: row.get("walked"),
    };
    Ok(rows.into_iter().map(snapshot).collect())
}

pub async fn read(session: &mut PgConnection, account: &str) -> sqlx::Result<Record> {
    let mut record = Record::default();
    let rows = sqlx::query(
        "select namespace_id, id, has_stored_data, valid_from, valid_to from inventory.object_history
         where account_id = $1",
    );
    for row in rows.bind(account).fetch_all(&mut *session).await? {
        let intervals = record.intervals.entry(row.get(0)).or_default();
        intervals.push(Interval {
            id: id(&row, 1),
            flag: row.get(2),
            from: row.get(3),
            to: row.get(4),
        });
    }
    let rows = sqlx::query("select namespace_id, id, has_stored_data from inventory.objects where account_id = $1");
    for row in rows.bind(account).fetch_all(&mut *session).await? {
        let present = record.present.entry(row.get(0)).or_default();
        present.insert(id(&row, 1), row.get(2));
    }
    let rows = sqlx::query(
        "select namespace_id, id, snapshot_id, old_state, new_state from inventory.changes where account_id = $1",
    );
    for row in rows.bind(account).fetch_all(&mut *session).await? {
        let changes = record.changes.entry(row.get(0)).or_default();
        changes.push(Changed {
            id: id(&row, 1),
            snapshot: row.get(2),
            old: row.get(3),
            new: row.get(4),
        });
    }
    Ok(record)
}

fn id(row: &sqlx::postgres::PgRow, column: usize) -> Id {
    row.get::<Vec<u8>, _>(column).try_into().unwrap()
}

/// Staged or spooled rows of snapshots that no longer need them.
pub async fn leaked(session: &mut PgConnection, account: &str) -> sqlx::Result<Vec<(String, i32, String, i64, i64)>> {
    sqlx::query_as(
        "select * from (
             select n.namespace_id, s.snapshot_id, s.status,
                    (select count(*) from inventory.staged_change c where c.snapshot_id = s.snapshot_id) as staged,
                    (select count(*) from inventory.spooled_object o where o.snapshot_id = s.snapshot_id) as spooled
             from inventory.snapshot s
             join inventory.namespace n using (namespace_key) join inventory.account a using (account_key)
             where a.account_id = $1 and s.status not in ('running', 'interrupted')) left_behind
         where spooled > 0 or (staged > 0 and status <> 'held')",
    )
    .bind(account)
    .fetch_all(session)
    .await
}
