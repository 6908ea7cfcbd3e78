//! The one retry loop. Every request goes through it, so no second back-off can stack up on the first: it waits for
//! the limiter, sends, and decides by the fault alone whether and when to send again.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use super::error::{Error, Fault, Subject, Verdict};
use super::limiter::Limiter;

/// How long a transient fault is borne with.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// From the first sending on; no wait begins that would end after it. Zero: every request is sent once.
    pub budget: Duration,
    /// The first wait, which doubles from then on; up to as much again is added at random.
    pub first_delay: Duration,
    /// No wait of our own choice is longer.
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
        // The iterator adds the jitter on top of its own maximum. Half of ours leaves room for it, so that even the
        // longest waits of several tasks fall apart.
        let delays = ExponentialBuilder::new()
            .with_min_delay(self.first_delay.min(longest))
            .with_max_delay(longest / 2)
            .with_jitter()
            .without_max_times()
            .build();
        delays.map(move |delay| delay.min(longest))
    }
}

/// Sends until an answer is good, a fault is final, or the budget is used up. Gives the number of requests that were
/// sent as well.
pub(super) async fn run<T, F>(
    policy: &RetryPolicy,
    limiter: &Limiter,
    subject: Subject<'_>,
    mut send: impl FnMut() -> F,
) -> Result<(T, u32), Error>
where
    F: Future<Output = Result<T, Fault>>,
{
    let mut delays = policy.delays();
    let mut first_sent = None;
    let mut requests = 0;
    loop {
        let elapsed = first_sent.map_or(Duration::ZERO, |at: Instant| at.elapsed());
        if let Err(pause) = limiter.acquire(policy.budget.saturating_sub(elapsed)).await {
            return Err(Error::paused(subject, pause, requests, elapsed));
        }
        let first_sent = *first_sent.get_or_insert_with(Instant::now);
        requests += 1;
        let fault = match send().await {
            Ok(answer) => return Ok((answer, requests)),
            Err(fault) => fault,
        };
        let floor = match fault.verdict {
            Verdict::Final(kind) => return Err(Error::of(kind, subject, fault, requests)),
            Verdict::Retry { not_before } => not_before,
            // The pause of the token is the wait. The delay below is a floor for it, because some servers say
            // "Retry-After: 0" again and again.
            Verdict::Throttled => limiter.pause_left(),
        };
        let wait = floor.max(delays.next().unwrap_or(policy.max_delay));
        let elapsed = first_sent.elapsed();
        if elapsed.saturating_add(wait) > policy.budget {
            return Err(Error::exhausted(subject, fault, requests, elapsed, wait));
        }
        // Tenths are as exact as a reader of the log needs.
        let (wait_s, cause) = ((wait.as_secs_f64() * 10.0).round() / 10.0, fault.root_cause());
        tracing::warn!(
            attempt = requests,
            wait_s,
            cause,
            "{subject}: {}: trying again",
            fault.message
        );
        sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::cloudflare::ErrorKind;
    use crate::cloudflare::limiter::Pace;
    use crate::model::AccountId;

    const BUSY: Verdict = Verdict::Retry {
        not_before: Duration::ZERO,
    };

    fn fault(verdict: Verdict) -> Fault {
        Fault {
            verdict,
            ..Fault::wrong("busy".to_owned())
        }
    }

    /// Runs under a paused clock with a limiter that does not matter, and notes when it sent.
    async fn outcome(
        policy: RetryPolicy,
        send: impl Fn(u32, &Limiter) -> Result<(), Verdict>,
    ) -> (Result<u32, Error>, Vec<f64>) {
        let limiter = Limiter::new(Pace {
            quota: "10000000/1s".parse().unwrap(),
            ..Pace::default()
        });
        let (start, sent, count) = (Instant::now(), RefCell::new(Vec::new()), Cell::new(0));
        let account: AccountId = "a".parse().unwrap();
        let result = run(&policy, &limiter, Subject::Namespaces(&account), || {
            sent.borrow_mut().push(start.elapsed().as_secs_f64());
            count.set(count.get() + 1);
            std::future::ready(send(count.get(), &limiter).map_err(fault))
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
    async fn it_gives_up_before_a_wait_that_would_end_after_the_budget() {
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
        let at = |seconds| Verdict::Retry {
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
            Err(Verdict::Retry {
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
            Err(Verdict::Throttled)
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
    async fn a_final_fault_ends_it() {
        let (result, sent) = outcome(RetryPolicy::default(), |_, _| Err(Verdict::Final(ErrorKind::NotFound))).await;
        assert_eq!((result.unwrap_err().kind(), sent.len()), (ErrorKind::NotFound, 1));
    }
}
