//! What the commands show of the record; each answer is one statement, so one moment.

use time::OffsetDateTime;

use super::error::Doing;
use super::{Store, StoreError};
use crate::model::ObjectId;

/// A namespace and its newest published snapshot.
#[derive(Debug, Clone)]
pub struct NamespaceRow {
    pub account_id: String,
    pub namespace_id: String,
    pub name: Option<String>,
    pub script: Option<String>,
    pub class: Option<String>,
    pub use_sqlite: Option<bool>,
    pub missing_since: Option<OffsetDateTime>,
    pub snapshot_id: Option<i64>,
    pub recorded_at: Option<OffsetDateTime>,
    pub objects: Option<i64>,
    pub with_data: Option<i64>,
}

#[derive(Debug, Clone)]
pub struct SnapshotRow {
    pub snapshot_id: i64,
    pub run_id: i64,
    pub account_id: String,
    pub namespace_id: String,
    pub name: Option<String>,
    pub status: String,
    pub baseline: bool,
    pub base_snapshot_id: Option<i64>,
    pub started_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
    pub recorded_at: Option<OffsetDateTime>,
    pub pages: i64,
    pub requests: i64,
    pub objects: i64,
    pub with_data: i64,
    pub without_data: i64,
    pub unknown: i64,
    pub created: i64,
    pub removed: i64,
    pub data_gained: i64,
    pub data_lost: i64,
    pub data_known: i64,
    pub data_unknown: i64,
    pub resumed: i64,
    pub digest: Option<String>,
    pub error: Option<String>,
    /// How many were found, this one among them.
    found: i64,
}

/// As many as were asked for.
#[derive(Debug)]
pub struct FoundSnapshots {
    pub rows: Vec<SnapshotRow>,
    /// How many there are.
    pub found: u64,
}

/// One interval of an object's life.
#[derive(Debug, Clone)]
pub struct IntervalRow {
    pub account_id: String,
    pub namespace_id: String,
    pub name: Option<String>,
    pub has_stored_data: Option<bool>,
    pub valid_from: OffsetDateTime,
    pub valid_to: Option<OffsetDateTime>,
    /// It begins with the namespace's baseline: the object was there by then, it may be older.
    pub since_baseline: bool,
    /// Of the object. Earlier than its first interval where earlier ones were pruned.
    pub first_seen_at: OffsetDateTime,
}

impl Store {
    pub async fn namespace_rows(&self) -> Result<Vec<NamespaceRow>, StoreError> {
        sqlx::query_as!(
            NamespaceRow,
            "select a.account_id, n.namespace_id, n.name, n.script, n.class, n.use_sqlite, n.missing_since,
                    s.snapshot_id::bigint as snapshot_id, s.recorded_at,
                    s.with_data + s.without_data + s.unknown as objects, s.with_data as \"with_data?\"
             from inventory.namespace n
             join inventory.account a using (account_key)
             left join inventory.snapshot s on s.snapshot_id = n.published_snapshot
             order by a.account_id, n.name, n.namespace_id"
        )
        .fetch_all(&self.pool)
        .await
        .doing("list the namespaces")
    }

    /// The newest `limit` of some namespaces, of these statuses or of any, newest first.
    pub async fn snapshot_rows(
        &self,
        namespaces: &[i32],
        statuses: &[String],
        limit: u32,
    ) -> Result<FoundSnapshots, StoreError> {
        let rows = sqlx::query_as!(
            SnapshotRow,
            "with found as (
                 select snapshot_id::bigint, pg_catalog.count(*) over () as found
                 from inventory.snapshot
                 where not pruned and namespace_key = any($1) and (status = any($2) or pg_catalog.cardinality($2) = 0)
                 order by snapshot.snapshot_id desc limit $3)
             select s.snapshot_id as \"snapshot_id!\", s.run_id as \"run_id!\", s.account_id as \"account_id!\",
                    s.namespace_id as \"namespace_id!\", n.name, s.status as \"status!\",
                    s.baseline as \"baseline!\", s.base_snapshot_id, s.started_at as \"started_at!\",
                    s.finished_at, s.recorded_at, s.pages as \"pages!\", s.requests as \"requests!\",
                    s.objects as \"objects!\", s.with_data as \"with_data!\", s.without_data as \"without_data!\",
                    s.unknown as \"unknown!\", s.created as \"created!\", s.removed as \"removed!\",
                    s.data_gained as \"data_gained!\", s.data_lost as \"data_lost!\",
                    s.data_known as \"data_known!\", s.data_unknown as \"data_unknown!\",
                    s.resumed as \"resumed!\", s.digest, s.error, f.found as \"found!\"
             from found f
             join inventory.snapshots s using (snapshot_id)
             join inventory.namespaces n using (account_id, namespace_id)
             order by s.snapshot_id desc",
            namespaces,
            statuses,
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await
        .doing("list the snapshots")?;
        let found = rows.first().map_or(0, |row| row.found as u64);
        Ok(FoundSnapshots { rows, found })
    }

    /// An object's intervals, oldest first, by namespace. (An id belongs to one namespace in practice; nothing in the
    /// API says so.)
    pub async fn object_life(&self, id: &ObjectId) -> Result<Vec<IntervalRow>, StoreError> {
        sqlx::query_as!(
            IntervalRow,
            "select a.account_id, n.namespace_id, n.name, i.has_stored_data,
                    started.recorded_at as \"valid_from!\", ended.recorded_at as \"valid_to?\",
                    i.from_snapshot is null as \"since_baseline!\", first.recorded_at as \"first_seen_at!\"
             from inventory.namespace n
             join inventory.account a using (account_key)
             cross join lateral (
                 select from_snapshot, first_snapshot, null::int as to_snapshot, has_stored_data
                 from inventory.open_interval where namespace_key = n.namespace_key and id = $1
                 union all
                 select from_snapshot, first_snapshot, to_snapshot, has_stored_data
                 from inventory.closed_interval where namespace_key = n.namespace_key and id = $1) i
             join inventory.snapshot started on started.snapshot_id = coalesce(i.from_snapshot, n.baseline_snapshot)
             join inventory.snapshot first on first.snapshot_id = coalesce(i.first_snapshot, n.baseline_snapshot)
             left join inventory.snapshot ended on ended.snapshot_id = i.to_snapshot
             where n.published_snapshot is not null
             order by a.account_id, n.namespace_id, started.recorded_at",
            id.as_bytes().as_slice()
        )
        .fetch_all(&self.pool)
        .await
        .doing("read an object's history")
    }

    /// The tables whose rows row security would hide from this role. No command reads them.
    pub async fn tables_with_hidden_rows(&self) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "select 'inventory.' || relname::text from pg_catalog.pg_class
             where relnamespace = 'inventory'::pg_catalog.regnamespace::oid and relkind = 'r'
               and pg_catalog.row_security_active(oid)
             order by 1",
        )
        .fetch_all(&self.pool)
        .await
        .doing("tell which rows it hides")
    }

    /// When an object was first seen of which nothing else is left: all its intervals were pruned.
    pub async fn pruned_object(&self, id: &ObjectId) -> Result<Option<OffsetDateTime>, StoreError> {
        sqlx::query_scalar!(
            "select pg_catalog.min(first.recorded_at) from inventory.namespace n
             join inventory.pruned_object p on p.namespace_key = n.namespace_key and p.id = $1
             join inventory.snapshot first on first.snapshot_id = coalesce(p.first_snapshot, n.baseline_snapshot)",
            id.as_bytes().as_slice()
        )
        .fetch_one(&self.pool)
        .await
        .doing("look for a pruned object")
    }
}
