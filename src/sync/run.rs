//! One run: plan each account, walk its namespaces side by side, and say how it ended.

use std::collections::HashMap;
use std::sync::OnceLock;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::Mutex;
use tracing::{error, warn};

use crate::cloudflare::ErrorKind;
use crate::model::AccountId;
use crate::store::{LockManager, Store, StoreError};

use crate::text::chain;

use super::namespace::{Run, sync_namespace};
use super::outcome::{AccountFailure, DoubtfulList, NamespaceOutcome, Status, Summary};
use super::patience::with_patience;
use super::plan::{Plan, PlanError, Planned, plan};
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
        let plans = plan_accounts(store, accounts, settings, stop).await;
        let (namespaces, refused) = walk_all(&run, plans.planned).await;
        let mut failed_accounts = plans.failures;
        failed_accounts.extend(refused);
        (namespaces, failed_accounts, plans.doubtful_lists)
    };
    let (namespaces, failed_accounts, doubtful_lists) = tokio::select! {
        ended = all => ended,
        never = stop_at(settings.deadline, stop) => match never {},
    };
    let summary = Summary {
        run_id,
        namespaces,
        failed_accounts,
        doubtful_lists,
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

#[derive(Default)]
struct Plans<'a> {
    planned: Vec<Planned<'a>>,
    failures: Vec<AccountFailure>,
    doubtful_lists: Vec<DoubtfulList>,
}

async fn plan_accounts<'a>(store: &Store, accounts: &'a [Account], settings: &Settings, stop: &Stop) -> Plans<'a> {
    let mut plans = Plans::default();
    for account in accounts {
        let id = || account.id.clone();
        let lost = |error: &PlanError| matches!(error, PlanError::Store(error) if error.is_connection_error());
        match with_patience(settings, stop, lost, async || plan(store, account, stop).await).await {
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
                    nothing_selected: matches!(error, PlanError::NothingSelected { .. }),
                };
                error!(account = %failure.account, "{}", failure.error);
                plans.failures.push(failure);
            }
        }
    }
    plans
}

/// Requests for an account's namespace list, at most, to learn whether its credentials are refused altogether.
const MOST_TRIALS: u8 = 3;

/// What a run learns of one account's credentials.
struct Trust {
    /// Held while the list is asked for: walks that are refused at the same time wait for that response.
    trials_left: Mutex<u8>,
    /// Why the account stopped.
    refused: OnceLock<String>,
}

impl Trust {
    fn new() -> Self {
        Self {
            trials_left: Mutex::new(MOST_TRIALS),
            refused: OnceLock::new(),
        }
    }

    /// Stops the account if the credentials that one walk was refused with are refused for the namespace list, too. Asks
    /// once, and again only after a response that settled nothing.
    async fn question(&self, account: &Account, stop: &Stop) {
        let mut trials_left = self.trials_left.lock().await;
        if *trials_left == 0 {
            return;
        }
        let tried = tokio::select! {
            biased;
            _ = stop.stopped() => return,
            tried = account.client.try_credentials(&account.id) => tried,
        };
        match tried {
            Ok(()) => *trials_left = 0,
            Err(refusal) if matches!(refusal.kind(), ErrorKind::Unauthorized | ErrorKind::Forbidden) => {
                *trials_left = 0;
                let why = chain(&refusal);
                error!(account = %account.id, "{why}");
                // Set once, as there is no further trial.
                let _first = self.refused.set(why);
            }
            Err(unsettled) => {
                *trials_left -= 1;
                warn!(account = %account.id, "{}", chain(&unsettled));
            }
        }
    }
}

async fn walk_all(run: &Run<'_>, planned: Vec<Planned<'_>>) -> (Vec<NamespaceOutcome>, Vec<AccountFailure>) {
    let accounts: HashMap<_, Trust> = planned
        .iter()
        .map(|planned| (&planned.account.id, Trust::new()))
        .collect();
    let mut outcomes: Vec<_> = stream::iter(planned.iter().enumerate())
        .map(|(index, planned)| {
            let trust = &accounts[&planned.account.id];
            async move {
                if trust.refused.get().is_some() {
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
                    trust.question(planned.account, run.stop).await;
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
        .filter_map(|(account, trust)| {
            let error = trust.refused.get()?.clone();
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
