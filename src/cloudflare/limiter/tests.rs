//! The clock is tokio's, paused, so hours pass at once.

use std::sync::Arc;

use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::*;

const PATIENT: Duration = Duration::from_secs(24 * 60 * 60);

fn pace(requests: u32, window: Duration, share_percent: u8) -> Pace {
    Pace {
        quota: Quota { requests, window },
        share_percent,
        ..Pace::default()
    }
}

fn paused_clock<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

/// Runs one task per list of delays until `span` is over. Each task sends after each of its delays, in a cycle.
async fn send_for(limiter: Arc<Limiter>, span: Duration, delays: &[Vec<u64>]) -> Vec<Instant> {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for delays in delays.iter().cloned() {
        let (limiter, sent) = (limiter.clone(), sent.clone());
        tasks.spawn(async move {
            for delay in delays.into_iter().cycle() {
                sleep(Duration::from_millis(delay)).await;
                limiter.acquire(PATIENT).await.unwrap();
                sent.lock().unwrap().push(Instant::now());
            }
        });
    }
    let _ = timeout(span, tasks.join_all()).await;
    let sent = sent.lock().unwrap();
    sent.clone()
}

/// The most requests in any closed window of this length.
fn fullest_window(sent: &[Instant], window: Duration) -> usize {
    let mut start = 0;
    let mut most = 0;
    for (end, at) in sent.iter().enumerate() {
        while *at - sent[start] > window {
            start += 1;
        }
        most = most.max(end - start + 1);
    }
    most
}

fn arrivals() -> impl Strategy<Value = Vec<Vec<u64>>> {
    // Greedy tasks, slow ones, and those that return to a full bucket after a long silence.
    let delay = prop_oneof![4 => Just(0_u64), 2 => 1..50_u64, 1 => 50..20_000_u64];
    let task = prop_oneof![Just(vec![0]), prop::collection::vec(delay, 1..8)];
    prop::collection::vec(task, 1..6)
}

