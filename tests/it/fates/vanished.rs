//! Namespaces that vanish: one in the middle of its walk, some, or many at once.

use cloudflare_simulator::{Answer, Fault, Namespace, Simulator, When};
use serde_json::json;

use super::{LIMIT, recorded};
use crate::support::account::{list_requests, missing, outcomes};
use crate::support::database::TestDatabase;
use crate::support::ledger::{everything, objects, statuses, texts, truth};
use crate::support::program::{ACCOUNT, Ended, program, run, sync};

fn not_found() -> Fault {
    Fault::Answer(Answer::error(404, 10066, "Durable Object namespace not found"))
}

/// Takes a namespace off the list from the second request for the list on, and deletes its objects at the `page`-th
/// request for them.
fn delete_in_walk(simulator: &Simulator, namespaces: &[String], page: u64) {
    let gone = namespaces.to_vec();
    let shorter = Fault::json(move |list| {
        let rows = list["result"].as_array_mut().unwrap();
        rows.retain(|row| !gone.iter().any(|gone| row["id"] == gone.as_str()));
        let listed = json!(rows.len());
        list["result_info"]["count"] = listed.clone();
        list["result_info"]["total_count"] = listed;
    });
    simulator.list_fault(ACCOUNT, When::From(2), shorter);
    for namespace in namespaces {
        simulator.fault(namespace, When::From(page), not_found());
    }
}

fn take_back(simulator: &Simulator, namespaces: &[String]) {
    simulator.with(|state| state.accounts.get_mut(ACCOUNT).unwrap().faults.clear());
    for namespace in namespaces {
        simulator.with_namespace(namespace, |n| n.faults.clear());
    }
}

#[tokio::test]
async fn a_namespace_that_is_deleted_in_mid_walk_is_missing() {
    for page in [1, 2, 3] {
        let (simulator, database, namespaces) = recorded(5).await;
        let before = everything(&database, &namespaces[1]).await;
        let lists = list_requests(&simulator);
        delete_in_walk(&simulator, &namespaces[1..2], page);
        let ended = run(sync(&simulator, &database, LIMIT));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(outcomes(&ended)[1], "missing", "{ended:#?}");
        assert_eq!(list_requests(&simulator) - lists, 2, "the list was requested once more");
        assert_eq!(missing(&database).await, ["n1"]);
        assert_eq!(statuses(&database, &namespaces[1]).await, ["complete", "discarded"]);
        assert_eq!(everything(&database, &namespaces[1]).await, before);
    }
}

/// Without a whole list that lacks it, a namespace is not missing. The number of lists is bounded.
#[tokio::test]
async fn a_404_in_mid_walk_is_checked_against_a_whole_list() {
    for list in [None, Some(Answer::html(503)), Some(Answer::error(403, 9109, "no"))] {
        let (simulator, database, namespaces) = recorded(8).await;
        for namespace in &namespaces[..6] {
            simulator.fault(namespace, When::From(2), not_found());
        }
        if let Some(answer) = &list {
            simulator.list_fault(ACCOUNT, When::From(2), Fault::Answer(answer.clone()));
        }
        let lists = list_requests(&simulator);
        let ended = run(sync(
            &simulator,
            &database,
            &[LIMIT, &["--concurrency", "1", "--retry-for", "1ms"]].concat(),
        ));
        assert_eq!(ended.code, Some(3), "{list:?}: {ended:#?}");
        assert_eq!(outcomes(&ended)[..6], ["interrupted"; 6], "{list:?}");
        assert_eq!(missing(&database).await, [""; 0], "{list:?}");
        assert_eq!(list_requests(&simulator) - lists, 1 + 3, "{list:?}");
    }
}

fn accept(simulator: &Simulator, database: &TestDatabase, ids: &[&str]) -> Ended {
    let args = [&["namespaces", "accept-missing"], ids].concat();
    run(program(simulator, database, &args))
}

fn remove(simulator: &Simulator, namespaces: &[String]) -> Vec<Namespace> {
    simulator.with(|state| {
        let (gone, kept) = std::mem::take(&mut state.namespaces)
            .into_iter()
            .partition(|namespace| namespaces.contains(&namespace.id));
        state.namespaces = kept;
        gone
    })
}

