//! One run: plan each account, walk its namespaces side by side, and say how it ended.

use std::sync::OnceLock;

use backon::Retryable;
use futures_util::StreamExt;
use futures_util::stream;
use tracing::error;

use crate::model::Counts;
use crate::store::{Locks, Store, StoreError};

use crate::text::chain;

use super::namespace::{Planned, Run, database_waits};
use super::outcome::{AccountFailure, NamespaceOutcome, Status, Summary};
use super::plan::{PlanError, plan};
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
    let run_id = store.begin_run().await?;
    let locks = Locks::open(store).await?;
    let run = Run {
        id: run_id,
        store,
        locks: &locks,
        settings,
        stop,
        progress,
    };
    let all = async {
        let (planned, failed_accounts) = plan_accounts(store, accounts, settings, stop).await;
        (walk_all(&run, planned).await, failed_accounts)
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
    let finish = || store.finish_run(run_id, summary.verdict().0);
    finish
        .retry(database_waits(settings.retry_for))
        .when(StoreError::is_connection_lost)
        .await?;
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
        let listed = (|| plan(store, account, stop))
            .retry(database_waits(settings.retry_for))
            .when(|error| matches!(error, PlanError::Store(error) if error.is_connection_lost()))
            .await;
        match listed {
            Ok(more) => planned.extend(more),
            Err(error) => {
                let failure = AccountFailure {
                    account: account.id.clone(),
                    error: chain(&error),
                };
                error!(account = %failure.account, "{}", failure.error);
                failures.push(failure);
            }
        }
    }
    (planned, failures)
}

async fn walk_all(run: &Run<'_>, planned: Vec<Planned<'_>>) -> Vec<NamespaceOutcome> {
    // Credentials that are refused once fail the account, not namespace by namespace.
    let refused: Vec<_> = planned
        .iter()
        .map(|planned| (planned.account.id.clone(), OnceLock::new()))
        .collect();
    let refused_of = |planned: &Planned<'_>| refused.iter().find(|(account, _)| *account == planned.account.id);
    let mut outcomes: Vec<_> = stream::iter(planned.iter().enumerate())
        .map(|(index, planned)| async move {
            let refused = refused_of(planned).map(|(_, refused)| refused);
            let skipped = match (refused.and_then(OnceLock::get), run.stop.reason()) {
                (Some(why), _) => Some((Status::Failed, String::clone(why))),
                (None, Some(reason)) => Some((Status::Interrupted, format!("{reason} before its walk began"))),
                (None, None) => None,
            };
            if let Some((status, why)) = skipped {
                return (index, not_walked(planned, status, why));
            }
            let (outcome, unauthorized) = run.sync_namespace(planned).await;
            if let (true, Some(refused), Some(why)) = (unauthorized, refused, &outcome.error) {
                // Another walk of the account may have said so first.
                let _first = refused.set(why.clone());
            }
            (index, outcome)
        })
        .buffer_unordered(run.settings.concurrency)
        .collect()
        .await;
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn not_walked(planned: &Planned<'_>, status: Status, why: String) -> NamespaceOutcome {
    NamespaceOutcome {
        account: planned.account.id.clone(),
        namespace: planned.namespace.id.clone(),
        name: planned.namespace.name.clone(),
        status,
        snapshot_id: None,
        baseline: false,
        counts: Counts::default(),
        pages: 0,
        requests: 0,
        resumed: 0,
        elapsed: std::time::Duration::ZERO,
        error: Some(why),
    }
}
