//! The document of `prune`.

use serde::Serialize;

use super::{Time, Version};
use crate::prune::{Dropped, Outcome, Pruned, PrunedNamespace};

/// What was dropped, or would be: `prune --format json`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PruneDocument<'a> {
    version: Version,
    dry_run: bool,
    /// Runs that no snapshot is left of.
    runs: u64,
    namespaces: Vec<Namespace<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Namespace<'a> {
    account_id: &'a str,
    namespace_id: &'a str,
    name: Option<&'a str>,
    /// pruned, would_prune, unchanged, or busy: a run has it.
    status: &'static str,
    /// The earliest time for which the record is still complete.
    horizon: Option<Time>,
    intervals: u64,
    snapshots: u64,
    /// Rows of walks that can't be resumed.
    leftovers: u64,
}

impl<'a> PruneDocument<'a> {
    pub fn new(pruned: &'a Pruned, dry_run: bool) -> Self {
        let namespaces = pruned.namespaces.iter();
        Self {
            version: Version,
            dry_run,
            runs: pruned.runs,
            namespaces: namespaces.map(|pruned| namespace(pruned, dry_run)).collect(),
        }
    }
}

fn namespace(pruned: &PrunedNamespace, dry_run: bool) -> Namespace<'_> {
    let (status, dropped) = match pruned.outcome {
        Outcome::Busy => ("busy", Dropped::default()),
        Outcome::Pruned(dropped) if dropped.is_nothing() => ("unchanged", dropped),
        Outcome::Pruned(dropped) if dry_run => ("would_prune", dropped),
        Outcome::Pruned(dropped) => ("pruned", dropped),
    };
    Namespace {
        account_id: &pruned.namespace.account_id,
        namespace_id: &pruned.namespace.namespace_id,
        name: pruned.namespace.name.as_deref(),
        status,
        horizon: dropped.horizon.map(|horizon| Time(horizon.at)),
        intervals: dropped.intervals,
        snapshots: dropped.snapshots,
        leftovers: dropped.leftovers,
    }
}
