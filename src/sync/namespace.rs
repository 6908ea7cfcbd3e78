//! One namespace in a run: acquire its lease, walk, prove, publish or hold, release.

use std::sync::Arc;
use std::time::Instant;

use backon::BackoffBuilder;
use tokio::sync::OnceCell;
use tracing::{info, warn};

use crate::store::{Ending, Lease, LeaseNumber, LockManager, Store, StoreError, Walk};
use crate::text::chain;

use super::attempt::{AttemptResult, log_outcome};
use super::end_walk::ended_as;
use super::ending::{Fate, classify};
use super::outcome::{NamespaceOutcome, Status};
use super::pages::PageSource;
use super::plan::Planned;
use super::progress::{Progress, WalkProgress};
use super::relisting::Relisting;
use super::retry_database::{Unusable, database_waits, while_usable};
use super::settings::Settings;
use super::shutdown::Shutdown;
use super::walk::Walker;

/// What all namespaces of a run share.
pub(super) struct Run<'a> {
    pub(super) id: i64,
    pub(super) store: &'a Store,
    /// Done once, when the run has stopped and a statement in hand did not end.
    pub(super) sessions_ended: OnceCell<()>,
    pub(super) locks: &'a LockManager<'a>,
    pub(super) settings: &'a Settings,
    pub(super) stop: &'a Shutdown,
    pub(super) progress: &'a Progress,
}

/// What became of a namespace.
pub(super) struct Synced {
    pub(super) outcome: NamespaceOutcome,
    /// The newest lease that was acquired for it.
    pub(super) lease: LeaseNumber,
    /// The API refused the credentials, which may concern everything that the account has.
    pub(super) unauthorized: bool,
}

/// Walks and publishes a namespace, and tries again when the database comes back. It never fails: what went wrong is in
/// the outcome and in the record. Whether a vanished namespace is missing is decided later, see `vanished.rs`.
pub(super) async fn sync_namespace(run: &Run<'_>, planned: &Planned<'_>, relisting: &Relisting) -> Synced {
    let begun = Instant::now();
    let progress = run.progress.begin(&planned.namespace.id, planned.namespace.label());
    let namespace = NamespaceSync {
        run,
        planned,
        relisting,
        progress,
    };
    let mut waits = database_waits(run.settings.retry_for).build();
    let mut previous = None;
    let result = loop {
        // Boxed: it is moved by each of the waits around it, and is large.
        let attempt = Box::pin(namespace.attempt(&mut previous));
        let result = match while_usable(run.store, run.stop, attempt).await {
            Ok(result) => result,
            Err(Unusable::ServerEnded) => AttemptResult {
                database_lost: true,
                ..AttemptResult::interrupted("the private PostgreSQL stopped".to_owned())
            },
            Err(Unusable::Replaced(other)) => break AttemptResult::of(&other),
            Err(Unusable::Stopped(reason)) => break namespace.statement_dropped(reason).await,
        };
        // The first attempt takes any lease. A later one must follow the lease before it, or the one of the plan.
        previous.get_or_insert(planned.lease);
        if !result.database_lost {
            break result;
        }
        match run.stop.finish(run.store.restart_server()).await {
            Ok(Ok(())) => {}
            Ok(Err(gone)) => break AttemptResult::of(&gone),
            Err(_) => break result,
        }
        let Some(wait) = waits.next() else { break result };
        warn!(
            namespace = %planned.namespace.id, name = namespace.progress.name(), wait_s = wait.as_secs_f64(),
            "{}; resuming when the database is back", result.error.as_deref().unwrap_or_default()
        );
        tokio::select! {
            biased;
            _ = run.stop.stopped() => break result,
            () = tokio::time::sleep(wait) => {}
        }
    };
    namespace.progress.end();
    let unauthorized = result.unauthorized;
    let outcome = result.outcome(planned, &namespace.progress, begun);
    if outcome.status != Status::Vanished {
        log_outcome(&outcome);
    }
    Synced {
        outcome,
        lease: previous.unwrap_or(planned.lease),
        unauthorized,
    }
}

/// One namespace's part of a run.
pub(super) struct NamespaceSync<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) planned: &'a Planned<'a>,
    pub(super) relisting: &'a Relisting,
    pub(super) progress: Arc<WalkProgress>,
}

