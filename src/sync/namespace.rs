//! One namespace in a run: take its lock, resume or begin its walk, publish what the walk proved, let go.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use tracing::{info, warn};

use crate::cloudflare::ErrorKind;
use crate::model::Namespace;
use crate::store::{Abandoned, Fence, Locks, ProvenWalk, Published, Store, StoreError, Walk};
use crate::text::{chain, shell_word};

use super::end::{End, tell};
use super::outcome::{NamespaceOutcome, Status};
use super::pages::Source;
use super::patience::database_waits;
use super::progress::{Progress, WalkProgress};
use super::settings::{Account, Settings};
use super::stop::Stop;
use super::walk::{WalkError, Walker, is_whole};

/// How long a run that is to stop waits for a lock that it has asked for.
const PARTING: Duration = Duration::from_secs(5);

/// What all namespaces of a run share.
pub(super) struct Run<'a> {
    pub(super) id: i64,
    pub(super) store: &'a Store,
    pub(super) locks: &'a Locks<'a>,
    pub(super) settings: &'a Settings,
    pub(super) stop: &'a Stop,
    pub(super) progress: &'a Progress,
}

/// A namespace that is to be walked.
pub(super) struct Planned<'a> {
    pub(super) account: &'a Account,
    pub(super) key: i32,
    /// Of the last taking of its lock, when the run was planned.
    pub(super) fence: Fence,
    pub(super) namespace: Namespace,
    /// The account's list is whole and lacks it. If the object list answers 404, too, it has vanished.
    pub(super) is_off_the_list: bool,
}

