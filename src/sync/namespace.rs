//! One namespace in a run: acquire its lease, walk, prove, publish or hold, release.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use backon::BackoffBuilder;
use tokio::sync::OnceCell;
use tracing::{info, warn};

use crate::cloudflare::ErrorKind;
use crate::model::ChangeKind;
use crate::store::{Ending, Lease, LeaseNumber, LockManager, ProvenWalk, PublishError, Store, StoreError, Walk};
use crate::text::{chain, shell_word};

use super::attempt::{AttemptResult, log_outcome};
use super::ending::{Fate, classify, status};
use super::outcome::{NamespaceOutcome, Status};
use super::pages::PageSource;
use super::plan::Planned;
use super::progress::{Progress, WalkProgress};
use super::retry_database::{Dropped, database_waits, while_usable};
use super::settings::Settings;
use super::shutdown::{Shutdown, StopReason};
use super::walk::{WalkError, Walker};

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

/// Walks and publishes a namespace, and tries again when the database comes back. It never fails: what went wrong is in
/// the outcome and in the record. The second value says whether the API refused the credentials, which may concern
/// everything that the account has.
pub(super) async fn sync_namespace(run: &Run<'_>, planned: &Planned<'_>) -> (NamespaceOutcome, bool) {
    let begun = Instant::now();
    let progress = run.progress.begin(&planned.namespace.id, planned.namespace.label());
    let namespace = NamespaceSync { run, planned, progress };
    let mut waits = database_waits(run.settings.retry_for).build();
    let mut previous = None;
    let result = loop {
        // Boxed: it is moved by each of the waits around it, and is large.
        let attempt = Box::pin(namespace.attempt(&mut previous));
        let result = match while_usable(run.store, run.stop, attempt).await {
            Ok(result) => result,
            Err(Dropped::ServerEnded) => AttemptResult {
                database_lost: true,
                ..AttemptResult::interrupted("the private PostgreSQL ended".to_owned())
            },
            Err(Dropped::Replaced(other)) => break AttemptResult::of(&other),
            Err(Dropped::Stopped(reason)) => break namespace.statement_dropped(reason).await,
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
            namespace = %planned.namespace.id, wait_s = wait.as_secs_f64(),
            "{}; going on when the database is back", result.error.as_deref().unwrap_or_default()
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
    log_outcome(&outcome);
    (outcome, unauthorized)
}

struct NamespaceSync<'a> {
    run: &'a Run<'a>,
    planned: &'a Planned<'a>,
    progress: Arc<WalkProgress>,
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
            let why = "another run took this namespace over when this one had lost its lock".to_owned();
            return AttemptResult::interrupted(why);
        }
        // Without its lock a walk can commit nothing, and if the network is cut it would wait forever.
        tokio::select! {
            result = self.sync(lease.clone()) => {
                self.release(lease).await;
                result.unwrap_or_else(|error| AttemptResult::of(&error))
            }
            () = lease.lost() => {
                let why = "the database session that holds the namespace's lock is gone".to_owned();
                AttemptResult { database_lost: true, ..AttemptResult::interrupted(why) }
            }
        }
    }

    async fn acquire(&self) -> Result<Lease, AttemptResult> {
        let failed = |error: StoreError| AttemptResult::of(&error);
        let connection = self.run.locks.connection().await.map_err(failed)?;
        let mut acquiring = pin!(connection.try_acquire(self.planned.key));
        let acquired = tokio::select! {
            biased;
            reason = self.run.stop.stopped() => {
                // The request may still be carried out. The lock would then be held until the server notices that the
                // session is gone, and a run that starts right away would find the namespace busy.
                if let Ok(Some(lease)) = acquiring.await {
                    self.release(lease).await;
                }
                return Err(AttemptResult::interrupted(format!("{reason} before its walk began")));
            }
            acquired = &mut acquiring => acquired.map_err(failed)?,
        };
        let busy = || AttemptResult::new(Status::Busy, Some("another run holds this namespace".to_owned()));
        acquired.ok_or_else(busy)
    }

    /// The run stops, and the database did not carry out in time what this namespace waits for. Its sessions are ended,
    /// so that this can't happen later, and the record then says whether the walk was published.
    async fn statement_dropped(&self, reason: StopReason) -> AttemptResult {
        let run = self.run;
        run.sessions_ended.get_or_init(|| run.store.end_sessions()).await;
        let why = format!("{reason}, and the database did not carry out a statement in time");
        let Some(reached) = self.progress.last_reached() else {
            return AttemptResult::interrupted(format!("{why}, before its walk began"));
        };
        match run.stop.finish(run.store.snapshot_status(reached.snapshot_id)).await {
            Ok(Ok(Some((_, status)))) => ended_as(&status).unwrap_or_else(|| {
                let pages = reached.checkpoint.pages;
                AttemptResult::interrupted(format!("{why}; the next run goes on after page {pages}"))
            }),
            _ => AttemptResult::interrupted(format!(
                "{why}; the database does not say whether the snapshot was published: the next run finds out"
            )),
        }
    }

    async fn release(&self, lease: Lease) {
        if let Err(error) = lease.release().await {
            warn!(namespace = %self.planned.namespace.id, "{}", chain(&error));
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
            info!(%namespace, snapshot, pages, "going on after the last committed page");
        }
        let mut started_over = false;
        loop {
            let error = match self.walker().walk(&mut walk).await {
                Ok(()) => return self.publish_or_hold(walk).await,
                Err(error) => error,
            };
            match classify(&error, self.planned.is_off_the_list, started_over) {
                Fate::StartOver { unordered } => {
                    started_over |= !unordered;
                    let why = format!("{}; the walk starts over", chain(&error));
                    warn!(%namespace, "{why}");
                    let spool = unordered || walk.checkpoint().spooled_rows.is_some();
                    let lease = walk.end(Ending::Discarded, &why, 0).await?;
                    walk = Walk::begin(lease, self.run.id, spool).await?;
                    self.progress.reached(&walk);
                }
                Fate::Ended(how) => return Ok(self.end_after(walk, how, &error).await),
                Fate::Vanished => return self.vanish(walk, &error).await,
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

    fn walker(&self) -> Walker {
        let account = self.planned.account;
        Walker {
            source: PageSource {
                client: account.client.clone(),
                account: account.id.clone(),
                namespace: self.planned.namespace.id.clone(),
                limit: account.limit,
                stop: self.run.stop.clone(),
            },
            cursors: self.run.settings.cursors,
            progress: Arc::clone(&self.progress),
        }
    }

    async fn publish_or_hold(&self, walk: Walk) -> Result<AttemptResult, StoreError> {
        let (base, id) = (walk.base(), walk.snapshot_id());
        let mut proven = match walk.prove() {
            Ok(proven) => proven,
            Err(unproven) => {
                let why = unproven.to_string();
                return Ok(self.end(unproven.walk, Ending::Failed, why, 0).await);
            }
        };
        let changes = &proven.counts().changes;
        let lost = changes[ChangeKind::Removed] + changes[ChangeKind::DataUnknown];
        if let Some(base) = base
            && self.run.settings.removal_guard.holds(lost, base.objects)
        {
            let why = self.why_held(id, lost, base.objects);
            proven.hold(&why).await?;
            return Ok(AttemptResult::new(Status::Held, Some(why)));
        }
        if self.run.settings.rebuild
            && let Err(error) = proven.base_on_rows().await
        {
            return Ok(self.not_published(proven.into_walk(), PublishError::Store(error)).await);
        }
        self.publish(proven).await
    }

    fn why_held(&self, snapshot_id: i32, lost: u64, objects: u64) -> String {
        let namespace = &self.planned.namespace;
        // The changes of a rebuild lead from the rows as they are, which a held snapshot's digest says nothing about.
        let accept = match self.run.settings.rebuild {
            true => format!("sync --rebuild {} --accept-removals", shell_word(namespace.id.as_str())),
            false => format!("snapshots accept {snapshot_id}"),
        };
        format!(
            "held back: {lost} of {objects} objects of {} would be removed or turn to unknown; if that is right, run \
             `durable-inventory {accept}`, else `durable-inventory snapshots discard {snapshot_id}`",
            namespace.label()
        )
    }

    async fn publish(&self, proven: ProvenWalk) -> Result<AttemptResult, StoreError> {
        match proven.publish().await {
            Ok(_) => Ok(AttemptResult::new(Status::Complete, None)),
            Err(unpublished) => Ok(self.not_published(unpublished.walk, unpublished.why).await),
        }
    }

    async fn not_published(&self, walk: Walk, why: PublishError) -> AttemptResult {
        let (how, why) = match why {
            // What was committed is kept: the next attempt publishes it.
            PublishError::Store(error) if error.leaves_walk_resumable() => return AttemptResult::of(&error),
            PublishError::Store(error) => (Ending::Failed, chain(&error)),
            PublishError::BaseIsStale => (Ending::Superseded, why.to_string()),
            PublishError::NotMissing => (Ending::Failed, why.to_string()),
            PublishError::DigestMismatch => {
                let why = format!(
                    "{why}, so nothing was published: the record was changed by other means than this program; \
                     `durable-inventory sync --rebuild {}` mends it",
                    shell_word(self.planned.namespace.id.as_str())
                );
                (Ending::Failed, why)
            }
        };
        self.end(walk, how, why, 0).await
    }

    async fn end_after(&self, walk: Walk, how: Ending, error: &WalkError) -> AttemptResult {
        let why = match error {
            WalkError::Stopped(reason) => format!(
                "{reason} after page {} ({} objects compared); the next run goes on from there",
                walk.checkpoint().pages,
                walk.checkpoint().counts.objects()
            ),
            error => chain(error),
        };
        let result = self.end(walk, how, why, wasted_requests(error)).await;
        let refused = |source: &crate::cloudflare::Error| source.kind() == ErrorKind::Unauthorized;
        AttemptResult {
            unauthorized: matches!(error, WalkError::Api { source, .. } if refused(source)),
            database_lost: result.database_lost
                || matches!(error, WalkError::Store(source) if source.is_connection_error()),
            ..result
        }
    }

    async fn vanish(&self, walk: Walk, error: &WalkError) -> Result<AttemptResult, StoreError> {
        let why = "the account no longer lists this namespace, and its object list answers 404; its objects stay as \
                   they were recorded"
            .to_owned();
        let wasted_requests = wasted_requests(error);
        let lease = walk.end(Ending::Discarded, &why, wasted_requests).await?;
        lease.mark_missing().await?;
        Ok(AttemptResult {
            wasted_requests,
            ..AttemptResult::new(Status::Missing, Some(why))
        })
    }

    async fn end(&self, walk: Walk, how: Ending, why: String, wasted_requests: u64) -> AttemptResult {
        let ended = walk.end(how, &why, wasted_requests).await;
        let result = match ended {
            Ok(_) => AttemptResult::new(status(how), Some(why)),
            Err(error) => {
                // The walk stays `running` in the record, so the run that next gets the lease resumes it.
                warn!("{}", chain(&error));
                match how {
                    Ending::Interrupted => AttemptResult::interrupted(why),
                    _ => AttemptResult::of(&error),
                }
            }
        };
        AttemptResult {
            wasted_requests,
            ..result
        }
    }
}

/// The result of a walk that the record says was published or held.
fn ended_as(status: &str) -> Option<AttemptResult> {
    match status {
        "complete" => Some(AttemptResult::new(Status::Complete, None)),
        "held" => {
            let why = "held back: see `durable-inventory snapshots`".to_owned();
            Some(AttemptResult::new(Status::Held, Some(why)))
        }
        _ => None,
    }
}

fn wasted_requests(error: &WalkError) -> u64 {
    match error {
        WalkError::Api { source, .. } => u64::from(source.requests()),
        _ => 0,
    }
}