impl NamespaceSync<'_> {
    async fn attempt(&self, previous: &mut Option<LeaseNumber>) -> AttemptResult {
        let lease = match self.acquire().await {
            Ok(lease) => lease,
            Err(result) => return result,
        };
        let earlier = previous.replace(lease.number());
        if earlier.is_some_and(|earlier| !lease.follows(earlier)) {
            // The other run has walked on from here, so this one has nothing to add.
            self.release(lease).await;
            let why = "another run took over this namespace after this run lost its lock".to_owned();
            return AttemptResult::interrupted(why);
        }
        // Without its lock a walk can commit nothing, and if the network is cut it would wait forever.
        tokio::select! {
            result = self.sync(lease.clone()) => {
                self.release(lease).await;
                result.unwrap_or_else(|error| AttemptResult::of(&error))
            }
            () = lease.lost() => {
                let why = "the database session with the namespace's lock was lost".to_owned();
                AttemptResult { database_lost: true, ..AttemptResult::interrupted(why) }
            }
        }
    }

    /// Walks until the end is proven and publishes it, or ends the walk as [`classify`] says.
    async fn sync(&self, lease: Lease) -> Result<AttemptResult, StoreError> {
        if let Some(result) = self.already_ended(&lease).await? {
            return Ok(result);
        }
        let mut walk = Walk::open(lease, self.run.id, self.run.settings.resume_within).await?;
        self.progress.reached(&walk);
        let namespace = &self.planned.namespace.id;
        if walk.checkpoint().resumed > 0 {
            let (snapshot, pages) = (walk.snapshot_id(), walk.checkpoint().pages);
            info!(%namespace, name = self.progress.name(), snapshot, pages, "resuming after the last committed page");
        }
        // The pages of the attempt before, if the walk started over in this run.
        let mut earlier_pages = None;
        loop {
            let error = match self.walker().walk(&mut walk).await {
                Ok(()) => {
                    self.note_small_pages(&walk).await?;
                    if self.planned.is_off_the_list {
                        walk.lease().clear_vanished().await?;
                    }
                    return self.publish_or_hold(walk).await;
                }
                Err(error) => error,
            };
            let pages = walk.checkpoint().pages;
            let got_further = earlier_pages.is_none_or(|earlier| pages > earlier);
            match classify(&error, self.planned.is_off_the_list, got_further) {
                Fate::StartOver { unordered } => {
                    if !unordered {
                        earlier_pages = Some(pages);
                    }
                    let why = format!("{}; starting over", chain(&error));
                    warn!(%namespace, name = self.progress.name(), "{why}");
                    let spool = unordered || walk.checkpoint().spooled_rows.is_some();
                    let lease = walk.end(Ending::Discarded, &why, 0).await?;
                    walk = Walk::begin(lease, self.run.id, spool).await?;
                    self.progress.reached(&walk);
                }
                Fate::Ended(how) => return Ok(self.end_after(walk, how, &error).await),
                Fate::Vanished => return self.vanish(walk, &error).await,
                Fate::NotFound => return self.not_found(walk, &error).await,
                Fate::Left => return Ok(AttemptResult::interrupted(chain(&error))),
            }
        }
    }

    /// The connection may have broken after a publication was committed and before that was reported.
    async fn already_ended(&self, lease: &Lease) -> Result<Option<AttemptResult>, StoreError> {
        let Some(reached) = self.progress.last_reached() else {
            return Ok(None);
        };
        let walk = Walk::load(lease.clone(), reached.snapshot_id).await?;
        let result = ended_as(walk.status());
        if result.is_some() {
            self.progress.reached(&walk);
        }
        Ok(result)
    }

    /// A walk with smaller pages than usual came to its end. After some of these, larger pages are tried again.
    async fn note_small_pages(&self, walk: &Walk) -> Result<(), StoreError> {
        let largest = self.planned.account.limit;
        match walk.checkpoint().pagination.limit.filter(|limit| *limit < largest) {
            Some(limit) => walk.lease().raise_limit(limit, largest).await,
            None => Ok(()),
        }
    }

    fn walker(&self) -> Walker {
        let account = self.planned.account;
        Walker {
            source: PageSource {
                client: account.client.clone(),
                account: account.id.clone(),
                namespace: self.planned.namespace.id.clone(),
                name: self.progress.name(),
                limit: account.limit,
                stop: self.run.stop.clone(),
            },
            cursors: self.run.settings.cursors,
            progress: Arc::clone(&self.progress),
        }
    }
}
