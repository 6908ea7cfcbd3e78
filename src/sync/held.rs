//! A person's decision about a held snapshot. It takes the namespace's lease, as a walk does.

use std::sync::Arc;

use crate::cloudflare;
use crate::store::{Ending, Lease, LockConnection, ProvenWalk, PublishError, Store, StoreError};

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
    #[error(
        "namespace {0} is not waiting to be marked as missing: `accept-missing` is for namespaces that a run reported as \
         vanished together with many others"
    )]
    NotVanished(String),
    #[error(
        "the namespace list of account {account} may be cut short, so nothing was marked: {doubt}; try again later, and if \
         this stays so, check the API base URL"
    )]
    DoubtfulList { account: String, doubt: String },
    #[error(transparent)]
    Api(#[from] cloudflare::Error),
    #[error("namespace {0} has no objects left to retire")]
    NothingLeft(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Publishes a held snapshot as it stands. Returns its namespace's name.
pub async fn accept(store: &Store, snapshot_id: i32) -> Result<String, DecideError> {
    decide(store, snapshot_id, async |held, label| publish(held, label).await).await
}

/// Drops a held snapshot. Returns its namespace's name.
pub async fn discard(store: &Store, snapshot_id: i32) -> Result<String, DecideError> {
    let discard = async |held: ProvenWalk, _: &str| {
        held.into_walk().end(Ending::Discarded, "discarded by hand", 0).await?;
        Ok(())
    };
    decide(store, snapshot_id, discard).await
}

async fn decide(
    store: &Store,
    snapshot_id: i32,
    decision: impl AsyncFnOnce(ProvenWalk, &str) -> Result<(), DecideError>,
) -> Result<String, DecideError> {
    let (namespace_key, label) = namespace_of_held(store, snapshot_id).await?;
    let lease = acquire(&LockConnection::open(store).await?, namespace_key, &label).await?;
    // Another process may have decided before the lease was ours.
    let decided = match ProvenWalk::held(lease.clone(), snapshot_id).await {
        Ok(Some(held)) => decision(held, &label).await,
        Ok(None) => namespace_of_held(store, snapshot_id).await.map(drop),
        Err(error) => Err(error.into()),
    };
    lease.release().await?;
    decided?;
    Ok(label)
}

/// Publishes what a person decided to publish.
pub(super) async fn publish(proven: ProvenWalk, label: &str) -> Result<(), DecideError> {
    let Err(unpublished) = proven.publish().await else {
        return Ok(());
    };
    let (error, how) = match unpublished.why {
        PublishError::BaseIsStale => (DecideError::Stale(label.to_owned()), Ending::Superseded),
        PublishError::NotMissing => (DecideError::NotMissing(label.to_owned()), Ending::Discarded),
        // Nothing changes, so that `sync --rebuild` can repair the record first.
        PublishError::DigestMismatch => return Err(DecideError::Mismatch(label.to_owned())),
        PublishError::Store(error) => return Err(error.into()),
    };
    let why = match how {
        Ending::Superseded => "a newer snapshot of the namespace was published",
        _ => "the namespace is listed again",
    };
    unpublished.walk.end(how, why, 0).await?;
    Err(error)
}

/// A held snapshot's namespace: key and name.
async fn namespace_of_held(store: &Store, snapshot_id: i32) -> Result<(i32, String), DecideError> {
    let found = store.snapshot_status(snapshot_id).await?;
    let (namespace, status) = found.ok_or(DecideError::NoSuchSnapshot(snapshot_id))?;
    let label = namespace.label().to_owned();
    match status.as_str() {
        "held" => Ok((namespace.key, label)),
        _ => Err(DecideError::NotHeld {
            id: snapshot_id,
            namespace: label,
            status,
        }),
    }
}

pub(super) async fn acquire(
    locks: &Arc<LockConnection>,
    namespace_key: i32,
    label: &str,
) -> Result<Lease, DecideError> {
    let lease = locks.try_acquire(namespace_key).await?;
    lease.ok_or_else(|| DecideError::Busy(label.to_owned()))
}
