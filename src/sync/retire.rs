//! Retirement: all objects of a namespace that vanished are recorded as removed, because a person says so.

use crate::model::{AccountId, ChangeKind};
use crate::store::{Ending, Lease, LockConnection, NamespaceRecord, RunOutcome, Store};

use super::held::{DecideError, acquire, called, publish};

/// Records all objects of a namespace that vanished as removed. Returns the namespace's name and their number.
pub async fn retire(store: &Store, asked: &str, accounts: &[AccountId]) -> Result<(String, u64), DecideError> {
    let namespace = the_one(store, asked, accounts).await?;
    let label = namespace.label().to_owned();
    if namespace.missing_since.is_none() {
        return Err(DecideError::NotMissing(label));
    }
    if namespace.published.is_none() {
        return Err(DecideError::NothingLeft(label));
    }
    let lease = acquire(&LockConnection::open(store).await?, namespace.key, &label).await?;
    let run_id = store.begin_run().await?;
    let retired = close_all(&lease, run_id, &label).await;
    let outcome = match retired {
        Ok(_) => RunOutcome::Done,
        Err(_) => RunOutcome::Failed,
    };
    store.finish_run(run_id, outcome).await?;
    lease.release().await?;
    Ok((label, retired?))
}

/// Finds a namespace by id, or by a name that no other has: retiring the wrong one would be noticed late.
async fn the_one(store: &Store, asked: &str, accounts: &[AccountId]) -> Result<NamespaceRecord, DecideError> {
    let mut all = store.namespaces().await?;
    all.retain(|there| accounts.is_empty() || accounts.iter().any(|account| account.as_str() == there.account_id));
    let mut found = called(all, asked);
    match found.as_slice() {
        [] => Err(DecideError::NoSuchNamespace(asked.to_owned())),
        [_] => Ok(found.remove(0)),
        [first, ..] if first.name.as_deref() == Some(asked) => Err(DecideError::SharedName {
            name: asked.to_owned(),
            ids: found.iter().map(|there| there.namespace_id.clone()).collect(),
        }),
        _ => Err(DecideError::Ambiguous(asked.to_owned())),
    }
}

async fn close_all(lease: &Lease, run_id: i64, label: &str) -> Result<u64, DecideError> {
    lease.drop_unfinished_walk("its namespace is retired").await?;
    let proven = lease.stage_retirement(run_id).await?;
    let removed = proven.counts().changes[ChangeKind::Removed];
    if removed == 0 {
        proven
            .into_walk()
            .end(Ending::Discarded, "nothing was left to retire", 0)
            .await?;
        return Err(DecideError::NothingLeft(label.to_owned()));
    }
    publish(proven, label).await?;
    Ok(removed)
}
