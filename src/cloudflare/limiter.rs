//! Keeps a token within its share of the quota, and pauses it after a 429. All requests of a token go through one
//! [`Limiter`]. No window sees more requests than the share, whatever the tasks do and however often the program
//! restarts.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use tokio::time::{Instant, sleep_until};

use super::rate_limit_headers::{Backpressure, RateLimitStatus, backpressure};
use crate::units::Quota;

/// The longest pause or window. Longer ones would overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How much one token may send.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub quota: Quota,
    /// 1 to 100. The rest is left to dashboards and colleagues that use the same quota.
    pub share_percent: u8,
    /// The pause after a 429 without `Retry-After`. Cloudflare's block lasts five minutes.
    pub pause_without_retry_after: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            quota: Quota {
                requests: 1200,
                window: Duration::from_secs(300),
            },
            share_percent: 80,
            pause_without_retry_after: Duration::from_secs(300),
        }
    }
}

/// The limiter's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests sent.
    pub sent: u64,
    /// Responses with status 429.
    pub throttled: u64,
    /// Requests left by the newest `Ratelimit` header, which also counts the requests of others.
    pub remaining: Option<u64>,
    /// Seconds that this machine's clock is ahead of the newest `Date` header.
    pub clock_ahead_s: Option<i64>,
}

/// A pause that lasts longer than the caller is willing to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LongPause {
    pub(super) left: Duration,
    /// The reason for it, as a clause.
    pub(super) why: &'static str,
}

/// The sentence about a 429.
const PAUSED: &str = "the API asked this token to pause";
/// The sentence about the `Ratelimit` headers.
const HELD: &str =
    "the token's quota is nearly used up, and the rest is left for other programs: find out which ones use it";

/// Longer times between two requests are worth a warning.
const LONG_SPACING: Duration = Duration::from_secs(60);

/// The limiter of one token, shared by all tasks that use it.
pub struct Limiter {
    pace: Pace,
    /// Waiting tasks queue here, so that only the first sleeps until the next slot.
    turn: tokio::sync::Mutex<()>,
    gate: Mutex<Gate>,
}

/// Everything that decides whether a request may be sent now, behind one lock: a request that waited when a pause began
/// can't pass between two checks.
struct Gate {
    bucket: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>,
    epoch: Instant,
    /// The bucket's time between two requests.
    period: Duration,
    /// Nothing is sent before this, because of a 429.
    paused_until: Instant,
    /// Nothing is sent before this, because what is left of the quota is for others.
    held_until: Instant,
    /// The time between two requests that a response asked for, until `spaced_until`.
    spacing: Duration,
    spaced_until: Instant,
    last_sent: Option<Instant>,
    accepted: bool,
    stats: Stats,
}

enum Closed {
    /// By the API, possibly for longer than the caller is willing to wait.
    Paused { until: Instant, why: &'static str },
    /// By our own pace.
    NotYet(Instant),
}

impl Limiter {
    pub fn new(pace: Pace) -> Self {
        let gate = Mutex::new(Gate::new(&pace));
        Self {
            pace,
            turn: tokio::sync::Mutex::new(()),
            gate,
        }
    }

    /// Average requests per second.
    pub(super) fn pace(&self) -> f64 {
        let Quota { requests, window } = self.pace.quota;
        f64::from(requests) * f64::from(self.pace.share_percent) / 100.0 / window.as_secs_f64()
    }

    pub fn stats(&self) -> Stats {
        self.gate().stats
    }

    /// Waits until one request may be sent, first come first served. Fails at once if a pause lasts longer than
    /// `patience`.
    pub(super) async fn acquire(&self, patience: Duration) -> Result<(), LongPause> {
        let _turn = self.turn.lock().await;
        loop {
            let closed = self.gate().try_pass();
            match closed {
                Ok(()) => return Ok(()),
                Err(Closed::NotYet(at)) => sleep_until(at).await,
                Err(Closed::Paused { until, why }) => {
                    // Time in the queue does not count, only the pause does.
                    let left = until.saturating_duration_since(Instant::now());
                    if left > patience {
                        return Err(LongPause { left, why });
                    }
                    sleep_until(until).await;
                }
            }
        }
    }

    /// Stops every task of the token after a 429. A longer pause that is already running stays.
    pub(super) fn pause(&self, retry_after: Option<Duration>) {
        let pause = retry_after.unwrap_or(self.pace.pause_without_retry_after).min(LONGEST);
        let mut gate = self.gate();
        gate.stats.throttled += 1;
        gate.paused_until = gate.paused_until.max(Instant::now() + pause);
    }

    pub(super) fn pause_left(&self) -> Duration {
        self.gate().paused_until.saturating_duration_since(Instant::now())
    }

    /// Slows down if a response's headers ask for it. It never speeds up: unused quota of others is not ours.
    pub(super) fn observe(&self, statuses: &[RateLimitStatus]) {
        let Some(remaining) = statuses.iter().map(|s| s.remaining).min() else {
            return;
        };
        let backpressure = backpressure(statuses, self.pace.quota, self.pace.share_percent);
        let mut gate = self.gate();
        gate.stats.remaining = Some(remaining);
        gate.slow_down(backpressure);
    }

