//! Retries while the database is out of reach, with growing waits, for `--retry-for` in all; and ends what waits for a
//! database that will not respond.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tracing::warn;

use crate::store::{Store, StoreError};
use crate::text::chain;

use super::settings::Settings;
use super::shutdown::{Shutdown, StopReason};

/// Why nothing could be recorded.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0} while waiting for the database")]
    Stopped(StopReason),
}

impl SyncError {
    pub(super) fn is_connection_error(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_connection_error())
    }
}

/// Growing waits between attempts at the database, for `budget` in all.
pub fn database_waits(budget: Duration) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(30))
        .with_total_delay(Some(budget))
        .without_max_times()
        .with_jitter()
}

/// Why work on the database was dropped.
pub(super) enum Unusable {
    /// The run stops, and the work had its time to end.
    Stopped(StopReason),
    /// The private server has no process any more.
    ServerEnded,
    /// A session reached another database.
    Replaced(StoreError),
}

/// Waits for `work` on the database, as long as waiting can help.
pub(super) async fn while_usable<T>(
    store: &Store,
    stop: &Shutdown,
    work: impl Future<Output = T>,
) -> Result<T, Unusable> {
    let work = async {
        tokio::select! {
            biased;
            other = store.replaced() => Err(Unusable::Replaced(other)),
            done = work => Ok(done),
            () = store.server_ended() => Err(Unusable::ServerEnded),
        }
    };
    stop.finish(work)
        .await
        .unwrap_or_else(|reason| Err(Unusable::Stopped(reason)))
}

/// Retries what failed because the database was `lost`. Returns the last error when the time is over or the run stops.
pub(super) async fn retry_database<T, E: std::error::Error + From<SyncError>>(
    store: &Store,
    settings: &Settings,
    stop: &Shutdown,
    lost: impl Fn(&E) -> bool,
    attempt: impl AsyncFn() -> Result<T, E>,
) -> Result<T, E> {
    let mut waits = database_waits(settings.retry_for).build();
    loop {
        let error = match while_usable(store, stop, Box::pin(attempt())).await {
            Ok(Err(error)) if lost(&error) && stop.reason().is_none() => Some(error),
            Ok(ended) => return ended,
            Err(Unusable::ServerEnded) => None,
            Err(Unusable::Replaced(other)) => return Err(SyncError::Store(other).into()),
            Err(Unusable::Stopped(reason)) => return Err(SyncError::Stopped(reason).into()),
        };
        match stop.finish(store.restart_server()).await {
            Ok(running) => running.map_err(SyncError::Store)?,
            Err(reason) => return Err(SyncError::Stopped(reason).into()),
        }
        // It was started again just now, or ends again, which is final.
        let Some(error) = error else { continue };
        let Some(wait) = waits.next() else { return Err(error) };
        warn!(wait_s = wait.as_secs_f64(), "{}; retrying", chain(&error));
        tokio::select! {
            biased;
            _ = stop.stopped() => return Err(error),
            () = tokio::time::sleep(wait) => {}
        }
    }
}
