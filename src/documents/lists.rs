//! The lines of `namespaces`, `snapshots` and `history`.

use serde::Serialize;

use super::{Time, Version};
use crate::store::{IntervalRow, NamespaceRecord, SnapshotRow};

/// A recorded namespace: a line of `namespaces --format json`. The figures are those of its newest published snapshot,
/// and null before the first.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NamespaceLine<'a> {
    version: Version,
    account_id: &'a str,
    namespace_id: &'a str,
    name: Option<&'a str>,
    script: Option<&'a str>,
    class: Option<&'a str>,
    use_sqlite: Option<bool>,
    /// Since when the account's list lacks it and its object list answers 404.
    missing_since: Option<Time>,
    snapshot_id: Option<i32>,
    recorded_at: Option<Time>,
    objects: Option<u64>,
    with_data: Option<u64>,
}

impl<'a> From<&'a NamespaceRecord> for NamespaceLine<'a> {
    fn from(row: &'a NamespaceRecord) -> Self {
        let newest = row.published;
        Self {
            version: Version,
            account_id: &row.account_id,
            namespace_id: &row.namespace_id,
            name: row.name.as_deref(),
            script: row.script.as_deref(),
            class: row.class.as_deref(),
            use_sqlite: row.use_sqlite,
            missing_since: row.missing_since.map(Time),
            snapshot_id: newest.map(|newest| newest.snapshot_id),
            recorded_at: newest.map(|newest| Time(newest.recorded_at)),
            objects: newest.map(|newest| newest.objects),
            with_data: newest.map(|newest| newest.with_data),
        }
    }
}

/// A snapshot: a line of `snapshots --format json`. The fields are the columns of the view `inventory.snapshots`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SnapshotLine<'a> {
    version: Version,
    snapshot_id: i64,
    run_id: i64,
    account_id: &'a str,
    namespace_id: &'a str,
    /// running, complete, interrupted, failed, held, superseded or discarded.
    status: &'a str,
    baseline: bool,
    base_snapshot_id: Option<i64>,
    started_at: Time,
    finished_at: Option<Time>,
    /// When it was published; null if it was not.
    recorded_at: Option<Time>,
    pages: i64,
    requests: i64,
    objects: i64,
    with_data: i64,
    without_data: i64,
    unknown: i64,
    created: i64,
    removed: i64,
    data_gained: i64,
    data_lost: i64,
    data_known: i64,
    data_unknown: i64,
    resumed: i64,
    digest: Option<&'a str>,
    error: Option<&'a str>,
}

impl<'a> From<&'a SnapshotRow> for SnapshotLine<'a> {
    fn from(row: &'a SnapshotRow) -> Self {
        Self {
            version: Version,
            snapshot_id: row.snapshot_id,
            run_id: row.run_id,
            account_id: &row.account_id,
            namespace_id: &row.namespace_id,
            status: &row.status,
            baseline: row.baseline,
            base_snapshot_id: row.base_snapshot_id,
            started_at: Time(row.started_at),
            finished_at: row.finished_at.map(Time),
            recorded_at: row.recorded_at.map(Time),
            pages: row.pages,
            requests: row.requests,
            objects: row.objects,
            with_data: row.with_data,
            without_data: row.without_data,
            unknown: row.unknown,
            created: row.created,
            removed: row.removed,
            data_gained: row.data_gained,
            data_lost: row.data_lost,
            data_known: row.data_known,
            data_unknown: row.data_unknown,
            resumed: row.resumed,
            digest: row.digest.as_deref(),
            error: row.error.as_deref(),
        }
    }
}

/// A period that an object spent in one state: a line of `history --format json`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct IntervalLine<'a> {
    version: Version,
    account_id: &'a str,
    namespace_id: &'a str,
    object_id: &'a str,
    /// Null if the API did not say it.
    has_stored_data: Option<bool>,
    valid_from: Time,
    /// Null if the object is in this state now.
    valid_to: Option<Time>,
    first_seen_at: Time,
}

impl<'a> IntervalLine<'a> {
    pub fn new(row: &'a IntervalRow, object_id: &'a str) -> Self {
        Self {
            version: Version,
            account_id: &row.account_id,
            namespace_id: &row.namespace_id,
            object_id,
            has_stored_data: row.has_stored_data,
            valid_from: Time(row.valid_from),
            valid_to: row.valid_to.map(Time),
            first_seen_at: Time(row.first_seen_at),
        }
    }
}