#[tokio::test]
async fn many_that_vanish_at_once_wait_for_a_person() {
    let (simulator, database, namespaces) = recorded(9).await;
    let mut before = Vec::new();
    for namespace in &namespaces {
        before.push(everything(&database, namespace).await);
    }
    remove(&simulator, &namespaces[..3]);
    for _ in 0..2 {
        let ended = run(sync(&simulator, &database, LIMIT));
        assert_eq!(
            (ended.code, &ended.json()["outcome"]),
            (Some(5), &json!("held")),
            "{ended:#?}"
        );
        assert_eq!(outcomes(&ended)[..4], ["vanished", "vanished", "vanished", "complete"]);
        let told = &ended.json()["mass_vanishings"][0];
        assert_eq!(told["account_id"], ACCOUNT);
        let why = told["error"].as_str().unwrap();
        for part in ["3 of 9", "n0, n1, n2", "namespaces accept-missing"] {
            assert!(why.contains(part), "{why}");
        }
        assert_eq!(ended.stderr.matches("vanished at once").count(), 1, "{ended:#?}");
        assert_eq!(missing(&database).await, [""; 0]);
    }
    // A run of one namespace does not get around it.
    let ended = run(sync(&simulator, &database, &["--namespace", "n0"]));
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    assert_eq!(missing(&database).await, [""; 0]);

    // Only those that were noted are marked.
    let never = accept(&simulator, &database, &[&namespaces[5]]);
    assert_eq!(never.code, Some(1), "{never:#?}");
    assert!(never.stderr.contains("is not waiting"), "{never:#?}");
    let one = accept(&simulator, &database, &[&namespaces[0]]);
    assert_eq!(one.code, Some(0), "{one:#?}");
    assert_eq!(missing(&database).await, ["n0"]);
    let rest = accept(&simulator, &database, &[]);
    assert_eq!(rest.code, Some(0), "{rest:#?}");
    assert_eq!(missing(&database).await, ["n0", "n1", "n2"]);
    for (namespace, before) in namespaces.iter().zip(&before).take(3) {
        assert_eq!(everything(&database, namespace).await, *before);
        let left = statuses(&database, namespace).await;
        assert!(!left.contains(&"interrupted".to_owned()), "{left:?}");
    }
    let none = accept(&simulator, &database, &[]);
    assert_eq!(
        (none.code, none.stdout.contains("no namespace is waiting")),
        (Some(0), true)
    );
    assert_eq!(run(sync(&simulator, &database, LIMIT)).code, Some(0));
}

