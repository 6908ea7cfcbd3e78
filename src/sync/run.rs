//! One run: plan each account, walk its namespaces in parallel, and summarize.

use std::sync::OnceLock;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{OnceCell, mpsc};
use tracing::{error, warn};

use crate::store::{LeaseNumber, LockManager, Store, StoreError};
use crate::text::chain;

use super::SUMMARIZED;
use super::credentials::CredentialCheck;
use super::namespace::{Run, sync_namespace};
use super::outcome::{AccountFailure, DoubtfulList, NamespaceOutcome, Status, Summary};
use super::plan::{Plan, PlanError, Planned, plan};
use super::progress::{PlannedWalk, Progress};
use super::relisting::Relisting;
use super::retry_database::{SyncError, retry_database};
use super::settings::{Account, Settings};
use super::shutdown::Shutdown;
use super::vanished::settle;

/// Accounts whose lists are requested at the same time.
const MOST_LISTS_AT_ONCE: usize = 16;

/// Walks the accounts and records what they hold. A failed namespace or account does not stop the others. An error
/// means that nothing could be recorded at all.
pub async fn sync(
    store: &Store,
    accounts: &[Account],
    settings: &Settings,
    stop: &Shutdown,
    progress: &Progress,
) -> Result<Summary, SyncError> {
    let lost = SyncError::is_connection_error;
    let begin = async || {
        store.require_writable().await?;
        report_missing_rights(store).await?;
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
    let states: Vec<_> = accounts.iter().map(|_| AccountState::new()).collect();
    let mut walked = walk_accounts(&run, store, accounts, &states).await;
    let mass_vanishings = settle(&run, store, &mut walked).await;
    let namespaces = walked.into_iter().map(|walked| walked.outcome).collect();
    let mut summary = Summary {
        run_id,
        namespaces,
        failed_accounts: Vec::new(),
        doubtful_lists: Vec::new(),
        mass_vanishings,
        stopped: stop.reason(),
    };
    add_problems(&mut summary, accounts, states);
    let outcome = summary.verdict().0;
    let finish = async || Ok(store.finish_run(run_id, outcome).await?);
    let finished = retry_database(store, settings, stop, lost, finish).await;
    if let Err(error) = finished {
        // The snapshots are published all the same, so the summary is returned.
        warn!("{}", chain(&error));
    }
    Ok(summary)
}

/// Names the rights that this role lacks, such as those on a table of a newer version. What does not need them goes on.
async fn report_missing_rights(store: &Store) -> Result<(), StoreError> {
    let grants = store.missing_grants().await?;
    if !grants.is_empty() {
        warn!(
            "this role lacks rights on the schema `inventory`, and what needs them may fail: as its owner, run `{}`",
            grants.join("; ")
        );
    }
    Ok(())
}

/// Adds the problems of the accounts, in their order.
fn add_problems(summary: &mut Summary, accounts: &[Account], states: Vec<AccountState>) {
    for (account, state) in accounts.iter().zip(states) {
        match state.problem.into_inner() {
            Some(Problem::Failed(failure)) => summary.failed_accounts.push(failure),
            Some(Problem::DoubtfulList(list)) => summary.doubtful_lists.push(list),
            None => {}
        }
        if let Some(error) = state.credentials.refused.into_inner() {
            summary.failed_accounts.push(AccountFailure {
                account: account.id.clone(),
                error,
                is_mistake: false,
            });
        }
    }
}

/// What a run did with one account.
struct AccountState {
    credentials: CredentialCheck,
    relisting: Relisting,
    /// The plan's problem, if there is one.
    problem: OnceLock<Problem>,
}

enum Problem {
    Failed(AccountFailure),
    DoubtfulList(DoubtfulList),
}

/// A namespace, and what the run did with it.
pub(super) struct Walked<'a> {
    /// The place of its account, and its own in the account's plan.
    place: (usize, usize),
    pub(super) planned: Planned<'a>,
    pub(super) outcome: NamespaceOutcome,
    /// The newest lease that was acquired for it.
    pub(super) lease: LeaseNumber,
}

impl Walked<'_> {
    /// It is neither listed nor found.
    pub(super) fn has_vanished(&self) -> bool {
        self.outcome.status == Status::Vanished
    }

    /// The list lacks it, and its objects could not be read.
    pub(super) fn may_be_gone(&self) -> bool {
        let is_there = matches!(self.outcome.status, Status::Complete | Status::Held | Status::Busy);
        self.has_vanished() || (self.planned.is_off_the_list && !is_there)
    }
}

