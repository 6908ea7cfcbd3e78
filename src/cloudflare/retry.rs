//! The one retry loop. Every request goes through it, so back-offs can't stack up. It waits for the limiter, sends, and
//! decides by the error alone whether and when to retry.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use super::error::{AttemptError, Error, ErrorKind, RetryDecision, Subject};
use super::health::ApiHealth;
use super::limiter::Limiter;
use crate::text::rounded;

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

/// Retries of a 401 or 403 for credentials that were accepted earlier in the run.
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
    /// Whether the credentials are a token, which has permissions of its own.
    pub(super) by_token: bool,
}

/// Sends until an attempt succeeds, fails for good, or the budget is used up: by this request, or by an outage that
/// began before it. Returns the number of requests, too.
pub(super) async fn run<T, F>(request: Request<'_>, mut send: impl FnMut() -> F) -> Result<(T, u32), Error>
where
    F: Future<Output = Result<T, AttemptError>>,
{
    let (subject, limiter, policy) = (request.subject, request.limiter, request.policy);
    let mut delays = policy.delays();
    let mut attempts = Attempts::new(request);
    loop {
        attempts.acquire().await?;
        let sent = attempts.begin();
        let failed = match send().await {
            Ok(response) => {
                limiter.note_accepted();
                attempts.request.health.note_response();
                return Ok((response, attempts.count));
            }
            Err(failed) => failed,
        };
        let delay = delays.next().unwrap_or(policy.max_delay);
        let (failed, wait) = attempts.wait_after(failed, sent, delay)?;
        // Tenths are enough in a log.
        let (wait_s, cause) = ((wait.as_secs_f64() * 10.0).round() / 10.0, failed.cause());
        tracing::warn!(
            attempt = attempts.count,
            wait_s,
            cause,
            "{subject}: {}: retrying",
            failed.message
        );
        sleep(wait).await;
    }
}

/// The attempts of one request so far.
struct Attempts<'a> {
    request: Request<'a>,
    first_sent: Option<Instant>,
    count: u32,
    /// Responses that did not come from the API.
    not_the_api: u32,
    /// Refusals of the credentials.
    refusals: u32,
    /// Attempts in a row that were too slow.
    slow: u32,
}

impl<'a> Attempts<'a> {
    fn new(request: Request<'a>) -> Self {
        Self {
            request,
            first_sent: None,
            count: 0,
            not_the_api: 0,
            refusals: 0,
            slow: 0,
        }
    }

