//! Cursors that expire, last pages that are full, and pages that the API can't serve in time.

use std::sync::atomic::{AtomicUsize, Ordering};

use cloudflare_simulator::{Answer, CursorKey, CursorStyle, Fault, Request, Simulator, When, hex};
use serde_json::json;

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::{objects, statuses, texts, truth};
use crate::support::program::{ACCOUNT, Ended, run, simulator, sync};

pub async fn room(count: usize) -> (Simulator, TestDatabase, String) {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, count, 1);
    (simulator, database, namespace)
}

pub async fn assert_recorded(ended: &Ended, simulator: &Simulator, database: &TestDatabase, namespace: &str) {
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(objects(database, namespace).await, truth(simulator, namespace));
}

fn limits(simulator: &Simulator, namespace: &str) -> Vec<u64> {
    let sent = simulator.requests_to(namespace);
    sent.iter()
        .map(|request| request.param("limit").unwrap().parse().unwrap())
        .collect()
}

async fn remembered(database: &TestDatabase, namespace: &str) -> Vec<String> {
    let sql = "select coalesce(page_limit::text, 'any') from inventory.namespace where namespace_id = $1";
    texts(database, sql, namespace).await
}

/// Each refusal costs two requests, and no page is requested again.
#[tokio::test]
async fn a_cursor_that_expires_costs_no_page() {
    for status in [400, 410, 422] {
        let (simulator, database, namespace) = room(300).await;
        for nth in [5, 12, 20] {
            let expired = Answer::error(status, 10001, "cursor has expired");
            simulator.fault(&namespace, When::Nth(nth), Fault::Answer(expired));
        }
        let ended = run(sync(&simulator, &database, &["--limit", "10"]));
        assert_recorded(&ended, &simulator, &database, &namespace).await;
        assert_eq!(statuses(&database, &namespace).await, ["complete"], "HTTP {status}");
        let outcome = &ended.json()["namespaces"][0];
        // Each of the three pages after an expired cursor begins with a row that was there already.
        assert_eq!(outcome["pages"], 31, "{ended:#?}");
        assert_eq!(simulator.requests_to(&namespace).len(), 34, "{ended:#?}");
        assert_eq!(outcome["requests"], 34);
    }
}

/// A response that does not begin with the last id proves nothing, so the walk starts over.
#[tokio::test]
async fn an_expired_cursor_is_not_replaced_without_proof() {
    let (simulator, database, namespace) = room(100).await;
    let hook = |request: &Request| {
        let expired = Answer::error(410, 10001, "cursor has expired");
        request.param("cursor").map(|_| expired)
    };
    simulator.fault(&namespace, When::Nth(5), Fault::hook(hook));
    let skip_a_row = Fault::edit(|_, page| {
        page.rows.remove(0);
    });
    simulator.fault(&namespace, When::Nth(6), skip_a_row);
    let ended = run(sync(&simulator, &database, &["--limit", "10"]));
    assert_recorded(&ended, &simulator, &database, &namespace).await;
    assert_eq!(statuses(&database, &namespace).await, ["discarded", "complete"]);
}

/// The API hands out opaque cursors, and none with a last page that is full.
#[tokio::test]
async fn a_full_last_page_is_proven_by_two_smaller_ones() {
    let (simulator, database, namespace) = room(450).await;
    simulator.with_namespace(&namespace, |namespace| {
        namespace.cursor_style = CursorStyle::Opaque;
        namespace.cursor_key = CursorKey::AbsentAtEnd;
    });
    let ended = run(sync(&simulator, &database, &["--limit", "150"]));
    assert_recorded(&ended, &simulator, &database, &namespace).await;
    assert_eq!(limits(&simulator, &namespace), [150, 150, 150, 150, 149, 149]);
}

#[tokio::test]
async fn an_end_that_two_smaller_pages_do_not_prove_stays_unproven() {
    type Lie = fn(&mut cloudflare_simulator::Page);
    let lies: [(&str, u64, Lie); 3] = [
        ("a row fewer", 5, |page| {
            page.rows.remove(0);
        }),
        ("no cursor", 5, |page| page.cursor = cloudflare_simulator::Field::Absent),
        ("nothing left", 6, |page| page.rows.clear()),
    ];
    for (lie, nth, change) in lies {
        let (simulator, database, namespace) = room(450).await;
        simulator.with_namespace(&namespace, |namespace| {
            namespace.cursor_style = CursorStyle::Opaque;
            namespace.cursor_key = CursorKey::AbsentAtEnd;
        });
        simulator.fault(&namespace, When::Nth(nth), Fault::edit(move |_, page| change(page)));
        let ended = run(sync(&simulator, &database, &["--limit", "150"]));
        assert_eq!(ended.code, Some(1), "{lie}: {ended:#?}");
        let error = ended.json()["namespaces"][0]["error"].to_string();
        assert!(
            error.contains("the end can't be proven: use --limit 149"),
            "{lie}: {error}"
        );
        assert_eq!(statuses(&database, &namespace).await, ["interrupted"], "{lie}");
        let again = run(sync(&simulator, &database, &["--limit", "149"]));
        assert_recorded(&again, &simulator, &database, &namespace).await;
    }
}

/// Pages of fewer than a hundred objects are never requested, unless the user said so.
#[tokio::test]
async fn a_small_full_last_page_is_not_divided() {
    let (simulator, database, namespace) = room(40).await;
    simulator.with_namespace(&namespace, |namespace| {
        namespace.cursor_style = CursorStyle::Opaque;
        namespace.cursor_key = CursorKey::AbsentAtEnd;
    });
    let ended = run(sync(&simulator, &database, &["--limit", "10"]));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("use --limit 101"), "{ended:#?}");
    assert_eq!(limits(&simulator, &namespace), [10; 5]);
}