/// For each run: its length in windows, the delays of its tasks, and the milliseconds until the next run.
fn runs() -> impl Strategy<Value = Vec<(f64, Vec<Vec<u64>>, u64)>> {
    let length = prop_oneof![0.0..0.05_f64, 0.0..2.0_f64];
    let rest = prop_oneof![Just(0), 0..3_000_u64];
    prop::collection::vec((length, arrivals(), rest), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_window_sees_more_than_the_share_whatever_tasks_do_and_however_often_it_restarts(
        requests in prop_oneof![1..10_u32, 10..1_500_u32],
        seconds in 1..10_u64,
        share in 1..=100_u8,
        runs in runs(),
    ) {
        let window = Duration::from_secs(seconds);
        let sent = paused_clock(async {
            let mut sent = Vec::new();
            for (windows, delays, rest) in &runs {
                let limiter = Arc::new(Limiter::new(pace(requests, window, share)));
                sent.extend(send_for(limiter, window.mul_f64(*windows), delays).await);
                sleep(Duration::from_millis(*rest)).await;
            }
            sent
        });
        let allowed = (requests as usize * usize::from(share) / 100).max(1);
        prop_assert!(fullest_window(&sent, window) <= allowed);
    }
}

/// The worst case of restarts: every process has just spent its burst.
#[test]
fn restarts_grant_no_burst() {
    let window = Duration::from_secs(10);
    let sent = paused_clock(async {
        let mut sent = Vec::new();
        for _ in 0..200 {
            let limiter = Arc::new(Limiter::new(pace(1000, window, 100)));
            sent.extend(send_for(limiter, Duration::from_millis(150), &greedy(2)).await);
        }
        sent
    });
    let most = fullest_window(&sent, window);
    assert!((900..=1000).contains(&most), "{most}");
}

/// Checks the arithmetic alone, for quotas too large to send in full.
#[test]
fn burst_and_refill_stay_below_the_share_with_room_for_jitter() {
    for share_percent in [1, 33, 80, 100] {
        for requests in (1..3_000).chain([99_999, 1_000_000, 1_234_567, 100_000_000]) {
            let window = Duration::from_secs(300);
            let Bucket { burst, period } = Bucket::of(&pace(requests, window, share_percent));
            let allowed = (u128::from(requests) * u128::from(share_percent) / 100).max(1);
            // Requests sent in 1.0098 windows may arrive within one.
            let squeezed = window.as_nanos() * 10_098 / 10_000;
            assert!(
                u128::from(burst.get()) + squeezed / period.as_nanos() <= allowed,
                "{requests} at {share_percent} %"
            );
        }
    }
}

fn greedy(tasks: usize) -> Vec<Vec<u64>> {
    vec![vec![0]; tasks]
}

#[test]
fn nearly_all_of_the_share_is_used() {
    for (requests, share, windows, tasks) in [(1200, 80, 5, 8), (1200, 100, 5, 1), (100_000, 80, 2, 3)] {
        let limiter_pace = pace(requests, Duration::from_secs(300), share);
        let sent = paused_clock(async {
            let limiter = Arc::new(Limiter::new(limiter_pace));
            send_for(limiter, Duration::from_secs(300 * windows), &greedy(tasks)).await
        });
        let allowed = u64::from(requests) * u64::from(share) / 100 * windows;
        assert!(sent.len() as u64 * 100 >= allowed * 97, "{} of {allowed}", sent.len());
    }
}

#[test]
fn a_huge_quota_is_used_too() {
    let window = Duration::from_secs(300);
    let sent = paused_clock(async {
        send_for(
            Arc::new(Limiter::new(pace(1_000_000, window, 100))),
            Duration::from_secs(10),
            &greedy(4),
        )
        .await
    });
    assert!(sent.len() * 100 >= 1_000_000 / 30 * 97, "{}", sent.len());
}

#[test]
fn a_tiny_quota_lets_one_pass_a_window() {
    let window = Duration::from_secs(300);
    let sent =
        paused_clock(async { send_for(Arc::new(Limiter::new(pace(1, window, 80))), window * 4, &greedy(2)).await });
    assert_eq!(sent.len(), 3);
    assert!(sent[1] - sent[0] > window);
}

#[test]
fn odd_settings_neither_panic_nor_lift_a_pause() {
    for quota in [
        (0, 0),
        (0, 1),
        (1, 0),
        (u32::MAX, u64::MAX),
        (1, u64::MAX),
        (u32::MAX, 1),
    ] {
        for share in [0, 1, 100, u8::MAX] {
            paused_clock(async {
                let limiter = Limiter::new(pace(quota.0, Duration::from_secs(quota.1), share));
                limiter.observe(&[RateLimitStatus {
                    remaining: 1,
                    reset: PATIENT,
                    policy: Some((u64::MAX, Duration::MAX)),
                }]);
                limiter.pause(Some(Duration::MAX));
                assert!(limiter.acquire(Duration::ZERO).await.is_err());
            });
        }
    }
}

fn generous() -> Arc<Limiter> {
    Arc::new(Limiter::new(pace(100_000, Duration::from_secs(100), 80)))
}

#[test]
fn a_429_stops_every_task_of_the_token() {
    paused_clock(async {
        let limiter = generous();
        let start = Instant::now();
        let sending = tokio::spawn({
            let limiter = limiter.clone();
            async move { send_for(limiter, Duration::from_secs(100), &greedy(5)).await }
        });
        sleep(Duration::from_secs(10)).await;
        limiter.pause(Some(Duration::from_secs(20)));
        sleep(Duration::from_secs(5)).await;
        // The longer pause stays.
        limiter.pause(Some(Duration::from_secs(1)));
        assert_eq!(limiter.pause_left(), Duration::from_secs(15));
        sleep(Duration::from_secs(60)).await;
        limiter.pause(None);
        let sent = sending.await.unwrap();
        let between = |from, to| {
            let elapsed = sent.iter().map(|at| (*at - start).as_secs_f64());
            elapsed
                .filter(|at| *at > f64::from(from) + 0.01 && *at < f64::from(to))
                .count()
        };
        assert_eq!(between(10, 30), 0);
        assert!(between(30, 31) > 100);
        assert_eq!(between(75, 1000), 0, "five minutes without Retry-After");
        assert_eq!(limiter.stats().throttled, 3);
    });
}

#[test]
fn a_request_that_waited_when_a_pause_began_waits_for_its_end() {
    paused_clock(async {
        let limiter = Arc::new(Limiter::new(pace(10, Duration::from_secs(100), 100)));
        let start = Instant::now();
        let waiting = tokio::spawn({
            let limiter = limiter.clone();
            async move { limiter.acquire(PATIENT).await.map(|()| Instant::now()) }
        });
        sleep(Duration::from_secs(5)).await;
        limiter.pause(Some(Duration::from_secs(60)));
        sleep(Duration::from_secs(55)).await;
        limiter.pause(Some(Duration::from_secs(60)));
        let passed = waiting.await.unwrap().unwrap();
        assert!(passed - start >= Duration::from_secs(120));
    });
}

#[test]
fn a_pause_beyond_the_patience_fails_all_waiting_tasks_at_once() {
    paused_clock(async {
        let limiter = generous();
        limiter.pause(Some(Duration::from_secs(1000)));
        let start = Instant::now();
        for waiting in [
            limiter.acquire(Duration::from_secs(999)),
            limiter.acquire(Duration::ZERO),
        ] {
            assert_eq!(
                waiting.await,
                Err(LongPause {
                    left: Duration::from_secs(1000),
                    why: PAUSED
                })
            );
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(limiter.acquire(Duration::from_secs(1000)).await, Ok(()));
    });
}

#[test]
fn waiting_tasks_pass_in_order_of_arrival() {
    paused_clock(async {
        let limiter = Arc::new(Limiter::new(pace(100, Duration::from_secs(100), 100)));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for number in 0..20 {
            let (limiter, order) = (limiter.clone(), order.clone());
            tasks.spawn(async move {
                sleep(Duration::from_millis(number)).await;
                limiter.acquire(PATIENT).await.unwrap();
                order.lock().unwrap().push(number);
            });
        }
        tasks.join_all().await;
        assert!(order.lock().unwrap().is_sorted());
    });
}

#[test]
fn a_dropped_waiting_task_blocks_no_other() {
    paused_clock(async {
        let limiter = Arc::new(Limiter::new(pace(10, Duration::from_secs(100), 100)));
        assert!(timeout(Duration::from_secs(1), limiter.acquire(PATIENT)).await.is_err());
        let start = Instant::now();
        limiter.acquire(PATIENT).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(11));
    });
}

fn status(remaining: u64, reset: u64) -> RateLimitStatus {
    RateLimitStatus {
        remaining,
        reset: Duration::from_secs(reset),
        policy: Some((1000, Duration::from_secs(100))),
    }
}

#[test]
fn the_reserve_of_others_is_not_used() {
    paused_clock(async {
        let limiter = generous();
        limiter.acquire(PATIENT).await.unwrap();
        limiter.observe(&[status(200, 40)]);
        let start = Instant::now();
        limiter.acquire(PATIENT).await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(40));
        assert_eq!(
            limiter.stats(),
            Stats {
                sent: 2,
                throttled: 0,
                remaining: Some(200),
                clock_ahead_s: None
            }
        );
    });
}

