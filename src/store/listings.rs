//! Lists snapshots and the life of an object. Each answer comes from one statement.

use time::OffsetDateTime;

use super::error::Doing;
use super::{NamespaceRecord, Store, StoreError};
use crate::model::ObjectId;

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
    /// The number of matching snapshots, the same in each row.
    found: i64,
}

/// At most as many snapshots as the limit allows.
#[derive(Debug, Default)]
pub struct FoundSnapshots {
    pub rows: Vec<SnapshotRow>,
    /// The number of matching snapshots.
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
    /// The interval begins with the namespace's baseline; the object may be older.
    pub since_baseline: bool,
    /// When the object was first seen. Earlier than its first interval if earlier ones were pruned.
    pub first_seen_at: OffsetDateTime,
}

impl Store {
    /// The namespace and the status of a snapshot.
    pub async fn snapshot_status(&self, snapshot_id: i32) -> Result<Option<(NamespaceRecord, String)>, StoreError> {
        let snapshot = sqlx::query!(
            "select namespace_key, status from inventory.snapshot where snapshot_id = $1",
            snapshot_id
        )
        .fetch_optional(&mut *self.acquire().await?)
        .await
        .doing("find a snapshot")?;
        let Some(snapshot) = snapshot else { return Ok(None) };
        let mut namespaces = self.namespaces().await?.into_iter();
        let namespace = namespaces.find(|namespace| namespace.key == snapshot.namespace_key);
        Ok(namespace.map(|namespace| (namespace, snapshot.status)))
    }

    /// The newest `limit` snapshots of some namespaces with one of the statuses (any, if there are none), newest first.
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
        .fetch_all(&mut *self.acquire().await?)
        .await
        .doing("list the snapshots")?;
        let found = rows.first().map_or(0, |row| row.found as u64);
        Ok(FoundSnapshots { rows, found })
    }

    /// An object's intervals by namespace, oldest first. In practice an id belongs to one namespace, but the API does
    /// not promise it.
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
        .fetch_all(&mut *self.acquire().await?)
        .await
        .doing("read an object's history")
    }

    /// The tables from which row security would hide rows from this role. Such a table can't be read.
    pub async fn tables_with_hidden_rows(&self) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "select 'inventory.' || relname::text from pg_catalog.pg_class
             where relnamespace = 'inventory'::pg_catalog.regnamespace::oid and relkind = 'r'
               and pg_catalog.row_security_active(oid)
             order by 1",
        )
        .fetch_all(&mut *self.acquire().await?)
        .await
        .doing("find out which rows are hidden")
    }

    /// When an object was first seen whose intervals were all pruned.
    pub async fn pruned_object(&self, id: &ObjectId) -> Result<Option<OffsetDateTime>, StoreError> {
        sqlx::query_scalar!(
            "select pg_catalog.min(first.recorded_at) from inventory.namespace n
             join inventory.pruned_object p on p.namespace_key = n.namespace_key and p.id = $1
             join inventory.snapshot first on first.snapshot_id = coalesce(p.first_snapshot, n.baseline_snapshot)",
            id.as_bytes().as_slice()
        )
        .fetch_one(&mut *self.acquire().await?)
        .await
        .doing("find a pruned object")
    }
}
