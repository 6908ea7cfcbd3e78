//! Namespace lists with rows that can't be used, without a list, and by pages of another size.

use cloudflare_simulator::{Answer, Fault, Request, Simulator, When};
use serde_json::{Value, json};

use super::{LIMIT, recorded};
use crate::support::account::{list_requests, missing, outcomes};
use crate::support::database::fresh_database;
use crate::support::ledger::{objects, texts, truth};
use crate::support::program::{ACCOUNT, program, run, simulator, sync};

fn change_list(simulator: &Simulator, change: impl Fn(&mut Value) + Send + Sync + 'static) {
    simulator.list_fault(ACCOUNT, When::Always, Fault::json(change));
}

fn restore_list(simulator: &Simulator) {
    simulator.with(|state| state.accounts.get_mut(ACCOUNT).unwrap().faults.clear());
}

#[tokio::test]
async fn a_row_that_can_not_be_used_leaves_the_others() {
    let (simulator, database, namespaces) = recorded(3).await;
    let rows = [
        (json!({ "name": "ghost", "script": "s" }), "it has no id"),
        (json!({ "id": null }), "it has no id"),
        (json!({ "id": "" }), "a namespace id is a non-empty text"),
        (json!({ "id": "a\tb" }), "without control characters"),
        (json!({ "id": 7 }), "the id should be a text, but is 7"),
        (json!({ "id": "x", "name": [] }), "name should be a text or null"),
        (json!("x"), "it should be an object"),
        (Value::Null, "it should be an object"),
    ];
    for (row, reason) in rows {
        // The third namespace vanishes, but the list is incomplete.
        let gone = namespaces[2].clone();
        let odd = row.clone();
        change_list(&simulator, move |list| {
            let rows = list["result"].as_array_mut().unwrap();
            rows.retain(|row| row["id"] != gone.as_str());
            rows.insert(1, odd.clone());
        });
        let not_found = Answer::error(404, 10066, "not found");
        simulator.fault(&namespaces[2], When::Always, Fault::Answer(not_found));
        simulator.put_object(&namespaces[0], [0xab; 32], Some(true));
        let ended = run(sync(&simulator, &database, LIMIT));
        assert_eq!(ended.code, Some(3), "{row}: {ended:#?}");
        assert_eq!(outcomes(&ended), ["complete", "complete", "interrupted"], "{row}");
        let told = ended.json()["lists_doubtful"][0]["error"].as_str().unwrap().to_owned();
        assert!(told.contains("row 2 of 3") && told.contains(reason), "{row}: {told}");
        assert!(
            ended.stderr.contains("WARN") && ended.stderr.contains(reason),
            "{ended:#?}"
        );
        assert_eq!(missing(&database).await, [""; 0], "{row}");
        assert_eq!(
            objects(&database, &namespaces[0]).await,
            truth(&simulator, &namespaces[0])
        );
        let ended = run(program(&simulator, &database, &["check"]));
        assert_eq!(ended.code, Some(2), "{row}: {ended:#?}");
        assert!(ended.stdout.contains(reason), "{row}: {ended:#?}");
        restore_list(&simulator);
        simulator.with_namespace(&namespaces[2], |n| n.faults.clear());
        simulator.remove_object(&namespaces[0], &[0xab; 32]);
    }
    assert_eq!(run(sync(&simulator, &database, LIMIT)).code, Some(0));
}

