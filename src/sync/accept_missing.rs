//! Marks namespaces as missing that vanished in great number, because a person says that they are gone. Only those that
//! a run has noted are marked, and only if a fresh list and the namespace's own object list agree.

use std::collections::HashSet;

use crate::cloudflare::ErrorKind;
use crate::model::NamespaceId;
use crate::store::{LockConnection, Store, StoreError, VanishedNamespace};
use crate::text::chain;

use super::end_walk::VANISHED;
use super::held::{DecideError, acquire};
use super::settings::Account;

/// What became of a namespace that waited to be marked.
#[derive(Debug)]
pub enum MissingVerdict {
    Marked,
    /// The account lists it again.
    Listed,
    /// It is not listed, but its objects can be read.
    Found,
    /// Nothing can be said about it, and why.
    Unknown(String),
}

/// Marks the namespaces with these ids, or all that vanished. Returns what became of each, by its name or id.
pub async fn accept_missing(
    store: &Store,
    accounts: &[Account],
    ids: &[String],
) -> Result<Vec<(String, MissingVerdict)>, DecideError> {
    let mut waiting = store.vanished_namespaces().await?;
    if let Some(other) = ids
        .iter()
        .find(|id| waiting.iter().all(|there| there.namespace_id != **id))
    {
        return Err(DecideError::NotVanished(other.clone()));
    }
    waiting.retain(|there| ids.is_empty() || ids.contains(&there.namespace_id));
    let mut decided = Vec::new();
    for of_account in waiting.chunk_by(|one, other| one.account_id == other.account_id) {
        let Some(account) = accounts
            .iter()
            .find(|account| account.id.as_str() == of_account[0].account_id)
        else {
            let why = || MissingVerdict::Unknown(format!("account {} is not configured", of_account[0].account_id));
            decided.extend(of_account.iter().map(|there| (there.label().to_owned(), why())));
            continue;
        };
        let listed = listed(store, account).await?;
        for there in of_account {
            decided.push((there.label().to_owned(), decide(store, account, &listed, there).await?));
        }
    }
    Ok(decided)
}

/// The ids of a whole list.
async fn listed(store: &Store, account: &Account) -> Result<HashSet<NamespaceId>, DecideError> {
    store.require_api(&account.id, &account.base_url).await?;
    let listing = account.client.list_namespaces(&account.id).await?;
    match listing.doubt_for_recorded() {
        Some(doubt) => Err(DecideError::DoubtfulList {
            account: account.id.to_string(),
            doubt,
        }),
        None => Ok(listing.namespaces.into_iter().map(|there| there.id).collect()),
    }
}

async fn decide(
    store: &Store,
    account: &Account,
    listed: &HashSet<NamespaceId>,
    there: &VanishedNamespace,
) -> Result<MissingVerdict, DecideError> {
    let id: NamespaceId = there.namespace_id.parse().map_err(|_| StoreError::InvalidId {
        text: there.namespace_id.clone(),
    })?;
    if listed.contains(&id) {
        return Ok(MissingVerdict::Listed);
    }
    match account.client.list_objects(&account.id, &id, account.limit, None).await {
        Ok(_) => Ok(MissingVerdict::Found),
        Err(error) if error.kind() == ErrorKind::NotFound => mark(store, there).await,
        Err(error) => Ok(MissingVerdict::Unknown(chain(&error))),
    }
}

async fn mark(store: &Store, there: &VanishedNamespace) -> Result<MissingVerdict, DecideError> {
    let lease = acquire(&LockConnection::open(store).await?, there.key, there.label()).await?;
    let marked = async {
        let is_marked = lease.mark_missing().await?;
        if is_marked {
            lease.drop_unfinished_walk(VANISHED).await?;
        }
        Ok::<_, StoreError>(is_marked)
    }
    .await;
    lease.release().await?;
    match marked? {
        true => Ok(MissingVerdict::Marked),
        // A run has listed or read it since.
        false => Ok(MissingVerdict::Listed),
    }
}
