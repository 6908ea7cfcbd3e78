//! `prune`: deletes history before a horizon, namespace by namespace. `store::prune` documents what is kept, and why no
//! answer about the horizon and later changes.

use std::sync::Arc;

use time::OffsetDateTime;

use crate::store::{Horizon, Lease, LockConnection, NamespaceRecord, OldSnapshot, Store, StoreError};

/// Rows deleted per transaction.
pub const BATCH: u32 = 50_000;

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// History that ended before this time is deleted.
    pub before: OffsetDateTime,
    /// Only counts; nothing is written.
    pub dry_run: bool,
    /// Rows per transaction.
    pub batch: u32,
}

/// What was deleted, or would be in a dry run.
#[derive(Debug, Default)]
pub struct Pruned {
    pub namespaces: Vec<PrunedNamespace>,
    /// The number of runs without snapshots.
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
    /// A run holds the namespace's lock; the next prune may get it.
    Busy,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// `None` if nothing was published by then.
    pub horizon: Option<Horizon>,
    pub intervals: u64,
    pub snapshots: u64,
    /// Rows staged or spooled by walks that can no longer be resumed.
    pub leftovers: u64,
}

impl Dropped {
    /// Whether nothing was deleted. A horizon that only moved makes no difference.
    pub fn is_nothing(&self) -> bool {
        (self.intervals, self.snapshots, self.leftovers) == (0, 0, 0)
    }
}

/// Prunes the selected namespaces, each under its lock. A prune that was killed has moved some horizons and deleted
/// some batches; the next one deletes the rest.
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
    // A run covers all namespaces of its accounts.
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
        snapshots: visible(&old),
        leftovers,
    })
}

/// The time before which history is deleted, including the rest of an earlier prune that went further and was killed.
fn reached(settings: &Settings, horizon: Option<Horizon>) -> OffsetDateTime {
    horizon.map_or(settings.before, |horizon| horizon.at.max(settings.before))
}

/// The number of snapshots that a view shows.
fn visible(old: &[OldSnapshot]) -> u64 {
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
        snapshots: visible(&old),
        leftovers,
    })
}
