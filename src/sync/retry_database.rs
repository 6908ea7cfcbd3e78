//! Retries while the database is out of reach, with growing waits, for `--retry-for` in all.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tracing::warn;

use crate::text::chain;

use super::settings::Settings;
use super::shutdown::Shutdown;

pub(super) fn database_waits(budget: Duration) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(30))
        .with_total_delay(Some(budget))
        .without_max_times()
        .with_jitter()
}

/// Retries what failed because the database was `lost`. Returns the last error when the time is over or the run stops.
pub(super) async fn retry_database<T, E: std::error::Error>(
    settings: &Settings,
    stop: &Shutdown,
    lost: impl Fn(&E) -> bool,
    attempt: impl AsyncFn() -> Result<T, E>,
) -> Result<T, E> {
    let mut waits = database_waits(settings.retry_for).build();
    loop {
        let error = match attempt().await {
            Err(error) if lost(&error) && stop.reason().is_none() => error,
            ended => return ended,
        };
        let Some(wait) = waits.next() else { return Err(error) };
        warn!(wait_s = wait.as_secs_f64(), "{}; trying again", chain(&error));
        tokio::select! {
            biased;
            _ = stop.stopped() => return Err(error),
            () = tokio::time::sleep(wait) => {}
        }
    }
}
