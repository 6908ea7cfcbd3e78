//! The one retry loop. Every request goes through it, so back-offs can't stack up. It waits for the limiter, sends, and
//! decides by the error alone whether and when to retry.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use super::error::{AttemptError, Error, ErrorKind, RetryDecision, Subject};
use super::health::ApiHealth;
use super::limiter::Limiter;

/// How long and how often to retry a transient error.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Counted from the first attempt. No wait begins that would end after it; zero means a single attempt.
    pub budget: Duration,
    /// The first wait. It doubles with each attempt, plus a random jitter of up to its own length.
    pub first_delay: Duration,
    /// The longest wait, unless the API asks for a longer one.
    pub max_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            budget: Duration::from_secs(15 * 60),
            first_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    fn delays(&self) -> impl Iterator<Item = Duration> {
        let longest = self.max_delay;
        // backon adds the jitter on top of its maximum. Half of ours leaves room for it, so that even the longest waits
        // of several tasks differ.
        let delays = ExponentialBuilder::new()
            .with_min_delay(self.first_delay.min(longest))
            .with_max_delay(longest / 2)
            .with_jitter()
            .without_max_times()
            .build();
        delays.map(move |delay| delay.min(longest))
    }
}

/// How often refused credentials are tried again that were accepted earlier in the run.
const MOST_REFUSALS: u32 = 3;

/// The number of slow attempts in a row after which a smaller page is worth trying.
const MOST_SLOW: u32 = 3;

/// What a request shares with all others to the API, and what is its own.
pub(super) struct Request<'a> {
    pub(super) policy: &'a RetryPolicy,
    pub(super) limiter: &'a Limiter,
    pub(super) health: &'a ApiHealth,
    pub(super) subject: Subject<'a>,
    /// Whether the caller could ask for a smaller page instead.
    pub(super) may_shrink: bool,
}

