//! Which namespaces a run walks: those that the account lists and the configuration selects, and those that the record
//! knows but the list lacks, to learn whether they are gone.

use std::collections::HashSet;

use tracing::warn;

use crate::cloudflare;
use crate::store::{Store, StoreError};

use super::namespace::Planned;
use super::settings::Account;
use super::stop::{Stop, StopReason};

#[derive(Debug, thiserror::Error)]
pub(super) enum PlanError {
    #[error(transparent)]
    Api(#[from] cloudflare::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0} before the namespaces were listed")]
    Stopped(StopReason),
    #[error(
        "account {account} has no namespace that matches {patterns}; `durable-inventory namespaces` lists what is recorded"
    )]
    NothingSelected { account: String, patterns: String },
}

/// Lists the account's namespaces, records the list, and selects.
pub(super) async fn plan<'a>(store: &Store, account: &'a Account, stop: &Stop) -> Result<Vec<Planned<'a>>, PlanError> {
    let account_key = store.register_account(&account.id, &account.base_url).await?;
    let listing = tokio::select! {
        biased;
        reason = stop.stopped() => return Err(PlanError::Stopped(reason)),
        listing = account.client.list_namespaces(&account.id) => listing?,
    };
    store.record_listing(account_key, &listing.namespaces).await?;
    let listed: HashSet<_> = listing.namespaces.iter().map(|namespace| &namespace.id).collect();
    let unmatched = account.selection.unmatched(&listing.namespaces);
    let recorded = store.recorded_namespaces(account_key).await?;
    let planned: Vec<_> = recorded
        .into_iter()
        .filter_map(|recorded| {
            let listed = listed.contains(&recorded.namespace.id);
            // One that is known to be missing is not asked about again; it is back when it is listed again.
            let worth_asking = listed || recorded.missing_since.is_none();
            (worth_asking && account.selection.selects(&recorded.namespace)).then_some(Planned {
                account,
                key: recorded.key,
                fence: recorded.fence,
                namespace: recorded.namespace,
                listed,
            })
        })
        .collect();
    if planned.is_empty() && !unmatched.is_empty() {
        return Err(PlanError::NothingSelected {
            account: account.id.to_string(),
            patterns: unmatched.join(", "),
        });
    }
    for pattern in unmatched {
        warn!(account = %account.id, "no listed namespace matches {pattern}");
    }
    Ok(planned)
}