#[tokio::test]
async fn a_null_is_an_empty_list_where_nothing_is_recorded() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    change_list(&simulator, |list| list["result"] = Value::Null);
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(
        ended.stderr.contains("WARN") && ended.stderr.contains("null"),
        "{ended:#?}"
    );
    let ended = run(program(&simulator, &database, &["check"]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(
        ended
            .stdout
            .contains("NOTE   namespaces: the result of the list is null"),
        "{ended:#?}"
    );

    let (simulator, database, namespaces) = recorded(2).await;
    change_list(&simulator, |list| {
        list["result"] = Value::Null;
        list["result_info"] = Value::Null;
    });
    let not_found = Answer::error(404, 10066, "not found");
    simulator.fault(&namespaces[0], When::Always, Fault::Answer(not_found));
    let ended = run(sync(&simulator, &database, LIMIT));
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(outcomes(&ended), ["interrupted", "complete"]);
    assert_eq!(missing(&database).await, [""; 0]);
}

/// Refuses pages of more than this many namespaces, or any size at all. The server's own size is 20.
fn refuse_sizes(simulator: &Simulator, most: u32) {
    let refuse = move |request: &Request| {
        let per_page: Option<u32> = request.param("per_page").map(|size| size.parse().unwrap());
        let message = "Invalid request parameters";
        per_page
            .is_some_and(|size| size > most)
            .then(|| Answer::error(400, 6008, message))
    };
    simulator.list_fault(ACCOUNT, When::Always, Fault::hook(refuse));
}

#[tokio::test]
async fn a_list_that_refuses_the_page_size_is_read_by_another() {
    for most in [0, 20, 50] {
        let (simulator, database) = (simulator().await, fresh_database().await);
        for n in 0..130 {
            simulator.add_namespace(ACCOUNT, &format!("n{n:03}"));
        }
        refuse_sizes(&simulator, most);
        let ended = run(sync(&simulator, &database, &[]));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let names = "select name from inventory.namespaces where $1 = ''";
        assert_eq!(texts(&database, names, "").await.len(), 130);
        assert_eq!(
            list_requests(&simulator),
            1 + 7,
            "one that is refused, and 7 pages of 20"
        );
        let ended = run(program(&simulator, &database, &["check"]));
        assert!(ended.stdout.contains("130 of 130 listed"), "{ended:#?}");
    }
}

/// A server that refuses every parameter has one page only. Nothing proves that this is the whole list, unless its
/// numbers do.
#[tokio::test]
async fn a_list_without_paging_is_read_without_parameters() {
    for (has_numbers, code) in [(true, 0), (false, 3)] {
        let (simulator, database) = (simulator().await, fresh_database().await);
        for n in 0..3 {
            simulator.add_namespace(ACCOUNT, &format!("n{n}"));
        }
        let refuse = |request: &Request| {
            let has_parameter = request.param("page").is_some() || request.param("per_page").is_some();
            has_parameter.then(|| Answer::error(400, 6008, "Invalid request parameters"))
        };
        simulator.list_fault(ACCOUNT, When::Always, Fault::hook(refuse));
        if !has_numbers {
            simulator.list_fault(
                ACCOUNT,
                When::Always,
                Fault::json(|list| {
                    list.as_object_mut().unwrap().remove("result_info");
                }),
            );
        }
        let ended = run(sync(&simulator, &database, &[]));
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        assert_eq!(outcomes(&ended), ["complete"; 3], "{ended:#?}");
    }
}

/// A server that wants a page size, but a small one.
#[tokio::test]
async fn a_smaller_page_size_is_tried_too() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    for n in 0..60 {
        simulator.add_namespace(ACCOUNT, &format!("n{n:03}"));
    }
    let refuse = |request: &Request| {
        let fits = matches!(request.param("per_page"), Some("50" | "20"));
        (!fits).then(|| Answer::error(400, 6008, "per_page must be 1 to 50"))
    };
    simulator.list_fault(ACCOUNT, When::Always, Fault::hook(refuse));
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(outcomes(&ended).len(), 60);

    // A list that is refused altogether fails with the first reason, after a few requests.
    restore_list(&simulator);
    let refusal = Answer::error(400, 7001, "this account is odd");
    simulator.list_fault(ACCOUNT, When::Always, Fault::Answer(refusal));
    let before = list_requests(&simulator);
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("this account is odd"), "{ended:#?}");
    assert_eq!(list_requests(&simulator) - before, 4);
}
