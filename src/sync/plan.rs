//! The namespaces that a run walks: those that the account lists and the configuration selects, and those that are
//! recorded but no longer listed, to learn whether they are gone.

use std::collections::HashSet;

use tracing::warn;

use crate::cloudflare;
use crate::model::Namespace;
use crate::select::near;
use crate::store::{LeaseNumber, Store, StoreError};

use super::retry_database::SyncError;
use super::settings::Account;
use super::shutdown::{Shutdown, StopReason};

#[derive(Debug, thiserror::Error)]
pub(super) enum PlanError {
    #[error(transparent)]
    Api(#[from] cloudflare::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0} before the namespaces were listed")]
    Stopped(StopReason),
    #[error(
        "account {account} has no namespace that matches {patterns}{near}; `durable-inventory namespaces` lists what is \
         recorded"
    )]
    NothingSelected {
        account: String,
        patterns: String,
        near: String,
    },
}

impl From<SyncError> for PlanError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Store(error) => Self::Store(error),
            SyncError::Stopped(reason) => Self::Stopped(reason),
        }
    }
}

impl PlanError {
    pub(super) fn is_connection_error(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_connection_error())
    }

    /// Whether the arguments or the configuration are wrong, so that no retry helps.
    pub(super) fn is_mistake(&self) -> bool {
        match self {
            Self::NothingSelected { .. } => true,
            Self::Api(error) => error.kind() == cloudflare::ErrorKind::Setup,
            Self::Store(_) | Self::Stopped(_) => false,
        }
    }
}

/// A namespace that is to be walked.
pub(super) struct Planned<'a> {
    pub(super) account: &'a Account,
    pub(super) account_key: i32,
    pub(super) key: i32,
    /// The newest lease on it when the run was planned.
    pub(super) lease: LeaseNumber,
    pub(super) namespace: Namespace,
    /// The objects in its newest published snapshot.
    pub(super) recorded: Option<u64>,
    /// The account's list is whole and lacks it. If its object list answers 404 as well, it has vanished.
    pub(super) is_off_the_list: bool,
}

/// The namespaces of one account.
pub(super) struct Plan<'a> {
    pub(super) planned: Vec<Planned<'a>>,
    /// Why the list may lack namespaces, if it may.
    pub(super) doubt: Option<String>,
}

/// Lists the account's namespaces, records the list, and selects.
pub(super) async fn plan<'a>(store: &Store, account: &'a Account, stop: &Shutdown) -> Result<Plan<'a>, PlanError> {
    store.require_api(&account.id, &account.base_url).await?;
    let listing = tokio::select! {
        biased;
        reason = stop.stopped() => return Err(PlanError::Stopped(reason)),
        listing = account.client.list_namespaces(&account.id) => listing?,
    };
    // Only now: an API that never returned a list must not bind the account's record to itself.
    let account_key = store.register_account(&account.id, &account.base_url).await?;
    store.record_listing(account_key, &listing.namespaces).await?;
    let all_recorded = store.namespaces_of_account(account_key).await?;
    let is_any_present = all_recorded.iter().any(|recorded| recorded.missing_since.is_none());
    let doubt = match is_any_present {
        true => listing.doubt_for_recorded(),
        false => listing.doubt.clone(),
    };
    if listing.is_null && doubt.is_none() {
        warn!(account = %account.id, "the API sent null instead of the namespace list, which counts as an empty list");
    }
    let listed: HashSet<_> = listing.namespaces.iter().map(|namespace| &namespace.id).collect();
    let unmatched = account.selection.unmatched(&listing.namespaces);
    let mut planned = Vec::new();
    for recorded in all_recorded {
        let namespace = recorded.listed()?;
        let listed = listed.contains(&namespace.id);
        // A missing namespace is not requested again. It is back as soon as it is listed.
        let may_exist = listed || recorded.missing_since.is_none();
        if may_exist && account.selection.selects(&namespace) {
            planned.push(Planned {
                account,
                account_key,
                key: recorded.key,
                lease: recorded.lease,
                recorded: recorded.published.map(|newest| newest.objects),
                namespace,
                is_off_the_list: !listed && doubt.is_none(),
            });
        }
    }
    if planned.is_empty() && !unmatched.is_empty() && doubt.is_none() {
        return Err(PlanError::NothingSelected {
            account: account.id.to_string(),
            near: near(&unmatched, listing.namespaces.iter().map(Namespace::label)),
            patterns: unmatched.join(", "),
        });
    }
    for pattern in unmatched {
        warn!(account = %account.id, "no listed namespace matches {pattern}");
    }
    Ok(Plan { planned, doubt })
}
