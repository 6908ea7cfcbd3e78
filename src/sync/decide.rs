//! Decisions that are left to a person: what becomes of a held snapshot, and of a namespace that vanished. Each takes
//! the namespace's lock and checks its fence as a walk does.

use crate::model::AccountId;
use crate::store::{
    Abandoned, Fence, Found, LockSession, NamedNamespace, ProvenWalk, Published, RunOutcome, Store, StoreError,
};

#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    #[error("there is no snapshot {0}: `durable-inventory snapshots` lists them")]
    NoSuchSnapshot(i32),
    #[error("snapshot {id} of {namespace} is {status}, not held: there is nothing to decide about it")]
    NotHeld { id: i32, namespace: String, status: String },
    #[error("another run is at work on {0} right now: try again when it has ended")]
    Busy(String),
    #[error("a newer snapshot of {0} was published since this one was held back: it was dropped as superseded")]
    Stale(String),
    #[error(
        "the stored objects of {0} and the snapshot's changes do not give what the walk saw, so nothing was changed; \
         `durable-inventory sync --rebuild` mends the record"
    )]
    Mismatch(String),
    #[error("no namespace {0} is recorded: `durable-inventory namespaces` lists them")]
    NoSuchNamespace(String),
    #[error("namespace {0} is in several accounts: name one with --account")]
    Ambiguous(String),
    #[error("several namespaces are called {name}: give the id of the one that is meant, {}", .ids.join(" or "))]
    SharedName { name: String, ids: Vec<String> },
    #[error("namespace {0} is not missing: only one that is no longer listed, and answers 404, can be retired")]
    NotMissing(String),
    #[error("namespace {0} has no objects left to retire")]
    NothingLeft(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Publishes a held snapshot as it stands. Returns its namespace's name.
pub async fn accept(store: &Store, snapshot_id: i32) -> Result<String, DecideError> {
    let held = held(store, snapshot_id).await?;
    let locks = LockSession::open(store).await?;
    let fence = take(&locks, held.0, &held.1).await?;
    // Another process may have decided before the lock was ours.
    let published = match self::held(store, snapshot_id).await {
        Ok(_) => {
            let proven = store.proven_walk(snapshot_id).await?;
            publish(store, fence, &proven, &held.1).await
        }
        Err(error) => Err(error),
    };
    locks.let_go(fence).await?;
    published?;
    Ok(held.1)
}

/// Drops a held snapshot. Returns its namespace's name.
pub async fn discard(store: &Store, snapshot_id: i32) -> Result<String, DecideError> {
    let held = held(store, snapshot_id).await?;
    let locks = LockSession::open(store).await?;
    let fence = take(&locks, held.0, &held.1).await?;
    let dropped = match self::held(store, snapshot_id).await {
        Ok(_) => {
            let why = "discarded by hand";
            store
                .abandon(fence, snapshot_id, Abandoned::Discarded, why, 0)
                .await
                .map_err(DecideError::from)
        }
        Err(error) => Err(error),
    };
    locks.let_go(fence).await?;
    dropped?;
    Ok(held.1)
}

/// Records all objects of a namespace that vanished as removed. Returns the namespace's name and their number.
pub async fn retire(store: &Store, asked: &str, accounts: &[AccountId]) -> Result<(String, u64), DecideError> {
    let namespace = the_one(store, asked, accounts).await?;
    let label = namespace.label.clone();
    if !namespace.missing {
        return Err(DecideError::NotMissing(label));
    }
    if !namespace.published {
        return Err(DecideError::NothingLeft(label));
    }
    let locks = LockSession::open(store).await?;
    let fence = take(&locks, namespace.key, &label).await?;
    let run_id = store.begin_run().await?;
    let retired = close_all(store, fence, run_id, &label).await;
    let outcome = if retired.is_ok() {
        RunOutcome::Done
    } else {
        RunOutcome::Failed
    };
    store.finish_run(run_id, outcome).await?;
    locks.let_go(fence).await?;
    Ok((label, retired?))
}

/// By id, or by a name that only one has: a namespace that was made anew often has its predecessor's name, and closing
/// the wrong one would be found out late.
async fn the_one(store: &Store, asked: &str, accounts: &[AccountId]) -> Result<Found, DecideError> {
    let mut all = store.named_namespaces().await?;
    all.retain(|there| accounts.is_empty() || accounts.iter().any(|account| account.as_str() == there.account_id));
    let with = |is: &dyn Fn(&NamedNamespace) -> bool| all.iter().filter(|there| is(there)).collect::<Vec<_>>();
    let by_id = with(&|there| there.namespace_id == asked);
    let by_name = with(&|there| there.name.as_deref() == Some(asked));
    let one = match (by_id.as_slice(), by_name.as_slice()) {
        ([one], _) | ([], [one]) => *one,
        ([], []) => return Err(DecideError::NoSuchNamespace(asked.to_owned())),
        ([], several) => {
            return Err(DecideError::SharedName {
                name: asked.to_owned(),
                ids: several.iter().map(|there| there.namespace_id.clone()).collect(),
            });
        }
        _ => return Err(DecideError::Ambiguous(asked.to_owned())),
    };
    let found = store.namespaces_with_id(&one.namespace_id).await?;
    let found = found.into_iter().find(|found| found.key == one.key);
    found.ok_or_else(|| DecideError::NoSuchNamespace(asked.to_owned()))
}

async fn close_all(store: &Store, fence: Fence, run_id: i64, label: &str) -> Result<u64, DecideError> {
    store.drop_unfinished_walk(fence, "its namespace is retired").await?;
    let proven = store.stage_retirement(fence, run_id).await?;
    if proven.counts.removed == 0 {
        let why = "nothing was left to retire";
        store
            .abandon(fence, proven.snapshot_id, Abandoned::Discarded, why, 0)
            .await?;
        return Err(DecideError::NothingLeft(label.to_owned()));
    }
    publish(store, fence, &proven, label).await?;
    Ok(proven.counts.removed)
}

async fn publish(store: &Store, fence: Fence, proven: &ProvenWalk, label: &str) -> Result<(), DecideError> {
    match store.publish(fence, proven).await? {
        Published::Complete(_) => Ok(()),
        Published::BaseIsStale => {
            let why = "a newer snapshot of the namespace was published";
            store
                .abandon(fence, proven.snapshot_id, Abandoned::Superseded, why, 0)
                .await?;
            Err(DecideError::Stale(label.to_owned()))
        }
        Published::NotMissing => {
            let why = "the namespace is listed again";
            store
                .abandon(fence, proven.snapshot_id, Abandoned::Discarded, why, 0)
                .await?;
            Err(DecideError::NotMissing(label.to_owned()))
        }
        Published::DigestMismatch => Err(DecideError::Mismatch(label.to_owned())),
    }
}

/// The held snapshot's namespace: key and name.
async fn held(store: &Store, snapshot_id: i32) -> Result<(i32, String), DecideError> {
    let found = store.snapshot_to_decide(snapshot_id).await?;
    let found = found.ok_or(DecideError::NoSuchSnapshot(snapshot_id))?;
    if found.status != "held" {
        return Err(DecideError::NotHeld {
            id: snapshot_id,
            namespace: found.namespace,
            status: found.status,
        });
    }
    Ok((found.namespace_key, found.namespace))
}

async fn take(locks: &LockSession, namespace_key: i32, label: &str) -> Result<Fence, DecideError> {
    locks
        .take(namespace_key)
        .await?
        .ok_or_else(|| DecideError::Busy(label.to_owned()))
}
