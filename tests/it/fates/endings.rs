//! Walks that do not come to a proven end: interrupted ones are resumed, unless that helps nothing.

use cloudflare_simulator::{Answer, CursorStyle, Fault, Simulator, When, hex};

use super::LIMIT;
use crate::support::account::outcomes;
use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::{objects, statuses, texts, truth};
use crate::support::program::{ACCOUNT, Ended, run, simulator, sync};

/// A namespace of 50 pages, not yet recorded.
async fn large() -> (Simulator, TestDatabase, String) {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 500, 1);
    (simulator, database, namespace)
}

fn walk(simulator: &Simulator, database: &TestDatabase) -> Ended {
    run(sync(simulator, database, &[LIMIT, &["--retry-for", "1ms"]].concat()))
}

/// None of these says that the pages before it are wrong.
#[tokio::test]
async fn one_odd_response_costs_no_committed_page() {
    for answer in [
        Answer::error(403, 10000, "Authentication error"),
        Answer::new(403, "text/plain", "error code: 1010"),
        Answer::error(401, 10000, "Authentication error"),
        Answer::error(200, 10013, "unknown error"),
        Answer::redirect("https://example.com/portal"),
        Answer::new(404, "text/plain", "404 page not found"),
        Answer::error(404, 10066, "not found"),
        Answer::new(425, "text/plain", "too early"),
        Answer::new(499, "text/plain", "closed"),
        Answer::error(418, 1, "short and stout"),
        Answer::html(200),
        Answer::json(200, "[]"),
        Answer::json(200, r#"{"success":true,"errors":[],"messages":[],"result":null}"#),
    ] {
        let (simulator, database, namespace) = large().await;
        simulator.fault(&namespace, When::Nth(30), Fault::Answer(answer.clone()));
        let ended = walk(&simulator, &database);
        if ended.code != Some(0) {
            assert_eq!(outcomes(&ended), ["interrupted"], "{answer:?}: {ended:#?}");
            let before = simulator.requests_to(&namespace).len();
            let ended = walk(&simulator, &database);
            assert_eq!(ended.code, Some(0), "{answer:?}: {ended:#?}");
            assert_eq!(ended.json()["namespaces"][0]["resumed"], 1, "{answer:?}");
            let requests = simulator.requests_to(&namespace).len() - before;
            assert_eq!(requests, 21, "{answer:?}: pages 30 to 50");
        }
        assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
        assert_eq!(
            statuses(&database, &namespace).await,
            ["complete"],
            "{answer:?}: one walk"
        );
    }
}

/// A page that is refused for ever: the walk is resumed twice, and then starts over.
#[tokio::test]
async fn a_walk_that_was_resumed_twice_for_nothing_starts_over() {
    let (simulator, database, namespace) = large().await;
    // The 30th page is refused by its cursor, which a firewall might take for an attack.
    let cursor = hex(truth_key(&simulator, &namespace, 289).as_slice());
    let refused = cursor.clone();
    let refuse = Fault::hook(move |request| {
        let is_refused = request.param("cursor") == Some(refused.as_str());
        is_refused.then(|| Answer::error(403, 10000, "Authentication error"))
    });
    simulator.fault(&namespace, When::Always, refuse);
    for resumed in 0..3 {
        let before = simulator.requests_to(&namespace).len();
        let ended = walk(&simulator, &database);
        assert_eq!(outcomes(&ended), ["interrupted"], "{ended:#?}");
        assert_eq!(ended.json()["namespaces"][0]["resumed"], resumed, "{ended:#?}");
        let requests = simulator.requests_to(&namespace)[before..].to_vec();
        assert_eq!(requests.last().unwrap().param("cursor"), Some(cursor.as_str()));
        assert_eq!(requests.len() == 1, resumed > 0, "{requests:?}");
    }
    // Started over, the walk may have other cursors.
    simulator.put_object(&namespace, [0; 32], Some(true));
    let ended = walk(&simulator, &database);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.json()["namespaces"][0]["resumed"], 0, "{ended:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    assert_eq!(statuses(&database, &namespace).await, ["discarded", "complete"]);
    let why = "select error from inventory.snapshots where namespace_id = $1 and status = 'discarded'";
    let why = texts(&database, why, &namespace).await;
    assert!(
        why[0].contains("resumed in two runs without committing a page"),
        "{why:?}"
    );
}

/// The id at this place of the truth, as bytes.
fn truth_key(simulator: &Simulator, namespace: &str, place: usize) -> [u8; 32] {
    simulator.truth(namespace).into_keys().nth(place).unwrap()
}

#[tokio::test]
async fn a_page_in_between_counts_as_progress() {
    let (simulator, database, namespace) = large().await;
    let refusal = || Fault::Answer(Answer::error(403, 10000, "Authentication error"));
    // Each run but the first gets one page further.
    simulator.fault(&namespace, When::Nth(30), refusal());
    for n in 0..5 {
        let ended = walk(&simulator, &database);
        assert_eq!(outcomes(&ended), ["interrupted"], "{ended:#?}");
        assert_eq!(ended.json()["namespaces"][0]["resumed"], n, "{ended:#?}");
        simulator.with_namespace(&namespace, |namespace| {
            namespace.faults.clear();
            namespace.faults.add(When::Nth(2), refusal());
        });
    }
    simulator.with_namespace(&namespace, |namespace| namespace.faults.clear());
    let ended = walk(&simulator, &database);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(statuses(&database, &namespace).await, ["complete"]);
}

/// A run that a deadline stops before its first page is no sign that the page is refused.
#[tokio::test]
async fn a_stopped_run_does_not_count_as_a_refused_page() {
    let (simulator, database, namespace) = large().await;
    simulator.fault(&namespace, When::Nth(30), Fault::Answer(Answer::html(200)));
    assert_ne!(walk(&simulator, &database).code, Some(0));
    for _ in 0..3 {
        let hold = simulator.hold_at(&namespace, 1);
        let ended = run(sync(&simulator, &database, &[LIMIT, &["--deadline", "2s"]].concat()));
        hold.release();
        assert_eq!(ended.code, Some(3), "{ended:#?}");
        assert_eq!(outcomes(&ended), ["interrupted"]);
    }
    let ended = walk(&simulator, &database);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(statuses(&database, &namespace).await, ["complete"]);
}

/// Opaque cursors that expire, as often as each attempt gets further.
#[tokio::test]
async fn refused_cursors_start_a_walk_over_as_long_as_it_gets_further() {
    let (simulator, database, namespace) = large().await;
    simulator.with_namespace(&namespace, |n| n.cursor_style = CursorStyle::Opaque);
    let expired = || Fault::Answer(Answer::error(400, 10001, "cursor expired"));
    // The first attempt ends at page 20, the second at page 40.
    simulator.fault(&namespace, When::Nth(20), expired());
    simulator.fault(&namespace, When::Nth(60), expired());
    let ended = walk(&simulator, &database);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));

    // The second attempt gets no further than the first.
    simulator.with_namespace(&namespace, |n| n.faults.clear());
    simulator.fault(&namespace, When::Nth(20), expired());
    simulator.fault(&namespace, When::Nth(35), expired());
    let ended = walk(&simulator, &database);
    assert_eq!(outcomes(&ended), ["interrupted"], "{ended:#?}");
    let ended = walk(&simulator, &database);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
}

/// New objects come faster than they are read: the run says so, once.
#[tokio::test]
async fn a_listing_that_grows_faster_than_it_is_read_is_reported() {
    let (simulator, database, namespace) = large().await;
    assert_eq!(walk(&simulator, &database).code, Some(0));
    simulator.seed(&namespace, 16_000, 2);
    let ended = run(sync(&simulator, &database, &["--limit", "1000", "--accept-removals"]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(
        ended.stderr.matches("grows faster than it is read").count(),
        1,
        "{ended:#?}"
    );
    let ended = run(sync(&simulator, &database, &["--limit", "1000"]));
    assert!(!ended.stderr.contains("grows faster"), "{ended:#?}");
}
