//! The figures of a report. They come from the counts in the snapshots: no object rows are read, so a report costs the
//! same for ten objects as for ten million.

use std::collections::HashMap;

use time::OffsetDateTime;

use super::error::Doing;
use super::namespaces::namespace_records;
use super::{NamespaceRecord, Reader, StoreError};

/// A namespace and its snapshots that were not published.
#[derive(Debug, Clone)]
pub struct ReportRow {
    pub namespace: NamespaceRecord,
    pub unpublished: UnpublishedSnapshots,
}

#[derive(Debug, Clone, Default)]
pub struct UnpublishedSnapshots {
    pub held_snapshot_id: Option<i32>,
    pub held_error: Option<String>,
    /// The newest snapshot, if it is newer than the published one.
    pub last_snapshot_id: Option<i32>,
    pub last_status: Option<String>,
    pub last_error: Option<String>,
}

/// The counts of one published snapshot.
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
        let rows = sqlx::query!(
            "select n.namespace_key, h.snapshot_id as \"held_snapshot_id?\", h.error as held_error,
                    l.snapshot_id as \"last_snapshot_id?\", l.status as \"last_status?\", l.error as last_error
             from inventory.namespace n
             left join inventory.snapshot h on h.namespace_key = n.namespace_key and h.status = 'held'
             left join lateral (
                 select snapshot_id, status, error from inventory.snapshot
                 where namespace_key = n.namespace_key and snapshot_id > coalesce(n.published_snapshot, 0)
                 order by snapshot_id desc limit 1) l on true"
        )
        .fetch_all(&mut self.session)
        .await
        .doing("list the namespaces")?;
        let unpublished = rows.into_iter().map(|row| {
            let unpublished = UnpublishedSnapshots {
                held_snapshot_id: row.held_snapshot_id,
                held_error: row.held_error,
                last_snapshot_id: row.last_snapshot_id,
                last_status: row.last_status,
                last_error: row.last_error,
            };
            (row.namespace_key, unpublished)
        });
        let mut unpublished: HashMap<_, _> = unpublished.collect();
        let records = namespace_records(&mut self.session, None).await?;
        let rows = records.into_iter().map(|namespace| ReportRow {
            unpublished: unpublished.remove(&namespace.key).unwrap_or_default(),
            namespace,
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by(|a, b| by_name(&a.namespace).cmp(&by_name(&b.namespace)));
        Ok(rows)
    }

    /// The counts of the snapshots published after `since`, and of each namespace's newest one before it, so that every
    /// later point in time has its figures. By namespace, oldest first.
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
        .doing("read the snapshots' figures")
    }

    /// The run that started last.
    pub async fn last_run(&mut self) -> Result<Option<LastRun>, StoreError> {
        sqlx::query_as!(
            LastRun,
            "select run_id, started_at, finished_at, outcome from inventory.run order by run_id desc limit 1"
        )
        .fetch_optional(&mut self.session)
        .await
        .doing("find the last run")
    }
}

/// Namespaces without a name come last.
fn by_name(namespace: &NamespaceRecord) -> (&str, bool, Option<&str>, &str) {
    let name = namespace.name.as_deref();
    (&namespace.account_id, name.is_none(), name, &namespace.namespace_id)
}
