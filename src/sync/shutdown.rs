//! The shutdown signal of a run: each walk commits the page in hand and requests no other.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// SIGINT or SIGTERM.
    Signal,
    /// `--deadline` is reached.
    Deadline,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signal => "stopped by a signal",
            Self::Deadline => "the deadline passed",
        })
    }
}

/// How long a statement in hand may still take when the run stops. It is dropped then.
const GRACE: Duration = Duration::from_secs(5);
/// The same of a statement that is begun after the stop, such as the one that records the run's end.
const LAST_GRACE: Duration = Duration::from_millis(1_500);

/// A handle that stops a run, and that its walks wait on.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    reason: Arc<OnceLock<(StopReason, Instant)>>,
}

impl Shutdown {
    pub fn stop(&self, reason: StopReason) {
        // Only the first reason is kept.
        let _first = self.reason.set((reason, Instant::now()));
        self.token.cancel();
    }

    pub fn reason(&self) -> Option<StopReason> {
        self.reason.get().map(|(reason, _)| *reason)
    }

    /// Stops the run after `deadline`, unless something else stops it before.
    pub async fn stop_after(self, deadline: Duration) {
        tokio::time::sleep(deadline).await;
        self.stop(StopReason::Deadline);
    }

    /// Cancelled when the run stops, for whatever reason.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    pub async fn stopped(&self) -> StopReason {
        self.token.cancelled().await;
        self.reason().unwrap_or(StopReason::Signal)
    }

    /// Waits for `work`. If the run stops, work in hand gets 5 s to end, and work that is begun afterwards 1.5 s.
    pub async fn finish<T>(&self, work: impl Future<Output = T>) -> Result<T, StopReason> {
        let begun = Instant::now();
        let grace_is_over = async {
            let reason = self.stopped().await;
            let stopped = self.reason.get().map_or(begun, |(_, stopped)| *stopped);
            sleep_until((stopped + GRACE).max(begun + LAST_GRACE)).await;
            reason
        };
        tokio::select! {
            done = work => Ok(done),
            reason = grace_is_over => Err(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_in_hand_gets_some_seconds_after_the_stop() {
        let takes = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        let stop = Shutdown::default();
        assert_eq!(
            stop.finish(takes(3_600)).await,
            Ok(()),
            "a run that goes on waits for as long as it takes"
        );
        let later = stop.clone();
        tokio::spawn(async move {
            takes(10).await;
            later.stop(StopReason::Deadline);
        });
        let (ends, hangs) = tokio::join!(stop.finish(takes(14)), stop.finish(std::future::pending::<()>()));
        assert_eq!((ends, hangs), (Ok(()), Err(StopReason::Deadline)));
        assert_eq!(stop.finish(takes(1)).await, Ok(()));
        assert_eq!(stop.finish(takes(3)).await, Err(StopReason::Deadline));
    }
}