/// Sends until an attempt succeeds, fails for good, or the budget is used up: by this request, or by an outage that began
/// before it. Returns the number of requests, too.
pub(super) async fn run<T, F>(request: Request<'_>, mut send: impl FnMut() -> F) -> Result<(T, u32), Error>
where
    F: Future<Output = Result<T, AttemptError>>,
{
    let Request {
        policy,
        limiter,
        health,
        subject,
        may_shrink,
    } = request;
    let mut delays = policy.delays();
    let mut first_sent = None;
    let (mut requests, mut not_the_api, mut refusals, mut slow) = (0, 0, 0, 0);
    loop {
        let elapsed = first_sent.map_or(Duration::ZERO, |at: Instant| at.elapsed());
        if let Err(pause) = limiter.acquire(policy.budget.saturating_sub(elapsed)).await {
            let asked = AttemptError::wrong(pause.why);
            let reason = format_args!(
                "the {:.0} s that are left go beyond the retry budget",
                pause.left.as_secs_f64()
            );
            return Err(Error::exhausted(subject, asked, requests, elapsed, reason));
        }
        let sent = Instant::now();
        let first_sent = *first_sent.get_or_insert(sent);
        requests += 1;
        let failed = match send().await {
            Ok(response) => {
                limiter.note_accepted();
                health.note_response();
                return Ok((response, requests));
            }
            Err(failed) => failed,
        };
        slow = if matches!(failed.decision, RetryDecision::Slow { .. }) {
            slow + 1
        } else {
            0
        };
        let mut floor = match failed.decision {
            RetryDecision::Final(kind) => {
                health.note_response();
                return Err(Error::of(kind, subject, failed, requests));
            }
            RetryDecision::Refused { .. } => {
                health.note_response();
                refusals += 1;
                Duration::ZERO
            }
            RetryDecision::NotTheApi {
                not_before,
                attempts,
                kind,
            } => {
                not_the_api += 1;
                if !health.has_responded() && not_the_api >= attempts {
                    return Err(Error::not_the_api(kind, subject, failed, requests));
                }
                not_before
            }
            RetryDecision::Retry { not_before } | RetryDecision::Slow { not_before } => not_before,
            // The token's pause is the wait. The delay below is its minimum, because some servers send
            // "Retry-After: 0" every time.
            RetryDecision::Throttled => limiter.pause_left(),
        };
        floor = floor.max(delays.next().unwrap_or(policy.max_delay));
        let (wait, elapsed) = (floor, first_sent.elapsed());
        let is_beyond = |elapsed: Duration| elapsed.saturating_add(wait) > policy.budget;
        if let RetryDecision::Refused { kind, permission } = failed.decision {
            if refusals > MOST_REFUSALS || is_beyond(elapsed) || !limiter.has_accepted() {
                return Err(Error::refused(kind, permission, subject, failed, requests));
            }
        } else {
            let outage = health.note_failure(sent);
            if is_beyond(elapsed) || is_beyond(outage) {
                if let RetryDecision::NotTheApi { kind, .. } = failed.decision
                    && !health.has_responded()
                {
                    return Err(Error::not_the_api(kind, subject, failed, requests));
                }
                return Err(gave_up(subject, failed, requests, elapsed, outage, wait));
            }
        }
        if may_shrink && slow == MOST_SLOW {
            return Err(Error::of(ErrorKind::PageTooSlow, subject, failed, requests));
        }
        // Tenths are enough in a log.
        let (wait_s, cause) = ((wait.as_secs_f64() * 10.0).round() / 10.0, failed.root_cause());
        tracing::warn!(
            attempt = requests,
            wait_s,
            cause,
            "{subject}: {}: trying again",
            failed.message
        );
        sleep(wait).await;
    }
}

/// The error of a request whose next wait would go beyond the budget.
fn gave_up(
    subject: Subject<'_>,
    last: AttemptError,
    requests: u32,
    elapsed: Duration,
    outage: Duration,
    wait: Duration,
) -> Error {
    let wait = wait.as_secs_f64();
    // The outage began with another request.
    if outage > elapsed + Duration::from_secs(1) {
        let outage = outage.as_secs_f64();
        let reason = format_args!(
            "no request to the API has succeeded for {outage:.1} s and the next wait of {wait:.1} s goes beyond the retry \
             budget"
        );
        return Error::exhausted(subject, last, requests, elapsed, reason);
    }
    let reason = format_args!("the next wait of {wait:.1} s goes beyond the retry budget");
    Error::exhausted(subject, last, requests, elapsed, reason)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::cloudflare::limiter::Pace;
    use crate::model::AccountId;

    const BUSY: RetryDecision = RetryDecision::NOW;

    fn failed(decision: RetryDecision) -> AttemptError {
        AttemptError {
            decision,
            ..AttemptError::wrong("busy")
        }
    }

    /// Runs under a paused clock with a generous limiter. Returns when each request was sent, too.
    async fn outcome(
        policy: RetryPolicy,
        send: impl Fn(u32, &Limiter) -> Result<(), RetryDecision>,
    ) -> (Result<u32, Error>, Vec<f64>) {
        let limiter = Limiter::new(Pace {
            quota: "10000000/1s".parse().unwrap(),
            ..Pace::default()
        });
        let (start, sent, count) = (Instant::now(), RefCell::new(Vec::new()), Cell::new(0));
        let account: AccountId = "a".parse().unwrap();
        let request = Request {
            policy: &policy,
            limiter: &limiter,
            health: &ApiHealth::default(),
            subject: Subject::Namespaces(&account),
            may_shrink: false,
        };
        let result = run(request, || {
            sent.borrow_mut().push(start.elapsed().as_secs_f64());
            count.set(count.get() + 1);
            std::future::ready(send(count.get(), &limiter).map_err(failed))
        });
        (result.await.map(|((), requests)| requests), sent.take())
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_with_jitter_up_to_the_longest() {
        let policy = RetryPolicy {
            budget: Duration::from_secs(24 * 60 * 60),
            ..RetryPolicy::default()
        };
        let (result, sent) = outcome(policy, |n, _| if n < 30 { Err(BUSY) } else { Ok(()) }).await;
        assert_eq!(result.unwrap(), 30);
        let waits: Vec<f64> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (n, wait) in waits.iter().enumerate() {
            let least = (0.5 * 2_f64.powi(i32::try_from(n).unwrap())).min(30.0);
            assert!(*wait >= least && *wait <= 2.0 * least + 0.01, "wait {n}: {wait}");
        }
        let last = &waits[10..];
        assert!(
            last.iter().any(|wait| (wait - last[0]).abs() > 0.1),
            "no jitter: {last:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_wait_ends_after_the_budget() {
        let (result, sent) = outcome(RetryPolicy::default(), |_, _| Err(BUSY)).await;
        let error = result.unwrap_err();
        assert_eq!(
            (error.kind(), error.requests() as usize),
            (ErrorKind::Exhausted, sent.len())
        );
        let last = sent.last().copied().unwrap();
        assert!((840.0..900.0).contains(&last), "{last}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_floor_is_waited_for_or_given_up_at_once() {
        let at = |seconds| RetryDecision::Retry {
            not_before: Duration::from_secs(seconds),
        };
        let (result, sent) = outcome(
            RetryPolicy::default(),
            |n, _| if n == 1 { Err(at(500)) } else { Ok(()) },
        )
        .await;
        assert_eq!(result.unwrap(), 2);
        assert!(sent[1] >= 500.0);
        let (result, sent) = outcome(RetryPolicy::default(), |_, _| Err(at(901))).await;
        assert_eq!((result.unwrap_err().kind(), sent.len()), (ErrorKind::Exhausted, 1));
        let (result, _) = outcome(RetryPolicy::default(), |_, _| {
            Err(RetryDecision::Retry {
                not_before: Duration::MAX,
            })
        })
        .await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Exhausted);
    }

    #[tokio::test(start_paused = true)]
    async fn a_429_waits_for_the_pause_and_no_longer() {
        let throttled = |limiter: &Limiter, after| {
            limiter.pause(after);
            Err(RetryDecision::Throttled)
        };
        let (result, sent) = outcome(
            RetryPolicy::default(),
            |n, l| if n < 3 { throttled(l, None) } else { Ok(()) },
        )
        .await;
        assert_eq!(result.unwrap(), 3);
        assert!(sent[2] >= 600.0 && sent[2] < 600.1, "{sent:?}");
        let (result, sent) = outcome(RetryPolicy::default(), |_, l| throttled(l, Some(Duration::ZERO))).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Exhausted);
        assert!(
            sent.len() < 40,
            "a pause of zero does not end in a flood: {}",
            sent.len()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_error_is_not_retried() {
        let (result, sent) = outcome(RetryPolicy::default(), |_, _| {
            Err(RetryDecision::Final(ErrorKind::NotFound))
        })
        .await;
        assert_eq!((result.unwrap_err().kind(), sent.len()), (ErrorKind::NotFound, 1));
    }
}