impl Run<'_> {
    /// Never fails: what goes wrong is in the outcome, and in the record. The second value is whether the API refused the
    /// credentials, perhaps for everything that the account has.
    pub(super) async fn sync_namespace(&self, planned: &Planned<'_>) -> (NamespaceOutcome, bool) {
        let begun = Instant::now();
        let progress = self.progress.begin(&planned.namespace.id, planned.namespace.label());
        let (mut walk, mut last) = (None, None);
        let mut waits = database_waits(self.settings.retry_for).build();
        let end = loop {
            let end = self.attempt(planned, &progress, &mut walk, &mut last).await;
            // From the second attempt on, whoever took the lock since the first is noticed.
            last.get_or_insert(planned.fence);
            let wait = end.database_lost.then(|| waits.next()).flatten();
            let Some(wait) = wait else { break end };
            warn!(
                namespace = %planned.namespace.id, wait_s = wait.as_secs_f64(),
                "{}; going on when the database is back", end.error.as_deref().unwrap_or_default()
            );
            tokio::select! {
                biased;
                _ = self.stop.stopped() => break end,
                () = tokio::time::sleep(wait) => {}
            }
        };
        progress.end();
        let outcome = end.outcome(planned, walk.as_ref(), begun);
        tell(&outcome);
        (outcome, end.unauthorized)
    }

    async fn attempt(
        &self,
        planned: &Planned<'_>,
        progress: &Arc<WalkProgress>,
        walk: &mut Option<Walk>,
        last: &mut Option<Fence>,
    ) -> End {
        let locks = match self.locks.session().await {
            Ok(locks) => locks,
            Err(error) => return End::of(&error),
        };
        let mut taking = pin!(locks.take(planned.key));
        let taken = tokio::select! {
            biased;
            reason = self.stop.stopped() => {
                // What was sent may still be carried out: the lock would be held until the server notices that the
                // session is gone, and a run that is started right away would find the namespace taken.
                if let Ok(Ok(Some(fence))) = tokio::time::timeout(PARTING, taking).await
                    && let Err(error) = locks.let_go(fence).await
                {
                    warn!(namespace = %planned.namespace.id, "{}", chain(&error));
                }
                return End::new(Status::Interrupted, Some(format!("{reason} before its walk began")));
            }
            taken = &mut taking => taken,
        };
        let fence = match taken {
            Ok(Some(fence)) => fence,
            Ok(None) => return End::new(Status::Busy, Some("another run holds this namespace".to_owned())),
            Err(error) => return End::of(&error),
        };
        if last.replace(fence).is_some_and(|before| !before.is_followed_by(&fence)) {
            // It has walked on from here; this run, which slept meanwhile, has nothing to add.
            if let Err(error) = locks.let_go(fence).await {
                warn!(namespace = %planned.namespace.id, "{}", chain(&error));
            }
            let why = "another run took this namespace over when this one had lost its lock".to_owned();
            return End::new(Status::Interrupted, Some(why));
        }
        // Without its lock a walk can commit nothing, and where the network is cut it would wait for ever.
        tokio::select! {
            end = self.walk_with_lock(planned, fence, walk, progress) => {
                if let Err(error) = locks.let_go(fence).await {
                    warn!(namespace = %planned.namespace.id, "{}", chain(&error));
                }
                end
            }
            () = locks.lost().cancelled() => {
                let why = "the database session that holds the namespace's lock is gone".to_owned();
                End { database_lost: true, ..End::new(Status::Interrupted, Some(why)) }
            }
        }
    }

    async fn walk_with_lock(
        &self,
        planned: &Planned<'_>,
        fence: Fence,
        walk: &mut Option<Walk>,
        progress: &Arc<WalkProgress>,
    ) -> End {
        match self.concluded(walk).await {
            Ok(Some(end)) => end,
            Ok(None) => match self.store.open_walk(fence, self.id, self.settings.resume_within).await {
                Ok(opened) => {
                    let walk = walk.insert(opened);
                    self.walk_to_the_end(planned, fence, walk, progress).await
                }
                Err(error) => End::of(&error),
            },
            Err(error) => End::of(&error),
        }
    }

    /// The connection may have broken after a publication was committed and before that was told.
    async fn concluded(&self, walk: &mut Option<Walk>) -> Result<Option<End>, StoreError> {
        let Some(walk) = walk else { return Ok(None) };
        let end = match self.store.snapshot_status(walk.snapshot_id).await?.as_str() {
            "complete" => End::new(Status::Complete, None),
            "held" => End::new(
                Status::Held,
                Some("held back: see `durable-inventory snapshots`".to_owned()),
            ),
            _ => return Ok(None),
        };
        *walk = self.store.walk(walk.snapshot_id).await?;
        Ok(Some(end))
    }

    /// Walks until the end is proven. A refused cursor starts the walk over once a run, ids out of order start it over
    /// with a spool; anything else ends it.
    async fn walk_to_the_end(
        &self,
        planned: &Planned<'_>,
        fence: Fence,
        walk: &mut Walk,
        progress: &Arc<WalkProgress>,
    ) -> End {
        if walk.checkpoint.resumed > 0 {
            info!(
                namespace = %planned.namespace.id, snapshot = walk.snapshot_id, pages = walk.checkpoint.pages,
                "going on after the last committed page"
            );
        }
        let mut started_over = false;
        loop {
            let source = Source {
                client: planned.account.client.clone(),
                account: planned.account.id.clone(),
                namespace: planned.namespace.id.clone(),
                limit: planned.account.limit,
                stop: self.stop.clone(),
            };
            let walker = Walker {
                source,
                cursors: self.settings.cursors,
                store: self.store.clone(),
                fence,
                progress: Arc::clone(progress),
            };
            let error = match walker.walk(walk).await {
                Ok(()) => return self.conclude(planned, fence, walk).await,
                Err(error) => error,
            };
            let start_over = match &error {
                WalkError::OutOfOrder { .. } => true,
                WalkError::CursorRefused { .. } | WalkError::SpoolLost if !started_over => {
                    started_over = true;
                    true
                }
                _ => false,
            };
            if !start_over {
                return self.give_up(planned, fence, walk, error).await;
            }
            let why = format!("{}; the walk starts over", chain(&error));
            warn!(namespace = %planned.namespace.id, "{why}");
            if let Err(error) = self.start_over(fence, walk, &error, &why).await {
                return End::of(&error);
            }
        }
    }

    async fn start_over(&self, fence: Fence, walk: &mut Walk, error: &WalkError, why: &str) -> Result<(), StoreError> {
        self.store
            .abandon(fence, walk.snapshot_id, Abandoned::Discarded, why, 0)
            .await?;
        let spool = matches!(error, WalkError::OutOfOrder { .. }) || walk.checkpoint.spooled.is_some();
        *walk = self.store.begin_walk(fence, self.id, spool).await?;
        Ok(())
    }

    /// Publishes a walk whose end was proven, or holds it back.
    async fn conclude(&self, planned: &Planned<'_>, fence: Fence, walk: &Walk) -> End {
        match self.publish_or_hold(planned, fence, walk).await {
            Ok(end) => end,
            Err(error) if error.is_passing() => End::of(&error),
            Err(error) => self.abandon(fence, walk, Abandoned::Failed, chain(&error), 0).await,
        }
    }

    async fn publish_or_hold(&self, planned: &Planned<'_>, fence: Fence, walk: &Walk) -> Result<End, StoreError> {
        if !is_whole(walk) {
            let what = "a walk that did not compare everything came to publication".to_owned();
            return Err(StoreError::Inconsistent { what });
        }
        let counts = &walk.checkpoint.counts;
        let lost = counts.removed + counts.data_unknown;
        if let Some(base) = walk.base
            && self.settings.breaker.holds(lost, base.objects)
        {
            let id = walk.snapshot_id;
            // What a rebuild found is compared with the rows, which a held snapshot's own digest knows nothing of.
            let accept = match self.settings.rebuild {
                true => format!(
                    "sync --rebuild {} --accept-removals",
                    shell_word(planned.namespace.id.as_str())
                ),
                false => format!("snapshots accept {id}"),
            };
            let why = format!(
                "held back: {lost} of {} objects of {} would be removed or turn to unknown; if that is right, run \
                 `durable-inventory {accept}`, else `durable-inventory snapshots discard {id}`",
                base.objects,
                planned.namespace.label()
            );
            self.store.hold(fence, id, &why).await?;
            return Ok(End::new(Status::Held, Some(why)));
        }
        let base_digest = match walk.base {
            Some(_) if self.settings.rebuild => self.store.digest_of_rows(fence.namespace_key).await?,
            base => base.map(|base| base.digest).unwrap_or_default(),
        };
        let proven = ProvenWalk {
            snapshot_id: walk.snapshot_id,
            base_snapshot: walk.base.map(|base| base.snapshot_id),
            base_digest,
            digest: walk.checkpoint.digest,
            change_digest: walk.checkpoint.change_digest,
            counts: *counts,
            retires: false,
        };
        Ok(match self.store.publish(fence, &proven).await? {
            Published::Complete(_) => End::new(Status::Complete, None),
            Published::BaseIsStale => {
                let why = "a newer snapshot of this namespace was published meanwhile".to_owned();
                self.abandon(fence, walk, Abandoned::Superseded, why, 0).await
            }
            Published::NotMissing => {
                let what = "a walk came to publication as a retirement".to_owned();
                return Err(StoreError::Inconsistent { what });
            }
            Published::DigestMismatch => {
                let why = format!(
                    "the stored objects and the walk's changes do not give what the walk saw, so nothing was \
                     published: the record was changed by other means than this program; `durable-inventory sync \
                     --rebuild {}` mends it",
                    shell_word(planned.namespace.id.as_str())
                );
                self.abandon(fence, walk, Abandoned::Failed, why, 0).await
            }
        })
    }

    /// Records why a walk ended: interrupted where a later run may go on, failed where the answers were wrong.
    async fn give_up(&self, planned: &Planned<'_>, fence: Fence, walk: &Walk, error: WalkError) -> End {
        let why = chain(&error);
        match &error {
            WalkError::Stopped(_) => {
                let (pages, objects) = (walk.checkpoint.pages, walk.checkpoint.counts.objects());
                let why =
                    format!("{why} after page {pages} ({objects} objects compared); the next run goes on from there");
                self.interrupt(fence, walk, why, 0).await
            }
            WalkError::Store(source) if matches!(source, StoreError::FenceLost) => End::of(source),
            WalkError::Store(source) if source.is_passing() => End {
                database_lost: source.is_connection_lost(),
                ..self.interrupt(fence, walk, why, 0).await
            },
            WalkError::Api { source, .. } => {
                let requests = u64::from(source.requests());
                match source.kind() {
                    ErrorKind::Exhausted | ErrorKind::Forbidden => self.interrupt(fence, walk, why, requests).await,
                    ErrorKind::Unauthorized => End {
                        unauthorized: true,
                        ..self.interrupt(fence, walk, why, requests).await
                    },
                    ErrorKind::NotFound if planned.is_off_the_list => self.vanish(fence, walk, requests).await,
                    _ => self.abandon(fence, walk, Abandoned::Failed, why, requests).await,
                }
            }
            _ => self.abandon(fence, walk, Abandoned::Failed, why, 0).await,
        }
    }

    async fn vanish(&self, fence: Fence, walk: &Walk, requests: u64) -> End {
        let why = "the account no longer lists this namespace, and its object list answers 404; its objects stay as \
                   they were recorded"
            .to_owned();
        let end = self.abandon(fence, walk, Abandoned::Discarded, why, requests).await;
        if end.status == Status::Interrupted {
            // Not marked as missing, it is asked about again, and what this walk left is cleared then.
            return end;
        }
        match self.store.mark_missing(fence).await {
            Ok(()) => End {
                status: Status::Missing,
                ..end
            },
            Err(error) => End::of(&error),
        }
    }

    async fn interrupt(&self, fence: Fence, walk: &Walk, why: String, requests: u64) -> End {
        // Where the database is what was lost, the walk stays `running` in the record: the next run that gets the lock
        // sees that nobody holds it, and resumes.
        if let Err(error) = self.store.interrupt(fence, walk.snapshot_id, &why, requests).await {
            warn!("{}", chain(&error));
        }
        End {
            requests_in_vain: requests,
            ..End::new(Status::Interrupted, Some(why))
        }
    }

    async fn abandon(&self, fence: Fence, walk: &Walk, status: Abandoned, why: String, requests: u64) -> End {
        let told = match status {
            Abandoned::Superseded => Status::Superseded,
            Abandoned::Failed | Abandoned::Discarded => Status::Failed,
        };
        if let Err(error) = self
            .store
            .abandon(fence, walk.snapshot_id, status, &why, requests)
            .await
        {
            // Then the record does not say that it failed: a later run, or the one that took over, goes on with it.
            warn!("{}", chain(&error));
            return End {
                requests_in_vain: requests,
                ..End::of(&error)
            };
        }
        End {
            requests_in_vain: requests,
            ..End::new(told, Some(why))
        }
    }
}