    fn elapsed(&self) -> Duration {
        self.first_sent.map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// Waits until the quota allows another request, or fails if that takes longer than the budget.
    async fn acquire(&self) -> Result<(), Error> {
        let Request {
            policy,
            limiter,
            subject,
            ..
        } = self.request;
        let elapsed = self.elapsed();
        let acquired = limiter.acquire(policy.budget.saturating_sub(elapsed)).await;
        acquired.map_err(|pause| {
            let asked = AttemptError::wrong(pause.why);
            let (left, budget) = (rounded(pause.left), rounded(policy.budget));
            let because = format_args!(", because the pause lasts another {left} and the retry limit is {budget}");
            Error::exhausted(subject, asked, self.count, elapsed, because)
        })
    }

    /// Counts an attempt. Returns when it was sent.
    fn begin(&mut self) -> Instant {
        let sent = Instant::now();
        self.first_sent.get_or_insert(sent);
        self.count += 1;
        sent
    }

    /// How long to wait before the next attempt, at least `delay`; an error if there must not be another one.
    fn wait_after(
        &mut self,
        failed: AttemptError,
        sent: Instant,
        delay: Duration,
    ) -> Result<(AttemptError, Duration), Error> {
        let Request {
            limiter,
            health,
            subject,
            ..
        } = self.request;
        let is_slow = matches!(failed.decision, RetryDecision::Slow { .. });
        self.slow = if is_slow { self.slow + 1 } else { 0 };
        let not_before = match failed.decision {
            RetryDecision::Final(kind) => {
                // The others are found on this machine.
                if !matches!(kind, ErrorKind::Setup | ErrorKind::Exhausted) {
                    health.note_response();
                }
                return Err(Error::of(kind, subject, failed, self.count));
            }
            RetryDecision::Refused { kind, permission } => {
                health.note_response();
                self.refusals += 1;
                let is_worth_it = limiter.has_accepted() && self.refusals <= MOST_REFUSALS;
                if !is_worth_it || self.is_beyond_budget(self.elapsed(), delay) {
                    let permission = permission && self.request.by_token;
                    return Err(Error::refused(kind, permission, subject, failed, self.count));
                }
                return Ok((failed, delay));
            }
            RetryDecision::Renewed => {
                health.note_response();
                return Ok((failed, Duration::ZERO));
            }
            RetryDecision::NotTheApi {
                not_before,
                attempts,
                kind,
            } => {
                self.not_the_api += 1;
                if !health.has_responded() && self.not_the_api >= attempts {
                    return Err(Error::not_the_api(kind, subject, failed, self.count));
                }
                not_before
            }
            RetryDecision::Retry { not_before } | RetryDecision::Slow { not_before } => not_before,
            // The token's pause is the wait. The delay is its minimum, because some servers send "Retry-After: 0" every
            // time.
            RetryDecision::Throttled => limiter.pause_left(),
        };
        let wait = not_before.max(delay);
        match self.is_over(sent, wait) {
            None => Ok((failed, wait)),
            Some(GiveUp::TooSlow) => Err(Error::of(ErrorKind::PageTooSlow, subject, failed, self.count)),
            Some(GiveUp::Budget { outage }) => Err(self.gave_up(failed, outage, wait)),
        }
    }

    /// Whether there must be no attempt after `wait`. `sent` is when the last one was sent, which failed.
    fn is_over(&self, sent: Instant, wait: Duration) -> Option<GiveUp> {
        let health = self.request.health;
        let outage = health.note_failure(sent);
        // Read later than the outage, so that it is not shorter than an outage that began with this request.
        let elapsed = self.elapsed();
        let is_beyond = self.is_beyond_budget(elapsed, wait);
        let is_own = outage <= elapsed;
        if self.request.may_shrink && is_own && (self.slow >= MOST_SLOW || (is_beyond && self.slow > 1)) {
            // Nothing but this page says that the API is out of order.
            health.forgive();
            return Some(GiveUp::TooSlow);
        }
        (is_beyond || self.is_beyond_budget(outage, wait)).then_some(GiveUp::Budget { outage })
    }

    fn is_beyond_budget(&self, elapsed: Duration, wait: Duration) -> bool {
        elapsed.saturating_add(wait) > self.request.policy.budget
    }

    /// The error of a request whose next wait would go beyond the budget.
    fn gave_up(&self, last: AttemptError, outage: Duration, wait: Duration) -> Error {
        let (subject, elapsed) = (self.request.subject, self.elapsed());
        if let RetryDecision::NotTheApi { kind, .. } = last.decision
            && !self.request.health.has_responded()
        {
            return Error::not_the_api(kind, subject, last, self.count);
        }
        let budget = self.request.policy.budget;
        if budget.is_zero() {
            return Error::exhausted(subject, last, self.count, elapsed, "");
        }
        let wait = Duration::from_secs(wait.as_secs_f64().ceil() as u64);
        let (wait, budget) = (rounded(wait), rounded(budget));
        // The outage began with another request.
        let since = match outage > elapsed + Duration::from_secs(1) {
            true => format!("no request to the API has succeeded for {} and ", rounded(outage)),
            false => String::new(),
        };
        let because =
            format_args!(", because {since}the next retry, in {wait}, would exceed the retry limit of {budget}");
        Error::exhausted(subject, last, self.count, elapsed, because)
    }
}

/// Why there is no further attempt.
enum GiveUp {
    /// A smaller page may be faster.
    TooSlow,
    Budget {
        /// How long no request to the API has succeeded.
        outage: Duration,
    },
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
        outcome_with(&ApiHealth::default(), policy, send).await
    }

    async fn outcome_with(
        health: &ApiHealth,
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
            health,
            subject: Subject::Namespaces(&account),
            may_shrink: false,
            by_token: true,
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

    /// A page from elsewhere, and the certificate of a captive portal.
    #[tokio::test(start_paused = true)]
    async fn responses_from_elsewhere_are_final_only_before_the_api_responded() {
        for (attempts, kind) in [(3, ErrorKind::Exhausted), (1, ErrorKind::Wrong)] {
            let elsewhere = RetryDecision::NotTheApi {
                not_before: Duration::from_secs(5),
                attempts,
                kind,
            };
            let (result, sent) = outcome(RetryPolicy::default(), |_, _| Err(elsewhere)).await;
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.requests()), (kind, attempts), "{error}");
            assert!(sent.windows(2).all(|pair| pair[1] - pair[0] > 4.99), "{sent:?}");
            let responded = ApiHealth::default();
            responded.note_envelope();
            let (result, _) = outcome_with(&responded, RetryPolicy::default(), |n, _| match n {
                ..10 => Err(elsewhere),
                _ => Ok(()),
            })
            .await;
            assert_eq!(result.unwrap(), 10);
        }
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
