//! Several cursors on one namespace: as exact as one and faster if the API is slow. The walk falls back to one cursor
//! if the API misreads a constructed cursor.

mod exact;
mod killed;

use std::time::{Duration, Instant};

use cloudflare_simulator::{CursorStyle, Fault, Order, Page, Request, Simulator, When};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::{objects, statuses, texts, truth};
use crate::support::program::{ACCOUNT, Ended, program, run, simulator};

/// Full speed, in pages of ten.
const SYNC: [&str; 7] = ["sync", "--output", "json", "--quota", "1000000/1s", "--limit", "10"];

/// A boundary's cursor is constructed: the leading 64 bits of an id, followed by zeros.
fn is_seam(request: &Request) -> bool {
    request
        .param("cursor")
        .is_some_and(|cursor| cursor.ends_with(&"0".repeat(48)))
}

/// A namespace of 1,500 objects, which is 150 pages.
async fn large() -> (Simulator, TestDatabase, String) {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 1_500, 1);
    (simulator, database, namespace)
}

fn sync_on(simulator: &Simulator, database: &TestDatabase, cursors: &str) -> Ended {
    simulator.with(|state| state.traffic.requests.clear());
    let args = [&SYNC[..], &["--cursors", cursors]].concat();
    run(program(simulator, database, &args))
}

async fn remembers_one_cursor(database: &TestDatabase, namespace: &str) -> bool {
    let sql = "select one_cursor::text from inventory.namespace where namespace_id = $1";
    texts(database, sql, namespace).await == ["true"]
}

#[tokio::test]
async fn several_cursors_see_what_one_sees_and_wait_less() {
    let (simulator, one_by_one, namespace) = large().await;
    simulator.with(|state| state.latency = Duration::from_millis(60));
    let begun = Instant::now();
    assert_eq!(sync_on(&simulator, &one_by_one, "1").code, Some(0));
    let alone = begun.elapsed();
    let requests = simulator.requests_to(&namespace).len();
    assert_eq!(requests, 150);

    let database = fresh_database().await;
    let begun = Instant::now();
    let ended = sync_on(&simulator, &database, "8");
    let together = begun.elapsed();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("reading on several cursors"), "{ended:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    assert!(together * 2 < alone, "{together:?} on eight cursors, {alone:?} on one");
    // The boundaries add requests: ranges are at most eight pages long, and each may cost up to two more.
    let sent = simulator.requests_to(&namespace).len();
    assert!(sent < requests * 4 / 3, "{sent} requests instead of {requests}");
    let told = &ended.json()["namespaces"][0];
    assert_eq!(told["requests"], sent, "{told}");

    simulator.with_namespace(&namespace, |namespace| {
        let gone: Vec<_> = namespace.objects_mut().keys().copied().step_by(7).collect();
        namespace.objects_mut().retain(|id, _| !gone.contains(id));
    });
    let ended = sync_on(&simulator, &database, "8");
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.json()["namespaces"][0]["removed"], 215);
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
}

#[tokio::test]
async fn auto_is_several_cursors_where_the_answers_are_slow() {
    let (simulator, database, _) = large().await;
    simulator.with(|state| state.latency = Duration::from_millis(100));
    let ended = sync_on(&simulator, &database, "auto");
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("reading on several cursors"), "{ended:#?}");
}

#[tokio::test]
async fn a_small_namespace_is_read_on_one_cursor() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 150, 1);
    assert_eq!(sync_on(&simulator, &database, "8").code, Some(0));
    assert_eq!(simulator.requests_to(&namespace).len(), 15);
}

#[tokio::test]
async fn cursors_that_are_no_ids_are_not_made_up() {
    let (simulator, database, namespace) = large().await;
    simulator.with_namespace(&namespace, |namespace| namespace.cursor_style = CursorStyle::Opaque);
    assert_eq!(sync_on(&simulator, &database, "8").code, Some(0));
    assert_eq!(simulator.requests_to(&namespace).len(), 150);
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    assert!(!remembers_one_cursor(&database, &namespace).await);
}