/// 504 for pages of more than `most` objects.
fn too_slow_above(most: u64) -> Fault {
    Fault::hook(move |request| {
        let limit: u64 = request.param("limit").unwrap().parse().unwrap();
        (limit > most).then(|| Answer::html(504))
    })
}

#[tokio::test]
async fn pages_that_are_too_large_for_the_api_become_smaller() {
    let (simulator, database, namespace) = room(2_000).await;
    simulator.fault(&namespace, When::From(2), too_slow_above(300));
    // The slow pages take longer than that together, and each size has a budget of its own.
    let ended = run(sync(&simulator, &database, &["--limit", "1000", "--retry-for", "4s"]));
    assert_recorded(&ended, &simulator, &database, &namespace).await;
    assert_eq!(statuses(&database, &namespace).await, ["complete"]);
    assert!(ended.stderr.contains("requesting pages of 250 objects"), "{ended:#?}");
    let expected = [&[1000; 4][..], &[500; 3], &[250; 4]].concat();
    assert_eq!(limits(&simulator, &namespace), expected, "{ended:#?}");
    assert_eq!(ended.json()["namespaces"][0]["requests"], expected.len());
    assert_eq!(remembered(&database, &namespace).await, ["250"]);

    let next_run = async || {
        simulator.with(|state| state.traffic.requests.clear());
        let again = run(sync(&simulator, &database, &["--limit", "1000"]));
        assert_recorded(&again, &simulator, &database, &namespace).await;
        limits(&simulator, &namespace)
    };
    assert_eq!(next_run().await, [250; 8]);
    assert_eq!(next_run().await, [250; 8]);
    let expected = [&[500; 3][..], &[250; 8]].concat();
    assert_eq!(next_run().await, expected, "a larger size is tried after three walks");
    simulator.with_namespace(&namespace, |namespace| namespace.faults.clear());
    let mut first = Vec::new();
    for _ in 0..7 {
        first.push(next_run().await[0]);
    }
    assert_eq!(first, [250, 250, 500, 500, 500, 1000, 1000]);
    assert_eq!(remembered(&database, &namespace).await, ["any"]);
}

/// An outage that looks like slow pages leaves the walk with large ones.
#[tokio::test]
async fn after_an_outage_pages_are_as_large_as_before() {
    let (simulator, database, namespace) = room(6_000).await;
    simulator.fault(&namespace, When::Nth(2), Fault::Answer(Answer::html(524)));
    for nth in 3..=7 {
        simulator.fault(&namespace, When::Nth(nth), Fault::Answer(Answer::html(504)));
    }
    let ended = run(sync(&simulator, &database, &["--limit", "400"]));
    assert_recorded(&ended, &simulator, &database, &namespace).await;
    // One page, 800 and 1,600 objects in small pages, and the rest in large ones.
    let expected = [&[400; 4][..], &[200; 3], &[100; 8], &[200; 8], &[400; 8]].concat();
    assert_eq!(limits(&simulator, &namespace), expected, "{ended:#?}");
    assert_eq!(remembered(&database, &namespace).await, ["any"]);
}

/// A limit that the user chose is the largest: what another run remembered does not raise it.
#[tokio::test]
async fn a_remembered_page_size_never_raises_the_limit() {
    let (simulator, database, namespace) = room(600).await;
    simulator.fault(&namespace, When::Always, too_slow_above(300));
    let ended = run(sync(&simulator, &database, &["--limit", "600"]));
    assert_recorded(&ended, &simulator, &database, &namespace).await;
    simulator.with(|state| state.traffic.requests.clear());
    let again = run(sync(&simulator, &database, &["--limit", "200"]));
    assert_recorded(&again, &simulator, &database, &namespace).await;
    assert_eq!(limits(&simulator, &namespace), [200; 3]);
}

/// A cursor that counts pages means something else with another page size: the walk notices and starts over.
#[tokio::test]
async fn a_cursor_that_counts_pages_does_not_survive_smaller_pages() {
    let (simulator, database, namespace) = room(2_000).await;
    let ids: Vec<String> = simulator.truth(&namespace).keys().map(|id| hex(id)).collect();
    let requests = AtomicUsize::new(0);
    let pages = Fault::hook(move |request| {
        let limit: usize = request.param("limit").unwrap().parse().unwrap();
        if requests.fetch_add(1, Ordering::Relaxed) >= 2 && limit > 300 {
            return Some(Answer::html(504));
        }
        let number: usize = request.param("cursor").map_or(0, |cursor| cursor[1..].parse().unwrap());
        let rows = ids.iter().skip(number * limit).take(limit);
        let rows: Vec<_> = rows.map(|id| json!({ "id": id, "hasStoredData": true })).collect();
        let is_last = (number + 1) * limit >= ids.len();
        let cursor = if is_last {
            String::new()
        } else {
            format!("p{}", number + 1)
        };
        let info = json!({ "count": rows.len(), "cursor": cursor });
        let body = json!({ "success": true, "errors": [], "messages": [], "result": rows, "result_info": info });
        Some(Answer::json(200, body.to_string()))
    });
    simulator.fault(&namespace, When::Always, pages);
    let ended = run(sync(&simulator, &database, &["--limit", "500"]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.json()["namespaces"][0]["objects"], 2_000);
    assert_eq!(statuses(&database, &namespace).await, ["discarded", "complete"]);
}