/// Lists the accounts side by side, and walks each one's namespaces as soon as they are known: a list that is slow to
/// come keeps no other account waiting.
async fn walk_accounts<'a>(
    run: &Run<'_>,
    store: &Store,
    accounts: &'a [Account],
    states: &[AccountState],
) -> Vec<Walked<'a>> {
    let (found, mut planned) = mpsc::unbounded_channel();
    // Beside the walks, not as a part of their stream: while all of them are busy, that would not look at the lists,
    // and their timeouts and retries would run out.
    let planning = async {
        let found = found;
        stream::iter(accounts.iter().zip(states).enumerate())
            .for_each_concurrent(MOST_LISTS_AT_ONCE, async |(number, (account, state))| {
                let planned = plan_account(run, store, account, state).await;
                run.progress.plan(planned.iter().map(|planned| PlannedWalk {
                    namespace_id: planned.namespace.id.clone(),
                    recorded: planned.recorded,
                }));
                for (at, planned) in planned.into_iter().enumerate() {
                    // The receiver waits until the sender is dropped.
                    let _received = found.send(((number, at), planned, state));
                }
            })
            .await;
    };
    let walking = stream::poll_fn(|context| planned.poll_recv(context))
        .map(|(place, planned, state)| async move {
            let (outcome, lease) = walk_one(run, &planned, state).await;
            Walked {
                place,
                planned,
                outcome,
                lease,
            }
        })
        .buffer_unordered(run.settings.concurrency)
        .collect();
    let ((), mut walked): ((), Vec<Walked<'a>>) = tokio::join!(planning, walking);
    walked.sort_by_key(|walked| walked.place);
    walked
}

impl AccountState {
    fn new() -> Self {
        Self {
            credentials: CredentialCheck::new(),
            relisting: Relisting::new(),
            problem: OnceLock::new(),
        }
    }
}

async fn plan_account<'a>(
    run: &Run<'_>,
    store: &Store,
    account: &'a Account,
    state: &AccountState,
) -> Vec<Planned<'a>> {
    let lost = PlanError::is_connection_error;
    let planned = retry_database(store, run.settings, run.stop, lost, async || {
        plan(store, account, run.stop).await
    })
    .await;
    let (planned, problem) = match planned {
        Ok(Plan { planned, doubt: None }) => return planned,
        Ok(Plan {
            planned,
            doubt: Some(doubt),
        }) => {
            let why = format!(
                "the namespace list may be incomplete: {doubt}; listed namespaces are synced, and none is marked as \
                 missing: run `durable-inventory check` to read the list again"
            );
            warn!(target: SUMMARIZED, account = %account.id, "{why}");
            let account = account.id.clone();
            (planned, Problem::DoubtfulList(DoubtfulList { account, why }))
        }
        Err(error) => {
            let failure = AccountFailure {
                account: account.id.clone(),
                error: chain(&error),
                is_mistake: error.is_mistake(),
            };
            error!(target: SUMMARIZED, account = %failure.account, "{}", failure.error);
            (Vec::new(), Problem::Failed(failure))
        }
    };
    // Set once, as an account is planned once.
    let _first = state.problem.set(problem);
    planned
}

async fn walk_one(run: &Run<'_>, planned: &Planned<'_>, state: &AccountState) -> (NamespaceOutcome, LeaseNumber) {
    let not_walked = |why: String| {
        let outcome = NamespaceOutcome::of(planned, Status::Interrupted, Some(why));
        (outcome, planned.lease)
    };
    if state.credentials.refused.get().is_some() {
        let (outcome, lease) = not_walked("not synced: the account's credentials were refused".to_owned());
        return (outcome.refused(), lease);
    }
    if let Some(reason) = run.stop.reason() {
        return not_walked(format!("{reason} before its sync began"));
    }
    let synced = sync_namespace(run, planned, &state.relisting).await;
    if synced.unauthorized {
        state.credentials.test(planned.account, run.stop).await;
        if state.credentials.refused.get().is_some() {
            return (synced.outcome.refused(), synced.lease);
        }
    }
    (synced.outcome, synced.lease)
}