/// By what is there, not by what was: a namespace that came back is not marked.
#[tokio::test]
async fn what_is_back_is_not_accepted_as_missing() {
    let (simulator, database, namespaces) = recorded(5).await;
    let gone = remove(&simulator, &namespaces[..4]);
    assert_eq!(run(sync(&simulator, &database, LIMIT)).code, Some(5));
    let mut back = gone.into_iter();
    simulator.add(back.next().unwrap());
    // The second is not listed, but its objects can be read. The third answers something else.
    let hidden: Vec<String> = namespaces[1..3].to_vec();
    for namespace in back.by_ref().take(2) {
        simulator.add(namespace);
    }
    simulator.list_fault(
        ACCOUNT,
        When::Always,
        Fault::json(move |list| {
            let rows = list["result"].as_array_mut().unwrap();
            rows.retain(|row| !hidden.iter().any(|id| row["id"] == id.as_str()));
            let listed = json!(rows.len());
            list["result_info"]["count"] = listed.clone();
            list["result_info"]["total_count"] = listed;
        }),
    );
    let forbidden = Answer::error(403, 10000, "Authentication error");
    simulator.fault(&namespaces[2], When::Always, Fault::Answer(forbidden));
    let ended = accept(&simulator, &database, &[]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    for line in [
        "n0 is not marked: the account lists it again",
        "n1 is not marked: it is not listed, but its objects can be read",
        "n2 is not marked: objects of namespace",
        "n3 is marked as missing",
    ] {
        assert!(ended.stdout.contains(line), "{line}: {ended:#?}");
    }
    assert_eq!(missing(&database).await, ["n3"]);

    // A list that may be cut short accepts nothing.
    take_back(&simulator, &namespaces[..3]);
    simulator.list_fault(
        ACCOUNT,
        When::Always,
        Fault::json(|list| list["result_info"]["total_count"] = json!(100)),
    );
    let ended = accept(&simulator, &database, &[]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("may be incomplete"), "{ended:#?}");
    assert_eq!(missing(&database).await, ["n3"]);

    // All that is there is recorded, and waits no longer.
    take_back(&simulator, &[]);
    assert_eq!(run(sync(&simulator, &database, LIMIT)).code, Some(0));
    for namespace in &namespaces[..3] {
        assert_eq!(objects(&database, namespace).await, truth(&simulator, namespace));
    }
    let waiting = "select namespace_id from inventory.namespace where vanished_since is not null and $1 = ''";
    assert_eq!(texts(&database, waiting, "").await, [""; 0]);
}

/// The shares: what is marked at once, and what waits.
#[tokio::test]
async fn few_that_vanish_are_missing_and_all_are_not() {
    for (all, gone, code) in [(1, 1, 5), (2, 2, 5), (3, 2, 0), (4, 3, 5), (10, 3, 0), (10, 4, 5)] {
        let (simulator, database, namespaces) = recorded(all).await;
        remove(&simulator, &namespaces[..gone]);
        let ended = run(sync(&simulator, &database, LIMIT));
        assert_eq!(ended.code, Some(code), "{gone} of {all}: {ended:#?}");
        let marked = if code == 0 { gone } else { 0 };
        assert_eq!(missing(&database).await.len(), marked, "{gone} of {all}");
    }
}

/// Objects that were deleted in mid-walk count as well as those that were gone before.
#[tokio::test]
async fn those_that_vanish_in_mid_walk_count() {
    let (simulator, database, namespaces) = recorded(9).await;
    remove(&simulator, &namespaces[..1]);
    delete_in_walk(&simulator, &namespaces[1..3], 2);
    let ended = run(sync(&simulator, &database, LIMIT));
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    assert_eq!(outcomes(&ended)[..4], ["vanished", "vanished", "vanished", "complete"]);
    assert_eq!(missing(&database).await, [""; 0]);
    // Their walks are resumed when they are back.
    take_back(&simulator, &namespaces[1..3]);
    let before = simulator.requests_to(&namespaces[1]).len();
    let ended = run(sync(&simulator, &database, LIMIT));
    assert_eq!(outcomes(&ended)[1..3], ["complete", "complete"], "{ended:#?}");
    assert_eq!(simulator.requests_to(&namespaces[1]).len() - before, 2, "pages 2 and 3");
    assert_eq!(
        objects(&database, &namespaces[1]).await,
        truth(&simulator, &namespaces[1])
    );
}

#[tokio::test]
async fn previews_come_and_go() {
    let (simulator, database, _) = recorded(2).await;
    let previews: Vec<String> = (0..6)
        .map(|n| {
            let mut preview = Namespace::new(ACCOUNT, &format!("p{n}"));
            preview.preview = Some(json!({ "id": format!("p{n}"), "slug": "pr" }));
            simulator.add(preview)
        })
        .collect();
    assert_eq!(run(sync(&simulator, &database, LIMIT)).code, Some(0));
    remove(&simulator, &previews);
    let ended = run(sync(&simulator, &database, LIMIT));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(missing(&database).await.len(), 6);
}

/// A run that is killed before it could decide leaves the decision to the next one.
#[tokio::test]
async fn a_list_that_has_it_again_ends_the_wait() {
    let (simulator, database, namespaces) = recorded(3).await;
    let gone = remove(&simulator, &namespaces);
    assert_eq!(run(sync(&simulator, &database, LIMIT)).code, Some(5));
    for namespace in gone {
        simulator.add(namespace);
    }
    assert_eq!(run(sync(&simulator, &database, LIMIT)).code, Some(0));
    // Each vanishes for itself now.
    remove(&simulator, &namespaces[..1]);
    assert_eq!(run(sync(&simulator, &database, LIMIT)).code, Some(0));
    assert_eq!(missing(&database).await, ["n0"]);
}
