//! The figures of a report. They come from the snapshots' own counts alone: no row of an object is read, so a report
//! costs the same whether a namespace has ten objects or ten million.

use time::OffsetDateTime;

use super::{Reader, StoreError};

/// A namespace, its newest published snapshot, and what came after that.
#[derive(Debug, Clone)]
pub struct ReportRow {
    pub key: i32,
    pub account_id: String,
    pub namespace_id: String,
    pub name: Option<String>,
    pub script: Option<String>,
    pub class: Option<String>,
    pub first_seen_at: OffsetDateTime,
    pub missing_since: Option<OffsetDateTime>,
    pub snapshot_id: Option<i32>,
    pub recorded_at: Option<OffsetDateTime>,
    pub with_data: Option<i64>,
    pub without_data: Option<i64>,
    pub unknown: Option<i64>,
    pub held_snapshot_id: Option<i32>,
    pub held_error: Option<String>,
    /// Of the newest snapshot that is newer than the published one.
    pub last_snapshot_id: Option<i32>,
    pub last_status: Option<String>,
    pub last_error: Option<String>,
}

/// What one published snapshot counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PointRow {
    pub key: i32,
    pub at: OffsetDateTime,
    pub objects: i64,
    pub with_data: i64,
    pub created: i64,
    pub removed: i64,
    pub baseline: bool,
}

#[derive(Debug, Clone)]
pub struct LastRun {
    pub run_id: i64,
    pub started_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
    pub outcome: String,
}

impl Reader {
    /// All namespaces, by account, name and id.
    pub async fn report_rows(&mut self) -> Result<Vec<ReportRow>, StoreError> {
        sqlx::query_as!(
            ReportRow,
            "select n.namespace_key as key, a.account_id, n.namespace_id, n.name, n.script, n.class, n.first_seen_at,
                    n.missing_since, p.snapshot_id as \"snapshot_id?\", p.recorded_at,
                    p.with_data as \"with_data?\", p.without_data as \"without_data?\", p.unknown as \"unknown?\",
                    h.snapshot_id as \"held_snapshot_id?\", h.error as held_error,
                    l.snapshot_id as \"last_snapshot_id?\", l.status as \"last_status?\", l.error as last_error
             from inventory.namespace n
             join inventory.account a using (account_key)
             left join inventory.snapshot p on p.snapshot_id = n.published_snapshot
             left join inventory.snapshot h on h.namespace_key = n.namespace_key and h.status = 'held'
             left join lateral (
                 select snapshot_id, status, error from inventory.snapshot
                 where namespace_key = n.namespace_key and snapshot_id > coalesce(n.published_snapshot, 0)
                 order by snapshot_id desc limit 1) l on true
             order by a.account_id collate \"C\", n.name collate \"C\", n.namespace_id collate \"C\""
        )
        .fetch_all(&mut self.session)
        .await
        .map_err(StoreError::while_doing("list the namespaces"))
    }

    /// What was published after a moment, and of each namespace the newest before it, so that every later moment has
    /// its figures. By namespace, the oldest first.
    pub async fn report_points(&mut self, since: OffsetDateTime) -> Result<Vec<PointRow>, StoreError> {
        sqlx::query_as!(
            PointRow,
            "select namespace_key as \"key!\", recorded_at as \"at!\", objects as \"objects!\",
                    with_data as \"with_data!\", created as \"created!\", removed as \"removed!\",
                    baseline as \"baseline!\"
             from (
                 select namespace_key, recorded_at, with_data + without_data + unknown as objects, with_data,
                        created, removed, base_snapshot is null as baseline
                 from inventory.snapshot where status = 'complete' and not pruned and recorded_at > $1
                 union all
                 select s.*
                 from inventory.namespace n
                 cross join lateral (
                     select namespace_key, recorded_at, with_data + without_data + unknown, with_data,
                            created, removed, base_snapshot is null
                     from inventory.snapshot
                     where namespace_key = n.namespace_key and status = 'complete' and not pruned and recorded_at <= $1
                     order by snapshot_id desc limit 1) s) points
             order by namespace_key, recorded_at",
            since
        )
        .fetch_all(&mut self.session)
        .await
        .map_err(StoreError::while_doing("read the snapshots' figures"))
    }

    /// The run that began last.
    pub async fn last_run(&mut self) -> Result<Option<LastRun>, StoreError> {
        sqlx::query_as!(
            LastRun,
            "select run_id, started_at, finished_at, outcome from inventory.run order by run_id desc limit 1"
        )
        .fetch_optional(&mut self.session)
        .await
        .map_err(StoreError::while_doing("look for the last run"))
    }
}
