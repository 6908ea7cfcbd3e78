//! Keeps a token within its share of the quota. Everything that is sent with one token goes through one [`Limiter`]:
//! in no window does it let more pass than the share, whatever the tasks do and however often the program restarts,
//! and a 429 stops all of them.

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

/// Beyond it the arithmetic of time would overflow, and nobody waits.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What one token may send.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub quota: Quota,
    /// 1 to 100: the rest is left to dashboards and colleagues, who draw on the same quota.
    pub share_percent: u8,
    /// How long a 429 without `Retry-After` stops the token. Cloudflare's block lasts five minutes.
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

/// What the limiter has seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that were let through.
    pub sent: u64,
    /// Answers 429.
    pub throttled: u64,
    /// Requests that the newest answer with a `Ratelimit` header left, others' use included.
    pub remaining: Option<u64>,
    /// Seconds that this machine's clock is ahead of the API's, by the newest answer that told the time.
    pub clock_ahead_s: Option<i64>,
}

/// A pause that will not end within the caller's patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LongPause {
    pub(super) left: Duration,
}

/// One per token, shared by all that send with it.
pub struct Limiter {
    pace: Pace,
    /// Waiting tasks stand in line here, so that one of them sleeps towards the next slot and the others don't race it.
    turn: tokio::sync::Mutex<()>,
    gate: Mutex<Gate>,
}

/// Everything that decides whether a request may go now. It is asked under one lock: a request that was waiting when a
/// pause began can't slip through between two questions.
struct Gate {
    bucket: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>,
    epoch: Instant,
    /// The bucket's own time between two requests.
    period: Duration,
    /// No request before it, by a 429.
    paused_until: Instant,
    /// No request before it, because what is left of the quota belongs to others.
    held_until: Instant,
    /// While an answer asks for wider gaps than our own.
    spacing: Duration,
    spaced_until: Instant,
    last_sent: Option<Instant>,
    stats: Stats,
}

enum Closed {
    /// The API refused: whoever waits may be out of patience.
    Paused(Instant),
    /// Our own pace.
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

    /// Requests a second in the long run.
    pub(super) fn pace(&self) -> f64 {
        let Quota { requests, window } = self.pace.quota;
        f64::from(requests) * f64::from(self.pace.share_percent) / 100.0 / window.as_secs_f64()
    }

    pub fn stats(&self) -> Stats {
        self.gate().stats
    }

    /// Waits, first come first served, until one request may be sent. A pause that lasts longer than `patience` is
    /// told at once instead.
    pub(super) async fn acquire(&self, patience: Duration) -> Result<(), LongPause> {
        let _turn = self.turn.lock().await;
        loop {
            let closed = self.gate().try_pass();
            match closed {
                Ok(()) => return Ok(()),
                Err(Closed::NotYet(at)) => sleep_until(at).await,
                Err(Closed::Paused(until)) => {
                    // Waiting in line for one's turn is no fault of the API: the pause alone is weighed.
                    let left = until.saturating_duration_since(Instant::now());
                    if left > patience {
                        return Err(LongPause { left });
                    }
                    sleep_until(until).await;
                }
            }
        }
    }

    /// Stops every task of the token after a 429. `Retry-After` is a floor: a longer pause that runs already stays.
    pub(super) fn pause(&self, retry_after: Option<Duration>) {
        let pause = retry_after.unwrap_or(self.pace.pause_without_retry_after).min(LONGEST);
        let mut gate = self.gate();
        gate.stats.throttled += 1;
        gate.paused_until = gate.paused_until.max(Instant::now() + pause);
    }

    pub(super) fn pause_left(&self) -> Duration {
        self.gate().paused_until.saturating_duration_since(Instant::now())
    }

    /// Learns from an answer's headers. It only ever slows down: another's idle quota is not ours to use.
    pub(super) fn observe(&self, statuses: &[RateLimitStatus]) {
        let Some(remaining) = statuses.iter().map(|s| s.remaining).min() else {
            return;
        };
        let asked = backpressure(statuses, self.pace.quota, self.pace.share_percent);
        let mut gate = self.gate();
        gate.stats.remaining = Some(remaining);
        gate.slow_down(asked);
    }

    pub(super) fn note_clock(&self, ahead_s: i64) {
        self.gate().stats.clock_ahead_s = Some(ahead_s);
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        // Nothing panics while it holds the lock, and each field is valid by itself.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    fn new(pace: &Pace) -> Self {
        let now = Instant::now();
        let Bucket { burst, period } = Bucket::of(pace);
        let quota = governor::Quota::with_period(period).unwrap_or(governor::Quota::per_second(NonZeroU32::MIN));
        let bucket = RateLimiter::direct_with_clock(quota.allow_burst(burst), TokioClock { epoch: now });
        // Start empty: see `Bucket`. A new bucket is full, and never too small for its own burst.
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
            stats: Stats::default(),
        }
    }

    fn try_pass(&mut self) -> Result<(), Closed> {
        let now = Instant::now();
        if now < self.paused_until {
            return Err(Closed::Paused(self.paused_until));
        }
        let spaced = self
            .last_sent
            .filter(|_| now < self.spaced_until)
            .map(|sent| sent + self.spacing);
        let opens = spaced.unwrap_or(now).max(self.held_until);
        if now < opens {
            return Err(Closed::NotYet(opens));
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
            // Answers that were on their way move the end by little; that is not worth a line each.
            if self.held_until <= now {
                let hold_s = asked.hold.as_secs();
                tracing::info!(
                    hold_s,
                    "what is left of the token's quota is for others: waiting for the next window"
                );
            }
            self.held_until = now + asked.hold;
        }
        // The newest answer knows best, but a gap that our own pace keeps anyway would only forbid our bursts.
        self.spacing = asked.spacing;
        self.spaced_until = if asked.spacing > self.period {
            now + asked.spaced_for
        } else {
            now
        };
    }
}

/// A leaky bucket (GCRA) that keeps this promise: no closed window of length W sees more than `allowed` requests.
///
/// A bucket of burst B that regains one request each T admits at most B + floor(W / T) in a closed window of length W,
/// the burst *plus* what it regains meanwhile; a bucket that is set to the quota's rate therefore breaks the quota. So
/// T is longer than W / (allowed - B + 1): then floor(W / T) is at most allowed - B, and the sum at most `allowed`. T is
/// padded by 1 % more, because the server counts arrivals, and a network that delays some requests squeezes them
/// together.
///
/// The bucket starts empty. A full one would grant a fresh burst after each restart. An empty one is never ahead of the
/// bucket of the process before: that one owes at most B periods at any moment, exactly what the new one begins with.
/// So all that the new one admits, the old one would have admitted too, and by induction the requests of any number
/// of restarts are those that one bucket without restarts could have admitted.
///
/// B is a two-hundredth of `allowed`: of Cloudflare's quota 6 requests, which make up for 1.5 s of late wake-ups, and it costs
/// that share of the rate.
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

/// tokio's clock, so that a test which holds the clock holds the limiter too.
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