/// A hold and a long time between two requests are pauses like that of a 429.
#[test]
fn headers_do_not_ask_for_more_patience_than_there_is() {
    let day = |remaining| RateLimitStatus {
        remaining,
        reset: Duration::from_secs(43_200),
        policy: Some((10_000, PATIENT)),
    };
    for (remaining, least) in [(100, 43_200), (2_001, 43_200), (2_010, 4_320)] {
        paused_clock(async {
            let limiter = generous();
            limiter.acquire(PATIENT).await.unwrap();
            limiter.observe(&[day(remaining)]);
            let refused = limiter.acquire(Duration::from_secs(900)).await.unwrap_err();
            assert_eq!((refused.left.as_secs(), refused.why), (least, HELD));
            let start = Instant::now();
            assert_eq!(limiter.acquire(PATIENT).await, Ok(()));
            assert_eq!(start.elapsed().as_secs(), least);
        });
    }
}

#[test]
fn the_rest_of_a_window_is_spread_over_it() {
    paused_clock(async {
        let limiter = generous();
        limiter.acquire(PATIENT).await.unwrap();
        limiter.observe(&[status(210, 50)]);
        let sent = send_for(limiter, Duration::from_secs(49), &greedy(4)).await;
        assert!((8..=10).contains(&sent.len()), "{}", sent.len());
    });
}

#[test]
fn headers_never_speed_up() {
    let sent = |observe: bool| {
        paused_clock(async move {
            let limiter = Arc::new(Limiter::new(pace(1000, Duration::from_secs(100), 80)));
            if observe {
                limiter.observe(&[status(1_000_000, 1)]);
            }
            send_for(limiter, Duration::from_secs(100), &greedy(4)).await.len()
        })
    };
    assert_eq!(sent(true), sent(false));
}
