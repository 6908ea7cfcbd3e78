//! Retirement: all objects of a namespace that vanished are recorded as removed, because a person says so.

use crate::model::{AccountId, ChangeKind};
use crate::store::{Ending, Found, Lease, LockConnection, NamedNamespace, RunOutcome, Store};

use super::held::{DecideError, acquire, publish};

/// Records all objects of a namespace that vanished as removed. Returns the namespace's name and their number.
pub async fn retire(store: &Store, asked: &str, accounts: &[AccountId]) -> Result<(String, u64), DecideError> {
    let namespace = the_one(store, asked, accounts).await?;
    let label = namespace.label;
    if !namespace.missing {
        return Err(DecideError::NotMissing(label));
    }
    if !namespace.published {
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

/// Finds the namespace by its id, or by a name that no other has. A namespace that was made anew often has the name of its
/// predecessor, and closing the wrong one would be noticed late.
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
