//! The lease on a namespace, while the run may be stopped.

use std::pin::pin;

use tracing::warn;

use crate::store::{Lease, StoreError};
use crate::text::chain;

use super::attempt::AttemptResult;
use super::namespace::NamespaceSync;
use super::outcome::Status;

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
                return Err(AttemptResult::interrupted(format!("{reason} before its sync began")));
            }
            acquired = &mut acquiring => acquired.map_err(failed)?,
        };
        let busy = || AttemptResult::new(Status::Busy, Some("another run is syncing this namespace".to_owned()));
        acquired.ok_or_else(busy)
    }

    pub(super) async fn release(&self, lease: Lease) {
        if let Err(error) = lease.release().await {
            warn!(namespace = %self.planned.namespace.id, name = self.progress.name(), "{}", chain(&error));
        }
    }
}
