//! The effect of 429 and of the rate limit headers.

use super::server::{ReceivedRequest, refusal, with};
use super::*;

#[tokio::test]
async fn retry_after_is_a_floor() {
    for answer in [refusal(429, 971, "wait"), reply(503, "")] {
        let (server, url) = Server::start([with(answer, "retry-after", "1"), reply(200, ROWS)]).await;
        list(&client(url), None).await.unwrap();
        let asked = server.asked.lock().unwrap();
        assert!(asked[1].2 - asked[0].2 >= Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_pause_beyond_the_budget_fails_every_task_at_once() {
    let (server, url) = Server::start([with(refusal(429, 971, "wait"), "retry-after", "3600")]).await;
    let limiter = Arc::new(Limiter::new(quick()));
    let (first, second) = (
        client_with(url.clone(), limiter.clone(), short()),
        client_with(url, limiter.clone(), short()),
    );
    let start = Instant::now();
    let error = list(&first, None).await.unwrap_err();
    assert_eq!((error.kind(), error.requests()), (ErrorKind::Exhausted, 1));
    assert!(
        error
            .to_string()
            .contains("the next retry, in 1 h, would exceed the retry limit of"),
        "{error}"
    );
    let error = list(&second, None).await.unwrap_err();
    assert_eq!((error.kind(), error.requests()), (ErrorKind::Exhausted, 0));
    assert!(
        error
            .to_string()
            .contains("asked this token to pause: gave up before the first attempt"),
        "{error}"
    );
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!((server.paths().len(), limiter.stats().throttled), (1, 1));
}

#[tokio::test]
async fn a_429_of_one_task_stops_the_others() {
    let answers = (0..40).map(|n| match n {
        5 => with(refusal(429, 971, "wait"), "retry-after", "1"),
        _ => reply(200, ROWS),
    });
    let (server, url) = Server::start(answers).await;
    let pace = Pace {
        quota: Quota {
            requests: 500,
            window: Duration::from_secs(10),
        },
        ..quick()
    };
    let client = client_with(url, Arc::new(Limiter::new(pace)), patient());
    let sending = (0..39).map(|_| list(&client, None));
    for page in futures_util::future::join_all(sending).await {
        page.unwrap();
    }
    let asked = server.asked.lock().unwrap();
    let refused = asked[5].2;
    let during = |asked: &&ReceivedRequest| {
        // Requests already in flight when the 429 arrived are not counted.
        let since = asked.2.saturating_duration_since(refused);
        since > Duration::from_millis(100) && since < Duration::from_millis(950)
    };
    assert_eq!((asked.len(), asked.iter().filter(during).count()), (40, 0));
}

#[tokio::test]
async fn the_limiter_obeys_the_headers() {
    let answer = with(reply(200, ROWS), "ratelimit", "\"default\";r=5;t=1");
    let answer = with(answer, "ratelimit-policy", "\"default\";q=1000;w=300");
    let (server, url) = Server::start([answer, reply(200, ROWS)]).await;
    let limiter = Arc::new(Limiter::new(Pace {
        share_percent: 80,
        ..quick()
    }));
    let client = client_with(url, limiter.clone(), short());
    list(&client, None).await.unwrap();
    assert_eq!(limiter.stats().remaining, Some(5));
    list(&client, None).await.unwrap();
    let asked = server.asked.lock().unwrap();
    assert!(asked[1].2 - asked[0].2 >= Duration::from_millis(990));
}
