//! One run: plan each account, walk its namespaces side by side, and say how it ended.

use std::collections::HashMap;
use std::sync::OnceLock;

use futures_util::StreamExt;
use futures_util::stream;
use tracing::{error, warn};

use crate::model::AccountId;
use crate::store::{LockManager, Store, StoreError};

use crate::text::chain;

use super::namespace::{Run, sync_namespace};
use super::outcome::{AccountFailure, NamespaceOutcome, Status, Summary};
use super::patience::with_patience;
use super::plan::{PlanError, Planned, plan};
use super::progress::Progress;
use super::settings::{Account, Settings};
use super::stop::{Stop, StopReason};

/// Walks and records what the accounts hold. A namespace or an account that fails does not stop the others; an error
/// means that nothing could be recorded at all.
pub async fn sync(
    store: &Store,
    accounts: &[Account],
    settings: &Settings,
    stop: &Stop,
    progress: &Progress,
) -> Result<Summary, StoreError> {
    let lost = StoreError::is_connection_error;
    let run_id = with_patience(settings, stop, lost, async || store.begin_run().await).await?;
    let locks = with_patience(settings, stop, lost, async || LockManager::open(store).await).await?;
    let run = Run {
        id: run_id,
        locks: &locks,
        settings,
        stop,
        progress,
    };
    let all = async {
        let (planned, mut failed_accounts) = plan_accounts(store, accounts, settings, stop).await;
        let (namespaces, refused) = walk_all(&run, planned).await;
        failed_accounts.extend(refused);
        (namespaces, failed_accounts)
    };
    let (namespaces, failed_accounts) = tokio::select! {
        ended = all => ended,
        never = stop_at(settings.deadline, stop) => match never {},
    };
    let summary = Summary {
        run_id,
        namespaces,
        failed_accounts,
        stopped: stop.reason(),
    };
    let outcome = summary.verdict().0;
    let finished = with_patience(settings, stop, lost, async || store.finish_run(run_id, outcome).await).await;
    if let Err(error) = finished {
        // What was published is published, and has to be told.
        warn!("{}", chain(&error));
    }
    Ok(summary)
}

/// Stops the run when its time is over; the walks end themselves.
async fn stop_at(deadline: Option<std::time::Duration>, stop: &Stop) -> std::convert::Infallible {
    if let Some(deadline) = deadline {
        tokio::time::sleep(deadline).await;
        stop.stop(StopReason::Deadline);
    }
    std::future::pending().await
}

async fn plan_accounts<'a>(
    store: &Store,
    accounts: &'a [Account],
    settings: &Settings,
    stop: &Stop,
) -> (Vec<Planned<'a>>, Vec<AccountFailure>) {
    let mut planned = Vec::new();
    let mut failures = Vec::new();
    for account in accounts {
        let lost = |error: &PlanError| matches!(error, PlanError::Store(error) if error.is_connection_error());
        match with_patience(settings, stop, lost, async || plan(store, account, stop).await).await {
            Ok(more) => planned.extend(more),
            Err(error) => {
                let failure = AccountFailure {
                    account: account.id.clone(),
                    error: chain(&error),
                    nothing_selected: matches!(error, PlanError::NothingSelected { .. }),
                };
                error!(account = %failure.account, "{}", failure.error);
                failures.push(failure);
            }
        }
    }
    (planned, failures)
}

async fn walk_all(run: &Run<'_>, planned: Vec<Planned<'_>>) -> (Vec<NamespaceOutcome>, Vec<AccountFailure>) {
    // Credentials that are refused once fail the account, not namespace by namespace.
    let refused: HashMap<_, OnceLock<String>> = planned
        .iter()
        .map(|planned| (&planned.account.id, OnceLock::new()))
        .collect();
    let mut outcomes: Vec<_> = stream::iter(planned.iter().enumerate())
        .map(|(index, planned)| {
            let refused = &refused[&planned.account.id];
            async move {
                if refused.get().is_some() {
                    let why = "not walked: the account's credentials were refused".to_owned();
                    return (index, NamespaceOutcome::of(planned, Status::Failed, Some(why)));
                }
                if let Some(reason) = run.stop.reason() {
                    let why = format!("{reason} before its walk began");
                    return (index, NamespaceOutcome::of(planned, Status::Interrupted, Some(why)));
                }
                let (outcome, unauthorized) = sync_namespace(run, planned).await;
                if let (true, Some(why)) = (unauthorized, &outcome.error) {
                    // Another walk of the account may have said so first.
                    let _first = refused.set(why.clone());
                }
                (index, outcome)
            }
        })
        .buffer_unordered(run.settings.concurrency)
        .collect()
        .await;
    outcomes.sort_by_key(|(index, _)| *index);
    let mut failures: Vec<_> = refused
        .iter()
        .filter_map(|(account, refused)| {
            let error = refused.get()?.clone();
            Some(AccountFailure {
                account: AccountId::clone(account),
                error,
                nothing_selected: false,
            })
        })
        .collect();
    failures.sort_by(|one, other| one.account.cmp(&other.account));
    (outcomes.into_iter().map(|(_, outcome)| outcome).collect(), failures)
}
