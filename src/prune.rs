//! `prune`: history before a horizon goes, namespace by namespace. See `store::prune` for what stays, and why no answer
//! about the horizon and later changes.

use std::sync::Arc;

use time::OffsetDateTime;

use crate::store::{Horizon, Lease, LockConnection, NamespaceRecord, OldSnapshot, Store, StoreError};

/// Rows that one transaction drops.
pub const BATCH: u32 = 50_000;

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What ended before this moment goes.
    pub before: OffsetDateTime,
    /// Count only: nothing is written.
    pub dry_run: bool,
    /// Rows a transaction.
    pub batch: u32,
}

/// What was dropped, or would be.
#[derive(Debug, Default)]
pub struct Pruned {
    pub namespaces: Vec<PrunedNamespace>,
    /// Runs that have no snapshots left.
    pub runs: u64,
}

#[derive(Debug)]
pub struct PrunedNamespace {
    pub namespace: NamespaceRecord,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Pruned(Dropped),
    /// A run holds it: the next prune takes its turn.
    Busy,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// `None` where nothing was published by then.
    pub horizon: Option<Horizon>,
    pub intervals: u64,
    pub snapshots: u64,
    /// Rows that walks had staged, which nobody needs any more.
    pub leftovers: u64,
}

impl Dropped {
    /// A horizon that moves past nothing is no difference to anybody.
    pub fn is_nothing(&self) -> bool {
        (self.intervals, self.snapshots, self.leftovers) == (0, 0, 0)
    }
}

/// Takes each namespace's lock as a walk does. Killed half-way, it has moved some horizons and dropped some batches; the
/// next prune drops the rest.
pub async fn prune(
    store: &Store,
    settings: &Settings,
    selects: impl Fn(&NamespaceRecord) -> bool,
) -> Result<Pruned, StoreError> {
    let all = store.namespaces().await?;
    let everything = all.iter().all(&selects);
    let mut pruned = Pruned::default();
    let mut droppable = Vec::new();
    let locks = match settings.dry_run {
        true => None,
        false => Some(LockConnection::open(store).await?),
    };
    for namespace in all.into_iter().filter(&selects) {
        let outcome = match &locks {
            None => Outcome::Pruned(count(store, settings, namespace.key, &mut droppable).await?),
            Some(locks) => one(store, settings, locks, namespace.key).await?,
        };
        pruned.namespaces.push(PrunedNamespace { namespace, outcome });
    }
    // A run is about all namespaces of its accounts.
    if everything {
        pruned.runs = match settings.dry_run {
            true => store.count_runs(settings.before, &droppable).await?,
            false => store.drop_runs(settings.before, settings.batch).await?,
        };
    }
    Ok(pruned)
}

async fn one(store: &Store, settings: &Settings, locks: &Arc<LockConnection>, key: i32) -> Result<Outcome, StoreError> {
    let Some(lease) = locks.try_acquire(key).await? else {
        return Ok(Outcome::Busy);
    };
    let dropped = drop_all(store, settings, key, &lease).await;
    lease.release().await?;
    dropped.map(Outcome::Pruned)
}

async fn drop_all(store: &Store, settings: &Settings, key: i32, lease: &Lease) -> Result<Dropped, StoreError> {
    let batch = settings.batch;
    let horizon = store.horizon_at(key, settings.before).await?;
    let before = reached(settings, horizon);
    let mut intervals = 0;
    if let Some(horizon) = horizon {
        lease.move_horizon(horizon).await?;
        intervals = lease.drop_ended_intervals(horizon, batch).await?;
    }
    let leftovers = lease.drop_leftovers(before).await?;
    let old = store.old_snapshots(key, before, horizon).await?;
    lease.drop_snapshots(&old, batch).await?;
    Ok(Dropped {
        horizon,
        intervals,
        snapshots: shown(&old),
        leftovers,
    })
}

/// What lies before this goes: where an earlier prune went further and died, what it left does too.
fn reached(settings: &Settings, horizon: Option<Horizon>) -> OffsetDateTime {
    horizon.map_or(settings.before, |horizon| horizon.at.max(settings.before))
}

/// Those that a view shows.
fn shown(old: &[OldSnapshot]) -> u64 {
    old.iter().filter(|old| !old.pruned).count() as u64
}

async fn count(store: &Store, settings: &Settings, key: i32, droppable: &mut Vec<i32>) -> Result<Dropped, StoreError> {
    let horizon = store.horizon_at(key, settings.before).await?;
    let intervals = match horizon {
        Some(horizon) => store.count_ended_intervals(key, horizon).await?,
        None => 0,
    };
    let before = reached(settings, horizon);
    let leftovers = store.count_leftovers(key, before).await?;
    let old = store.old_snapshots(key, before, horizon).await?;
    droppable.extend(old.iter().filter(|old| !old.named).map(|old| old.snapshot_id));
    Ok(Dropped {
        horizon,
        intervals,
        snapshots: shown(&old),
        leftovers,
    })
}
