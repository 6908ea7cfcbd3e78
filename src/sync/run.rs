//! One run: plan each account, walk its namespaces in parallel, and summarize.

use std::collections::HashMap;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::OnceCell;
use tracing::{error, warn};

use crate::model::AccountId;
use crate::store::{LockManager, Store};

use crate::text::chain;

use super::credentials::CredentialCheck;
use super::namespace::{Run, sync_namespace};
use super::outcome::{AccountFailure, DoubtfulList, NamespaceOutcome, Status, Summary};
use super::plan::{Plan, PlanError, Planned, plan};
use super::progress::Progress;
use super::retry_database::{SyncError, retry_database};
use super::settings::{Account, Settings};
use super::shutdown::Shutdown;

/// Walks the accounts and records what they hold. A failed namespace or account does not stop the others. An error means
/// that nothing could be recorded at all.
pub async fn sync(
    store: &Store,
    accounts: &[Account],
    settings: &Settings,
    stop: &Shutdown,
    progress: &Progress,
) -> Result<Summary, SyncError> {
    let lost = |error: &SyncError| matches!(error, SyncError::Store(error) if error.is_connection_error());
    let begin = async || {
        store.remember_database().await?;
        Ok(store.begin_run().await?)
    };
    let run_id = retry_database(store, settings, stop, lost, begin).await?;
    let open = async || Ok(LockManager::open(store).await?);
    let locks = retry_database(store, settings, stop, lost, open).await?;
    let run = Run {
        id: run_id,
        store,
        sessions_ended: OnceCell::new(),
        locks: &locks,
        settings,
        stop,
        progress,
    };
    let plans = plan_accounts(store, accounts, settings, stop).await;
    let (namespaces, refused) = walk_all(&run, plans.planned).await;
    let mut failed_accounts = plans.failures;
    failed_accounts.extend(refused);
    let summary = Summary {
        run_id,
        namespaces,
        failed_accounts,
        doubtful_lists: plans.doubtful_lists,
        stopped: stop.reason(),
    };
    let outcome = summary.verdict().0;
    let finish = async || Ok(store.finish_run(run_id, outcome).await?);
    let finished = retry_database(store, settings, stop, lost, finish).await;
    if let Err(error) = finished {
        // The snapshots are published all the same, so the summary is returned.
        warn!("{}", chain(&error));
    }
    Ok(summary)
}

#[derive(Default)]
struct Plans<'a> {
    planned: Vec<Planned<'a>>,
    failures: Vec<AccountFailure>,
    doubtful_lists: Vec<DoubtfulList>,
}

async fn plan_accounts<'a>(store: &Store, accounts: &'a [Account], settings: &Settings, stop: &Shutdown) -> Plans<'a> {
    let mut plans = Plans::default();
    for account in accounts {
        let id = || account.id.clone();
        let lost = |error: &PlanError| matches!(error, PlanError::Store(error) if error.is_connection_error());
        match retry_database(store, settings, stop, lost, async || plan(store, account, stop).await).await {
            Ok(Plan { planned, doubt }) => {
                plans.planned.extend(planned);
                if let Some(doubt) = doubt {
                    let why = format!(
                        "the namespace list may be cut short: {doubt}; what it lists is walked, and no namespace is marked \
                         missing: run `durable-inventory check` to look at the list again"
                    );
                    warn!(account = %account.id, "{why}");
                    plans.doubtful_lists.push(DoubtfulList { account: id(), why });
                }
            }
            Err(error) => {
                let failure = AccountFailure {
                    account: id(),
                    error: chain(&error),
                    is_mistake: error.is_mistake(),
                };
                error!(account = %failure.account, "{}", failure.error);
                plans.failures.push(failure);
            }
        }
    }
    plans
}

async fn walk_all(run: &Run<'_>, planned: Vec<Planned<'_>>) -> (Vec<NamespaceOutcome>, Vec<AccountFailure>) {
    let accounts: HashMap<_, CredentialCheck> = planned
        .iter()
        .map(|planned| (&planned.account.id, CredentialCheck::new()))
        .collect();
    let mut outcomes: Vec<_> = stream::iter(planned.iter().enumerate())
        .map(|(index, planned)| {
            let check = &accounts[&planned.account.id];
            async move {
                if check.refused.get().is_some() {
                    let why = "not walked: the account's credentials were refused";
                    return (
                        index,
                        NamespaceOutcome::of(planned, Status::Interrupted, Some(why.to_owned())),
                    );
                }
                if let Some(reason) = run.stop.reason() {
                    let why = format!("{reason} before its walk began");
                    return (index, NamespaceOutcome::of(planned, Status::Interrupted, Some(why)));
                }
                let (outcome, unauthorized) = sync_namespace(run, planned).await;
                if unauthorized {
                    check.test(planned.account, run.stop).await;
                }
                (index, outcome)
            }
        })
        .buffer_unordered(run.settings.concurrency)
        .collect()
        .await;
    outcomes.sort_by_key(|(index, _)| *index);
    let mut failures: Vec<_> = accounts
        .iter()
        .filter_map(|(account, check)| {
            let error = check.refused.get()?.clone();
            Some(AccountFailure {
                account: AccountId::clone(account),
                error,
                is_mistake: false,
            })
        })
        .collect();
    failures.sort_by(|one, other| one.account.cmp(&other.account));
    (outcomes.into_iter().map(|(_, outcome)| outcome).collect(), failures)
}
