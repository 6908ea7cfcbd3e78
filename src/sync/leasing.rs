//! The lease on a namespace, while the run may be stopped.

use std::pin::pin;

use tracing::warn;

use crate::store::{Lease, StoreError};
use crate::text::chain;

use super::attempt::AttemptResult;
use super::namespace::{NamespaceSync, ended_as};
use super::outcome::Status;
use super::shutdown::StopReason;

impl NamespaceSync<'_> {
    pub(super) async fn acquire(&self) -> Result<Lease, AttemptResult> {
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
    pub(super) async fn statement_dropped(&self, reason: StopReason) -> AttemptResult {
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

    pub(super) async fn release(&self, lease: Lease) {
        if let Err(error) = lease.release().await {
            warn!(namespace = %self.planned.namespace.id, "{}", chain(&error));
        }
    }
}