    /// Notes that the API accepted the token.
    pub(super) fn note_accepted(&self) {
        self.gate().accepted = true;
    }

    /// Whether the API accepted the token in this run.
    pub(super) fn has_accepted(&self) -> bool {
        self.gate().accepted
    }

    pub(super) fn note_clock(&self, ahead_s: i64) {
        self.gate().stats.clock_ahead_s = Some(ahead_s);
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        // Nothing panics while holding the lock, and each field is valid by itself.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    fn new(pace: &Pace) -> Self {
        let now = Instant::now();
        let Bucket { burst, period } = Bucket::of(pace);
        let quota = governor::Quota::with_period(period).unwrap_or(governor::Quota::per_second(NonZeroU32::MIN));
        let bucket = RateLimiter::direct_with_clock(quota.allow_burst(burst), TokioClock { epoch: now });
        // A new bucket is full; it has to start empty (see `Bucket`). `check_n` can't fail for the bucket's own burst.
        let _ = bucket.check_n(burst);
        Self {
            bucket,
            epoch: now,
            period,
            paused_until: now,
            held_until: now,
            spacing: Duration::ZERO,
            spaced_until: now,
            last_sent: None,
            accepted: false,
            stats: Stats::default(),
        }
    }

    fn try_pass(&mut self) -> Result<(), Closed> {
        let now = Instant::now();
        if now < self.paused_until {
            return Err(Closed::Paused {
                until: self.paused_until,
                why: PAUSED,
            });
        }
        let spaced = self
            .last_sent
            .filter(|_| now < self.spaced_until)
            .map(|sent| sent + self.spacing);
        let opens = spaced.unwrap_or(now).max(self.held_until);
        if now < opens {
            return Err(Closed::Paused {
                until: opens,
                why: HELD,
            });
        }
        if let Err(not_until) = self.bucket.check() {
            return Err(Closed::NotYet(
                self.epoch + Duration::from(not_until.earliest_possible()),
            ));
        }
        self.last_sent = Some(now);
        self.stats.sent += 1;
        Ok(())
    }

    fn slow_down(&mut self, asked: Backpressure) {
        let now = Instant::now();
        if now + asked.hold > self.held_until {
            // Responses already in flight move the end slightly, which is not worth another line.
            if self.held_until <= now {
                let hold_s = asked.hold.as_secs();
                tracing::warn!(hold_s, "{HELD}: no requests until the next window");
            }
            self.held_until = now + asked.hold;
        }
        let is_spaced = now < self.spaced_until && self.spacing >= LONG_SPACING;
        if asked.spacing >= LONG_SPACING && !is_spaced {
            let wait_s = asked.spacing.as_secs();
            tracing::warn!(wait_s, "{HELD}: few requests until the next window");
        }
        // The newest response counts. Spacing below our own pace is ignored, as it would only prevent bursts.
        self.spacing = asked.spacing;
        self.spaced_until = if asked.spacing > self.period {
            now + asked.spaced_for
        } else {
            now
        };
    }
}

/// A leaky bucket (GCRA) with this guarantee: no closed window of length W sees more than `allowed` requests.
///
/// A bucket of burst B that regains one request per T admits at most B + floor(W / T) in a closed window of length W:
/// the burst *plus* what it regains meanwhile. A bucket set to the quota's rate therefore breaks the quota. With T
/// longer than W / (allowed - B + 1), floor(W / T) is at most allowed - B, and the sum at most `allowed`. T is padded
/// by another 1%, because the server counts arrivals, and a network that delays some requests squeezes them together.
///
/// The bucket starts empty. A full one would grant a fresh burst after each restart. An empty one is never ahead of the
/// previous process's bucket: that one owes at most B periods at any time, which is what the new one starts with.
/// Everything that the new one admits, the old one would have admitted too. By induction, one bucket without restarts
/// could have admitted the requests of any number of restarts.
///
/// B is 1/200 of `allowed`, and costs that share of the rate. For the whole of Cloudflare's quota it is 6 requests,
/// which make up for 1.5 s of late wake-ups.
struct Bucket {
    burst: NonZeroU32,
    period: Duration,
}

impl Bucket {
    fn of(pace: &Pace) -> Self {
        let share = u64::from(pace.share_percent.min(100));
        let allowed = (u64::from(pace.quota.requests) * share / 100).max(1);
        let burst = (allowed / 200).max(1);
        let window = u64::try_from(pace.quota.window.min(LONGEST).as_nanos()).unwrap_or(u64::MAX);
        let period = window / (allowed - burst + 1) + 1;
        Self {
            burst: u32::try_from(burst)
                .ok()
                .and_then(NonZeroU32::new)
                .unwrap_or(NonZeroU32::MIN),
            period: Duration::from_nanos(period + period / 100 + 1),
        }
    }
}

/// tokio's clock, so that tests can pause it.
struct TokioClock {
    epoch: Instant,
}

impl Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.epoch.elapsed().into()
    }
}

#[cfg(test)]
mod tests;