/// Whatever the API mistakes a constructed cursor for, the walk completes correctly on one cursor, and the fallback is
/// remembered.
#[tokio::test]
async fn a_made_up_cursor_that_means_something_else_is_given_up() {
    type Lie = fn(&Request, &mut Page);
    let seams: [(&str, Lie); 4] = [
        ("the first row is left out", |_, page| {
            page.rows.remove(0);
        }),
        ("a row in the middle is left out", |_, page| {
            page.rows.remove(5);
        }),
        ("the end of the list", |_, page| {
            page.rows.clear();
            page.set_next("");
        }),
        ("a page without rows, for ever", |request, page| {
            page.rows.clear();
            page.set_next(request.param("cursor").unwrap_or_default());
        }),
    ];
    for (name, lie) in seams {
        let (simulator, database, namespace) = large().await;
        let edit = Fault::edit(move |request, page| {
            if is_seam(request) {
                lie(request, page);
                page.count = page.rows.len();
            }
        });
        simulator.fault(&namespace, When::Always, edit);
        is_given_up(name, &simulator, &database, &namespace).await;
    }
    // The second request is the probe. An unexpected response is requested once more, after the page that it is
    // compared with.
    for (name, fault, probes) in [
        ("refused", Fault::RefuseCursor, &[2][..]),
        ("ignored", Fault::IgnoreCursor, &[2, 4]),
    ] {
        let (simulator, database, namespace) = large().await;
        for n in probes {
            simulator.fault(&namespace, When::Nth(*n), fault.clone());
        }
        is_given_up(name, &simulator, &database, &namespace).await;
    }
}

async fn is_given_up(name: &str, simulator: &Simulator, database: &TestDatabase, namespace: &str) {
    let ended = sync_on(simulator, database, "8");
    assert_eq!(ended.code, Some(0), "{name}: {ended:#?}");
    assert!(
        ended.stderr.contains("continuing with one cursor"),
        "{name}: {ended:#?}"
    );
    assert_eq!(
        objects(database, namespace).await,
        truth(simulator, namespace),
        "{name}"
    );
    assert_eq!(statuses(database, namespace).await, ["complete"], "{name}");
    assert!(remembers_one_cursor(database, namespace).await, "{name}");
    assert_eq!(sync_on(simulator, database, "8").code, Some(0), "{name}");
    assert_eq!(
        simulator.requests_to(namespace).len(),
        150,
        "{name}: it was tried again"
    );
}

/// If objects are added or removed at a boundary between its two readings, the walk still keeps its ranges.
#[tokio::test]
async fn a_seam_is_read_once_more_before_it_is_given_up() {
    let (simulator, database, namespace) = large().await;
    let lie = Fault::edit(|request, page| {
        if is_seam(request) {
            page.rows.remove(0);
            page.count = page.rows.len();
        }
    });
    // The probe, then one page by the API's own cursor, then the first page of every range.
    simulator.fault(&namespace, When::First(11), lie);
    let ended = sync_on(&simulator, &database, "8");
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(!ended.stderr.contains("one cursor"), "{ended:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
}

/// A walk on a single cursor could not detect this premature end.
#[tokio::test]
async fn an_end_that_another_range_contradicts_is_not_believed() {
    let (simulator, database, namespace) = large().await;
    assert_eq!(sync_on(&simulator, &database, "8").code, Some(0));
    let before = objects(&database, &namespace).await;
    let end_early = Fault::edit(|_, page| {
        if page.rows.first().is_some_and(|row| row.0[0] == 0x40) {
            page.set_next("");
        }
    });
    simulator.fault(&namespace, When::Always, end_early);
    let ended = sync_on(&simulator, &database, "8");
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains("reported the end of the list, but lists more objects"),
        "{ended:#?}"
    );
    assert_eq!(objects(&database, &namespace).await, before);
}

#[tokio::test]
async fn without_order_ranges_are_of_no_use() {
    let (simulator, database, namespace) = large().await;
    simulator.with_namespace(&namespace, |namespace| namespace.order = Order::BrokenAt(700));
    for _ in 0..2 {
        let ended = sync_on(&simulator, &database, "8");
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    }
}
