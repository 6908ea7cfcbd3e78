//! Compares a run's outcomes with the record.

use anyhow::ensure;
use durable_inventory::sync::{NamespaceOutcome, Status, Summary, SyncError};
use durable_inventory::text::chain;

use super::record::Snapshot;

/// Whether the run walked this namespace.
pub fn has_walked(ended: &Result<Summary, SyncError>, id: &str) -> bool {
    let of = |outcome: &NamespaceOutcome| outcome.namespace.as_str() == id && outcome.snapshot_id.is_some();
    ended.as_ref().is_ok_and(|summary| summary.namespaces.iter().any(of))
}

/// Checks that the outcome of each walk matches its snapshot in the record.
pub fn check_outcomes(ended: &Result<Summary, SyncError>, snapshots: &[Snapshot]) -> anyhow::Result<()> {
    let summary = ended
        .as_ref()
        .map_err(|error| anyhow::anyhow!("nothing broke, yet: {}", chain(error)))?;
    for outcome in &summary.namespaces {
        let found = snapshots
            .iter()
            .find(|s| Some(s.id) == outcome.snapshot_id.map(i64::from));
        let recorded = found.map(|snapshot| snapshot.status.as_str());
        let fits = match outcome.status {
            Status::Complete => recorded == Some("complete"),
            Status::Held => recorded == Some("held"),
            Status::Interrupted => matches!(recorded, None | Some("interrupted")),
            Status::Failed => matches!(recorded, None | Some("failed")),
            Status::Missing => recorded == Some("discarded"),
            Status::Vanished => recorded == Some("interrupted"),
            Status::Superseded | Status::Busy => false,
        };
        ensure!(
            fits,
            "told {:?} ({:?}), recorded {recorded:?}",
            outcome.status,
            outcome.error
        );
    }
    Ok(())
}
