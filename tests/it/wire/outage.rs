//! What an outage, a wrong address and an exhausted quota cost.

use std::time::{Duration, Instant};

use cloudflare_simulator::{Answer, Fault, When};
use serde_json::json;

use super::{case, check};
use crate::support::account::{account, outcomes};
use crate::support::database::fresh_database;
use crate::support::figures::report;
use crate::support::ledger::{objects, truth};
use crate::support::program::{ACCOUNT, run, simulator, sync};

/// What one namespace has learned counts for the others, so 40 of them don't wait ten times in a row.
#[tokio::test]
async fn an_outage_costs_one_budget_however_many_namespaces_there_are() {
    let (simulator, database, namespaces) = account(40).await;
    for namespace in &namespaces {
        simulator.fault(namespace, When::Always, Fault::Answer(Answer::html(503)));
    }
    let began = Instant::now();
    let ended = run(sync(
        &simulator,
        &database,
        &["--retry-for", "3s", "--concurrency", "4"],
    ));
    let took = began.elapsed();
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(outcomes(&ended), ["interrupted"; 40], "{ended:#?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    // Each is tried, because the fault may be another's.
    for namespace in &namespaces[10..] {
        // Twice if the first four gave up because their next wait was long, and the budget has a second left.
        let sent = simulator.requests_to(namespace).len();
        assert!((1..=2).contains(&sent), "{sent} requests: {ended:#?}");
    }
    assert!(
        ended.stdout.contains("no request to the API has succeeded for"),
        "{ended:#?}"
    );
    for namespace in &namespaces {
        simulator.with_namespace(namespace, |n| n.faults.clear());
    }
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
}

/// A namespace that always fails is no outage for those after it.
#[tokio::test]
async fn one_broken_namespace_costs_the_others_nothing() {
    let (simulator, database, namespaces) = account(3).await;
    simulator.fault(&namespaces[0], When::Always, Fault::Answer(Answer::html(503)));
    // These recover at their second attempt.
    simulator.fault(&namespaces[2], When::First(1), Fault::Answer(Answer::html(503)));
    let ended = run(sync(
        &simulator,
        &database,
        &["--retry-for", "2s", "--concurrency", "1"],
    ));
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(outcomes(&ended), ["interrupted", "complete", "complete"], "{ended:#?}");
    for namespace in &namespaces[1..] {
        assert_eq!(objects(&database, namespace).await, truth(&simulator, namespace));
    }
}

/// Until the API has responded once, the address may be wrong, and a longer wait would not help.
#[tokio::test]
async fn an_address_where_something_else_responds_is_given_up_soon() {
    let (simulator, database, _) = account(1).await;
    for (n, elsewhere) in [
        Answer::html(200),
        Answer::html(403),
        Answer::redirect("https://login.example/"),
        Answer::new(404, "text/plain", "404 page not found"),
        Answer::json(200, json!({ "message": "hello" }).to_string()),
    ]
    .into_iter()
    .enumerate()
    {
        simulator.list_fault(ACCOUNT, When::Always, Fault::Answer(elsewhere));
        let ended = run(sync(&simulator, &database, &[]));
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        let why = ended.json()["accounts_failed"][0]["error"].as_str().unwrap().to_owned();
        assert!(
            why.contains("not the API") && why.contains("in 3 attempts: check the API base URL, the proxy"),
            "{why}"
        );
        assert_eq!(simulator.requests().len(), 3 * (n + 1), "{ended:#?}");
        simulator.with(|state| state.accounts.get_mut(ACCOUNT).unwrap().faults.clear());
    }
    // A gateway whose backend is down says so, and is waited for.
    simulator.list_fault(ACCOUNT, When::First(4), Fault::Answer(Answer::html(521)));
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

/// Every kind of response that says nothing about the walk.
fn odd_responses() -> Vec<Fault> {
    let answer = Fault::Answer;
    let zipped = |page: &mut Answer| page.headers.push(("content-encoding".to_owned(), "x-gzip".to_owned()));
    vec![
        answer(Answer::html(200)),
        answer(Answer::html(403)),
        answer(Answer::html(404)),
        answer(Answer::html(410)),
        answer(Answer::html(503)),
        answer(Answer::html(520)),
        answer(Answer::redirect("https://login.example/")),
        answer(Answer::new(401, "text/plain", "Unauthorized")),
        answer(Answer::new(403, "text/plain", "error code: 1010")),
        answer(Answer::new(403, "text/plain", "error code: 1015").header("retry-after", "0.5")),
        answer(Answer::new(425, "text/plain", "")),
        answer(Answer::new(499, "text/plain", "")),
        answer(Answer::error(200, 10013, "An unknown error has occurred")),
        answer(Answer::error(401, 10000, "Authentication error")),
        answer(Answer::error(403, 10000, "Authentication error")),
        answer(Answer::error(500, 1, "later")),
        Fault::too_many(Some("1")),
        Fault::body(""),
        Fault::body("[]"),
        Fault::rewrite(zipped),
        Fault::Reset,
        Fault::CutBody(300),
    ]
}

/// 2% of the pages are odd at first.
#[tokio::test]
async fn a_long_walk_through_odd_responses_completes_in_one_run() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let [clean, odd] = ["clean", "odd"].map(|name| simulator.add_namespace(ACCOUNT, name));
    for namespace in [&clean, &odd] {
        simulator.seed(namespace, 10_000, 1);
    }
    let faults = odd_responses();
    let count = faults.len();
    for (n, fault) in faults.into_iter().enumerate() {
        // Never two in a row, nor at regular distances.
        let request = (n * 46 + n * n % 23 + 2) as u64;
        simulator.fault(&odd, When::Nth(request), fault);
    }
    let walk = |name| {
        let began = Instant::now();
        let ended = run(sync(&simulator, &database, &["--limit", "10", "--namespace", name]));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        (began.elapsed(), ended)
    };
    let ((without, _), (with, ended)) = (walk("clean"), walk("odd"));
    let told = &ended.json()["namespaces"][0];
    assert_eq!((&told["pages"], &told["resumed"]), (&json!(1_000), &json!(0)), "{told}");
    assert_eq!(told["requests"], json!(1_000 + count), "one retry each");
    assert_eq!(objects(&database, &odd).await, truth(&simulator, &odd));
    // The first delay of the back-off is at most a second, and a pause as long.
    let delays = Duration::from_secs(2) * count as u32;
    report(&format!(
        "1,000 pages: {without:.1?}; with {count} odd responses: {with:.1?}, of which delays are at most {delays:?}"
    ));
    assert!(with < without * 2 + delays, "{with:?} instead of {without:?}");
}

#[tokio::test]
async fn no_response_and_no_window_is_waited_for_without_end() {
    check([
        // A byte at a time would take most of an hour, though each arrives in time.
        case("the body drips", |s, n| {
            s.fault(n, When::Nth(2), Fault::SlowBody(1, Duration::from_millis(300)));
        })
        .args(&["--read-timeout", "1s"])
        .in_requests(4)
        .logs("the response did not end within 10 s: retrying"),
        case("a daily quota is used up", |s, n| {
            s.fault(n, When::Nth(1), used_up());
        })
        .args(&["--retry-for", "2s"])
        .ends_interrupted(&[
            "page 2",
            "the token's quota is nearly used up",
            "gave up before the first attempt",
            "the pause lasts another",
        ])
        .logs("no requests until the next window"),
    ])
    .await;
}

fn used_up() -> Fault {
    Fault::rewrite(|answer| {
        let there = std::mem::replace(answer, Answer::empty_list());
        *answer = there
            .header("ratelimit", r#""daily";r=0;t=43200"#)
            .header("ratelimit-policy", r#""daily";q=10000;w=86400"#);
    })
}

/// One line about the quota, whatever the number of namespaces that it stops.
#[tokio::test]
async fn a_quota_that_is_used_up_is_one_warning() {
    let (simulator, database, namespaces) = account(6).await;
    simulator.fault(&namespaces[0], When::Nth(1), used_up());
    let ended = run(sync(
        &simulator,
        &database,
        &["--retry-for", "2s", "--quiet", "--concurrency", "1"],
    ));
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(outcomes(&ended)[1..], ["interrupted"; 5], "{ended:#?}");
    assert_eq!(
        ended.stderr.matches("no requests until the next window").count(),
        1,
        "{ended:#?}"
    );
    assert_eq!(simulator.requests().len(), 2, "{ended:#?}");
}
