//! A person's decision about a held snapshot. It takes the namespace's lease, as a walk does.

use std::fmt::Display;
use std::sync::Arc;

use crate::cloudflare;
use crate::model::canonical_id;
use crate::store::{
    Ending, Lease, LockConnection, NamespaceRecord, ProvenWalk, PublishError, SnapshotRow, Store, StoreError,
};

#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    #[error("there is no snapshot {0}: `durable-inventory snapshots` lists them")]
    NoSuchSnapshot(i32),
    #[error("snapshot {id} of {namespace} {why}")]
    NotHeld { id: i32, namespace: String, why: String },
    #[error("{0} has no held snapshot, so there is nothing to decide")]
    NoneHeld(String),
    #[error("several namespaces called {name} have a held snapshot: {}", .commands.join(", "))]
    SeveralHeld { name: String, commands: Vec<String> },
    #[error("another run is syncing {0}: try again when that run has ended")]
    Busy(String),
    #[error("a newer snapshot of {0} was published since this one was held back: it was dropped as superseded")]
    Stale(String),
    #[error(
        "the stored objects of {0} and the snapshot's changes do not give what the walk saw, so nothing was changed: \
         `durable-inventory sync --rebuild` repairs the current objects"
    )]
    Mismatch(String),
    #[error("no namespace {0} is recorded: `durable-inventory namespaces` lists them")]
    NoSuchNamespace(String),
    #[error("namespace {0} is in several accounts: name one with --account")]
    Ambiguous(String),
    #[error("several namespaces are called {name}: give the id of the one that is meant, {}", .ids.join(" or "))]
    SharedName { name: String, ids: Vec<String> },
    #[error(
        "namespace {0} is not missing: only a namespace that is no longer listed, and whose object list returns 404, can be retired"
    )]
    NotMissing(String),
    #[error(
        "namespace {0} is not waiting to be marked as missing: `accept-missing` is for namespaces that a run reported as \
         vanished together with many others"
    )]
    NotVanished(String),
    #[error(
        "the namespace list of account {account} may be incomplete, so nothing was marked: {doubt}; retry later, and if \
         this persists, check the API base URL"
    )]
    DoubtfulList { account: String, doubt: String },
    #[error(transparent)]
    Api(#[from] cloudflare::Error),
    #[error("namespace {0} has no objects left to retire")]
    NothingLeft(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a person decides about a held snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Publish it as it stands.
    Accept,
    /// Drop it.
    Discard,
}

impl Decision {
    /// The command that carries it out.
    pub fn command(self, snapshot_id: impl Display) -> String {
        let verb = match self {
            Self::Accept => "accept",
            Self::Discard => "discard",
        };
        format!("durable-inventory snapshots {verb} {snapshot_id}")
    }
}

/// The held snapshot of this number.
pub async fn held(store: &Store, snapshot_id: i32, decision: Decision) -> Result<SnapshotRow, DecideError> {
    let (namespace_key, label) = namespace_of_held(store, snapshot_id, decision).await?;
    let mut found = snapshots(store, &[namespace_key], &["held"]).await?.into_iter();
    match found.find(|row| row.snapshot_id == i64::from(snapshot_id)) {
        Some(row) => Ok(row),
        // It was decided about meanwhile.
        None => Err(DecideError::NoneHeld(label)),
    }
}

/// The held snapshot of the namespace with this id or name. A namespace has one at most.
pub async fn held_of(store: &Store, asked: &str, decision: Decision) -> Result<SnapshotRow, DecideError> {
    let named = called(store.namespaces().await?, asked);
    if named.is_empty() {
        return Err(DecideError::NoSuchNamespace(asked.to_owned()));
    }
    let keys: Vec<_> = named.iter().map(|namespace| namespace.key).collect();
    let mut found = snapshots(store, &keys, &["held"]).await?;
    match found.len() {
        0 => Err(DecideError::NoneHeld(asked.to_owned())),
        1 => Ok(found.remove(0)),
        _ => Err(DecideError::SeveralHeld {
            name: asked.to_owned(),
            commands: found.iter().map(|row| command_for(row, decision)).collect(),
        }),
    }
}

fn command_for(row: &SnapshotRow, decision: Decision) -> String {
    format!(
        "`{}` (namespace {} in account {})",
        decision.command(row.snapshot_id),
        row.namespace_id,
        row.account_id
    )
}

/// Publishes or drops a held snapshot. Returns its namespace's name.
pub async fn decide(store: &Store, snapshot_id: i32, decision: Decision) -> Result<String, DecideError> {
    let (namespace_key, label) = namespace_of_held(store, snapshot_id, decision).await?;
    let lease = acquire(&LockConnection::open(store).await?, namespace_key, &label).await?;
    // Another process may have decided before the lease was ours.
    let decided = match ProvenWalk::held(lease.clone(), snapshot_id).await {
        Ok(Some(held)) => match decision {
            Decision::Accept => publish(held, &label).await,
            Decision::Discard => discard(held).await,
        },
        Ok(None) => namespace_of_held(store, snapshot_id, decision).await.map(drop),
        Err(error) => Err(error.into()),
    };
    lease.release().await?;
    decided?;
    Ok(label)
}

async fn discard(held: ProvenWalk) -> Result<(), DecideError> {
    held.into_walk().end(Ending::Discarded, "discarded by hand", 0).await?;
    Ok(())
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
async fn namespace_of_held(store: &Store, snapshot_id: i32, decision: Decision) -> Result<(i32, String), DecideError> {
    let found = store.snapshot_status(snapshot_id).await?;
    let (namespace, status) = found.ok_or(DecideError::NoSuchSnapshot(snapshot_id))?;
    let label = namespace.label().to_owned();
    let why = match status.as_str() {
        "held" => return Ok((namespace.key, label)),
        "complete" => "is published already".to_owned(),
        "discarded" => "was discarded".to_owned(),
        "failed" => "comes from a failed walk and can't be published".to_owned(),
        "superseded" => superseded_by(store, namespace.key, snapshot_id, decision).await?,
        _ => "is not complete yet, so there is nothing to decide".to_owned(),
    };
    Err(DecideError::NotHeld {
        id: snapshot_id,
        namespace: label,
        why,
    })
}

/// Names the snapshot that took the place of a superseded one.
async fn superseded_by(
    store: &Store,
    namespace_key: i32,
    snapshot_id: i32,
    decision: Decision,
) -> Result<String, StoreError> {
    let newest = snapshots(store, &[namespace_key], &["held", "complete"])
        .await?
        .into_iter()
        .next();
    Ok(match newest.filter(|row| row.snapshot_id > i64::from(snapshot_id)) {
        Some(row) if row.status == "held" => format!(
            "was replaced by snapshot {}, which waits for a decision: `{}`",
            row.snapshot_id,
            decision.command(row.snapshot_id)
        ),
        Some(row) => format!("was replaced by snapshot {}, which is published", row.snapshot_id),
        None => "was replaced by a newer one, which was discarded".to_owned(),
    })
}

/// Snapshots of the namespaces with one of these statuses, the newest first.
async fn snapshots(store: &Store, namespaces: &[i32], statuses: &[&str]) -> Result<Vec<SnapshotRow>, StoreError> {
    const MOST: u32 = 100;
    let statuses: Vec<_> = statuses.iter().map(|status| (*status).to_owned()).collect();
    Ok(store.snapshot_rows(namespaces, &statuses, MOST).await?.rows)
}

/// The namespaces with this id, or else those with this name: a recreated namespace often has its predecessor's.
pub(super) fn called(mut all: Vec<NamespaceRecord>, asked: &str) -> Vec<NamespaceRecord> {
    let is_asked = |there: &NamespaceRecord| there.namespace_id == canonical_id(asked);
    match all.iter().any(is_asked) {
        true => all.retain(is_asked),
        false => all.retain(|there| there.name.as_deref() == Some(asked)),
    }
    all
}

pub(super) async fn acquire(
    locks: &Arc<LockConnection>,
    namespace_key: i32,
    label: &str,
) -> Result<Lease, DecideError> {
    let lease = locks.try_acquire(namespace_key).await?;
    lease.ok_or_else(|| DecideError::Busy(label.to_owned()))
}
