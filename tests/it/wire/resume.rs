//! Odd responses to a run that resumes another one. A cursor whose meaning has changed costs one walk from the start,
//! and nothing more.

use cloudflare_simulator::{Answer, Fault, Order, Simulator, When};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{LIMIT, is_unordered, move_on, only};
use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::{everything, objects, statuses, truth};
use crate::support::program::{ACCOUNT, Ended, run, simulator, sync};

/// Ends a run while the server holds its n-th request to the namespace.
async fn stop_at(simulator: &Simulator, database: &TestDatabase, namespace: &str, n: u64) -> Ended {
    let hold = simulator.hold_at(namespace, n);
    let child = sync(simulator, database, LIMIT).spawn().unwrap();
    hold.wait_until_held().await;
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    child.wait_with_output().unwrap().into()
}

/// A record, objects that have changed since, and a walk that was stopped after its second page.
async fn interrupted() -> (Simulator, TestDatabase, String) {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 250, 1);
    assert_eq!(run(sync(&simulator, &database, LIMIT)).code, Some(0));
    move_on(&simulator, &namespace);
    let ended = stop_at(&simulator, &database, &namespace, 3).await;
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    (simulator, database, namespace)
}

#[tokio::test]
async fn a_cursor_that_means_nothing_any_more_costs_one_walk() {
    let faults: [(&str, Vec<(When, Fault)>); 4] = [
        // The second refusal is of the cursor before the last id.
        ("refused", vec![(When::First(2), Fault::RefuseCursor)]),
        ("ignored", vec![(When::Nth(1), Fault::IgnoreCursor)]),
        // The page stays empty on a second request; only the checkpoint contradicts it.
        ("at the end", vec![(When::First(2), Fault::empty_end())]),
        (
            "an answer before the checkpoint that would be the last",
            vec![(When::Nth(1), Fault::IgnoreCursor), (When::Nth(1), Fault::truncate())],
        ),
    ];
    for (name, faults) in faults {
        let (simulator, database, namespace) = interrupted().await;
        for (when, fault) in faults {
            simulator.fault(&namespace, when, fault);
        }
        let ended = run(sync(&simulator, &database, LIMIT));
        assert_eq!(ended.code, Some(0), "{name}: {ended:#?}");
        assert!(ended.stderr.contains("starting over"), "{name}: {ended:#?}");
        assert_eq!(
            objects(&database, &namespace).await,
            truth(&simulator, &namespace),
            "{name}"
        );
        assert_eq!(
            statuses(&database, &namespace).await,
            ["complete", "discarded", "complete"],
            "{name}"
        );
        assert!(
            !is_unordered(&database, &namespace).await,
            "{name}: order was not the trouble"
        );
    }
}

#[tokio::test]
async fn a_cursor_that_is_refused_again_ends_the_run_but_not_the_next() {
    let (simulator, database, namespace) = interrupted().await;
    let before = everything(&database, &namespace).await;
    simulator.fault(&namespace, When::Always, Fault::RefuseCursor);
    let ended = run(sync(&simulator, &database, LIMIT));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(
        statuses(&database, &namespace).await,
        ["complete", "discarded", "interrupted"]
    );
    assert_eq!(everything(&database, &namespace).await, before);

    simulator.with_namespace(&namespace, |n| n.faults.clear());
    let ended = run(sync(&simulator, &database, LIMIT));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
}

#[tokio::test]
async fn an_accident_at_the_checkpoint_is_asked_about_again() {
    let (simulator, database, namespace) = interrupted().await;
    simulator.fault(&namespace, When::Nth(1), Fault::empty_end());
    let ended = run(sync(&simulator, &database, LIMIT));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    assert_eq!(
        statuses(&database, &namespace).await,
        ["complete", "complete"],
        "the walk went on"
    );
}

