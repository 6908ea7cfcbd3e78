//! The end of a walk that is not published.

use tracing::warn;

use crate::cloudflare::ErrorKind;
use crate::store::{Ending, StoreError, Walk};
use crate::text::{chain, count};

use super::attempt::AttemptResult;
use super::ending::status;
use super::namespace::NamespaceSync;
use super::outcome::Status;
use super::plan::Planned;
use super::relisting::Relisted;
use super::shutdown::StopReason;
use super::walk::WalkError;

/// The reason for the end of a walk whose namespace vanished.
pub(super) const VANISHED: &str =
    "no longer listed, and its object list returns 404; its recorded objects are kept until you retire it";

impl NamespaceSync<'_> {
    pub(super) async fn end_after(&self, walk: Walk, how: Ending, error: &WalkError) -> AttemptResult {
        let why = match error {
            WalkError::Stopped(reason) => format!(
                "{reason} after page {} ({} compared); the next run resumes there",
                walk.checkpoint().pages,
                count(walk.checkpoint().counts.objects(), "object")
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

    /// Ends the walk of a listed namespace whose objects were not found. It has vanished if a fresh list lacks it.
    pub(super) async fn not_found(&self, walk: Walk, error: &WalkError) -> Result<AttemptResult, StoreError> {
        let Planned { account, namespace, .. } = self.planned;
        let relisting = self.relisting.lacks(account, namespace, self.run.stop);
        match relisting.await {
            Relisted::Absent => self.vanish(walk, error).await,
            Relisted::Listed => Ok(self.end_after(walk, Ending::Stalled, error).await),
            Relisted::Unknown => Ok(self.end_after(walk, Ending::Interrupted, error).await),
        }
    }

    /// Ends the walk of a namespace that is neither listed nor found. The run decides at its end whether it is missing;
    /// until then the walk could be resumed.
    pub(super) async fn vanish(&self, walk: Walk, error: &WalkError) -> Result<AttemptResult, StoreError> {
        let wasted_requests = wasted_requests(error);
        let lease = walk.end(Ending::Interrupted, VANISHED, wasted_requests).await?;
        lease.note_vanished().await?;
        Ok(AttemptResult {
            wasted_requests,
            ..AttemptResult::new(Status::Vanished, Some(VANISHED.to_owned()))
        })
    }

    /// The run stops, and the database did not carry out in time what this namespace waits for. Its sessions are ended,
    /// so that this can't happen later, and the record then says whether the walk was published.
    pub(super) async fn statement_dropped(&self, reason: StopReason) -> AttemptResult {
        let run = self.run;
        run.sessions_ended.get_or_init(|| run.store.end_sessions()).await;
        let why = format!("{reason}, and the database did not finish a statement in time");
        let Some(reached) = self.progress.last_reached() else {
            return AttemptResult::interrupted(format!("{why}, before its sync began"));
        };
        match run.stop.finish(run.store.snapshot_status(reached.snapshot_id)).await {
            Ok(Ok(Some((_, status)))) => ended_as(&status).unwrap_or_else(|| {
                let pages = reached.checkpoint.pages;
                AttemptResult::interrupted(format!("{why}; the next run resumes after page {pages}"))
            }),
            _ => AttemptResult::interrupted(format!(
                "{why}; it is not known whether the snapshot was published: the next run finds out"
            )),
        }
    }

    pub(super) async fn end(&self, walk: Walk, how: Ending, why: String, wasted_requests: u64) -> AttemptResult {
        let ended = walk.end(how, &why, wasted_requests).await;
        let result = match ended {
            Ok(_) => AttemptResult::new(status(how), Some(why)),
            Err(error) => {
                // The walk stays `running` in the record, so the run that next gets the lease resumes it.
                warn!("{}", chain(&error));
                match how {
                    Ending::Interrupted | Ending::Stalled => AttemptResult::interrupted(why),
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
pub(super) fn ended_as(status: &str) -> Option<AttemptResult> {
    match status {
        "complete" => Some(AttemptResult::new(Status::Complete, None)),
        "held" => {
            let why = "`durable-inventory snapshots --status held` lists it.".to_owned();
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