#[tokio::test]
async fn the_row_at_the_checkpoint_may_come_again() {
    let (simulator, database, namespace) = interrupted().await;
    let (id, flag) = simulator.truth(&namespace).into_iter().nth(199).unwrap();
    let flag = Some(flag != Some(true));
    simulator.put_object(&namespace, id, flag);
    let edit = Fault::edit(move |_, page| page.rows.insert(0, (id, flag)));
    simulator.fault(&namespace, When::Nth(1), edit);
    let ended = run(sync(&simulator, &database, LIMIT));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    assert_eq!(statuses(&database, &namespace).await, ["complete", "complete"]);
}

#[tokio::test]
async fn a_page_that_was_spooled_before_costs_one_walk() {
    for faults in [vec![Fault::IgnoreCursor], vec![Fault::IgnoreCursor, Fault::truncate()]] {
        let (simulator, database) = (simulator().await, fresh_database().await);
        let namespace = simulator.add_namespace(ACCOUNT, "room");
        simulator.seed(&namespace, 250, 1);
        simulator.with_namespace(&namespace, |n| n.order = Order::Shuffled(7));
        assert_eq!(run(sync(&simulator, &database, LIMIT)).code, Some(0));
        move_on(&simulator, &namespace);
        assert_eq!(stop_at(&simulator, &database, &namespace, 3).await.code, Some(130));
        for fault in faults {
            simulator.fault(&namespace, When::Nth(1), fault);
        }
        let ended = run(sync(&simulator, &database, LIMIT));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
        assert_eq!(
            statuses(&database, &namespace).await,
            ["discarded", "complete", "discarded", "complete"]
        );
    }
}

/// A page with this row alone and a cursor is not the page after it.
#[tokio::test]
async fn the_row_at_the_checkpoint_alone_costs_one_walk() {
    let (simulator, database, namespace) = interrupted().await;
    let carried = simulator.truth(&namespace).into_iter().nth(199).unwrap();
    let edit = Fault::edit(move |_, page| only(page, carried));
    simulator.fault(&namespace, When::Nth(1), edit);
    let ended = run(sync(&simulator, &database, LIMIT));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    assert_eq!(
        statuses(&database, &namespace).await,
        ["complete", "discarded", "complete"]
    );
}

/// Empty pages whose cursors form a cycle of seven.
fn circle() -> Fault {
    Fault::hook(|request| {
        let at: u8 = request
            .param("cursor")
            .map_or(0, |cursor| (cursor.parse::<u8>().unwrap() + 1) % 7);
        let page = json!({
            "success": true, "errors": [], "messages": [], "result": [],
            "result_info": { "count": 0, "cursor": at.to_string() },
        });
        Some(Answer::json(200, page.to_string()))
    })
}

#[tokio::test]
async fn a_circle_is_found_over_many_runs() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 250, 1);
    simulator.fault(&namespace, When::Always, circle());
    // Each run gets two pages at most, fewer than the cycle has.
    for stopped in 1.. {
        assert!(stopped < 20, "the circle is never found");
        let hold = simulator.hold_at(&namespace, 3);
        let child = sync(&simulator, &database, LIMIT).spawn().unwrap();
        let id = Pid::from_child(&child);
        let stop = tokio::spawn(async move {
            hold.wait_until_held().await;
            kill_process(id, Signal::TERM).unwrap();
        });
        let waited = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
        let ended: Ended = waited.await.unwrap().into();
        stop.abort();
        if ended.code == Some(1) {
            assert!(ended.stdout.contains("repeat themselves"), "{ended:#?}");
            break;
        }
        assert_eq!(ended.code, Some(130), "{ended:#?}");
        simulator.with_namespace(&namespace, |n| {
            n.faults.clear();
            n.faults.add(When::Always, circle());
        });
    }
    assert_eq!(statuses(&database, &namespace).await, ["failed"], "one walk in all");
}

#[tokio::test]
async fn an_empty_end_does_not_cut_a_baseline_that_is_resumed() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 250, 1);
    assert_eq!(stop_at(&simulator, &database, &namespace, 2).await.code, Some(130));
    simulator.fault(&namespace, When::First(2), Fault::empty_end());
    let ended = run(sync(&simulator, &database, LIMIT));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("starting over"), "{ended:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    assert_eq!(statuses(&database, &namespace).await, ["discarded", "complete"]);
}
