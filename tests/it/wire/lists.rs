//! The list of namespaces: its end, its contents, and that an absence from it proves nothing.

use cloudflare_simulator::{Answer, Fault, Namespace, Simulator, When};
use serde_json::{Value, json};

use crate::support::account::{list_requests, missing, outcomes};
use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::{everything, objects, texts, truth};
use crate::support::program::{ACCOUNT, run, simulator, sync};

pub(super) fn change_list(simulator: &Simulator, change: impl Fn(&mut Value) + Send + Sync + 'static) {
    simulator.list_fault(ACCOUNT, When::Always, Fault::json(change));
}

pub(super) fn rows(list: &mut Value) -> &mut Vec<Value> {
    list["result"].as_array_mut().unwrap()
}

type Setup = fn(&Simulator);

pub(super) fn restore_list(simulator: &Simulator) {
    simulator.with(|state| state.accounts.get_mut(ACCOUNT).unwrap().faults.clear());
}

pub(super) async fn names(database: &TestDatabase) -> Vec<String> {
    texts(
        database,
        "select name from inventory.namespaces where $1 = '' order by 1",
        "",
    )
    .await
}

#[tokio::test]
async fn a_list_ends_on_every_server() {
    let paged = |_: &Simulator| {};
    let ignores_page = |s: &Simulator| s.with(|state| state.accounts.get_mut(ACCOUNT).unwrap().ignores_paging = true);
    let no_info = |s: &Simulator| {
        change_list(s, |list| {
            list.as_object_mut().unwrap().remove("result_info");
        })
    };
    let endless = |s: &Simulator| change_list(s, |list| list["result_info"]["total_pages"] = json!(1_000));
    let setups: [(&str, Setup, usize, usize); 7] = [
        ("none", paged, 0, 1),
        ("one page", paged, 3, 1),
        ("two pages", paged, 130, 2),
        ("ignores page", ignores_page, 3, 2),
        ("ignores page, and has none", ignores_page, 0, 1),
        ("says nothing of pages", no_info, 130, 3),
        ("says too many pages", endless, 130, 3),
    ];
    for (name, setup, count, expected) in setups {
        let (simulator, database) = (simulator().await, fresh_database().await);
        let all: Vec<_> = (0..count)
            .map(|n| simulator.add_namespace(ACCOUNT, &format!("n{n:03}")))
            .collect();
        setup(&simulator);
        let last: Vec<&str> = all.last().iter().flat_map(|id| ["--namespace", id.as_str()]).collect();
        let ended = run(sync(&simulator, &database, &last));
        assert_eq!(ended.code, Some(0), "{name}: {ended:#?}");
        assert_eq!(list_requests(&simulator), expected, "{name}");
        assert_eq!(names(&database).await.len(), count, "{name}");
    }
}

#[tokio::test]
async fn a_namespace_that_is_listed_twice_is_walked_once() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "old name");
    simulator.seed(&namespace, 20, 1);
    change_list(&simulator, |list| {
        let mut again = rows(list)[0].clone();
        again["name"] = json!("new name");
        rows(list).push(again);
    });
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(simulator.requests_to(&namespace).len(), 1);
    assert_eq!(names(&database).await, ["new name"], "the later row counts");
}

#[tokio::test]
async fn an_id_is_any_text() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let ids = ["worker-Class", "a/b c%2F", "ünï ?#&+", "...", "🦀"];
    for (n, id) in ids.iter().enumerate() {
        let mut namespace = Namespace::new(ACCOUNT, id);
        namespace.id = (*id).to_owned();
        simulator.add(namespace);
        simulator.seed(id, 40 + n, n as u64);
    }
    let ended = run(sync(&simulator, &database, &["--limit", "10"]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for id in ids {
        assert_eq!(objects(&database, id).await, truth(&simulator, id), "{id}");
    }

    // These ids would change the URL's path. Their rows can't be used, and the others are walked.
    for id in [".", ".."] {
        let mut namespace = Namespace::new(ACCOUNT, id);
        namespace.id = id.to_owned();
        simulator.add(namespace);
    }
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(outcomes(&ended), ["complete"; 5], "{ended:#?}");
    assert!(ended.stdout.contains("can't be used in a URL"), "{ended:#?}");
    // A row that is not stored leaves nothing behind when it is gone.
    for id in [".", ".."] {
        simulator.remove_namespace(id);
    }
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
}

/// An account with a record of two namespaces, whose objects have changed since.
pub(super) async fn recorded() -> (Simulator, TestDatabase, [String; 2]) {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespaces = ["one", "two"].map(|name| simulator.add_namespace(ACCOUNT, name));
    for namespace in &namespaces {
        simulator.seed(namespace, 30, 1);
    }
    let first = run(sync(&simulator, &database, &[]));
    assert_eq!(first.code, Some(0), "{first:#?}");
    for namespace in &namespaces {
        simulator.put_object(namespace, [0xab; 32], Some(true));
    }
    (simulator, database, namespaces)
}

#[tokio::test]
async fn a_list_that_is_wrong_fails_the_account_and_changes_nothing() {
    let (simulator, database, namespaces) = recorded().await;
    let mut before = Vec::new();
    for namespace in &namespaces {
        before.push(everything(&database, namespace).await);
    }
    let body = |change: fn(&mut Value)| Fault::json(change);
    let answer = |answer| Fault::Answer(answer);
    let cases = [
        ("HTML", answer(Answer::html(200)), "not the API: HTTP 200, text/html"),
        ("proxy", answer(Answer::html(502)), "HTTP 502, text/html"),
        ("reset", Fault::Reset, "the connection to the API broke"),
        (
            "404",
            answer(Answer::error(404, 7003, "no route")),
            "HTTP 404: no route",
        ),
        (
            "redirect",
            answer(Answer::redirect("https://example.com/")),
            "redirects to example.com",
        ),
        (
            "an object",
            body(|list| list["result"] = json!({})),
            "result should be a list",
        ),
        (
            "errors",
            body(|list| list["errors"] = json!([{"code": 1, "message": "odd"}])),
            "both success and errors: odd (code 1)",
        ),
        (
            "failure",
            body(|list| list["success"] = json!(false)),
            "does not report success",
        ),
    ];
    for (name, fault, error) in cases {
        simulator.list_fault(ACCOUNT, When::Always, fault);
        let ended = run(sync(&simulator, &database, &["--retry-for", "1s"]));
        assert_eq!(ended.code, Some(1), "{name}: {ended:#?}");
        let told = &ended.json()["accounts_failed"][0];
        assert_eq!(told["account_id"], ACCOUNT, "{name}");
        let why = told["error"].as_str().unwrap();
        assert!(
            why.contains("namespaces of account") && why.contains(error),
            "{name}: {why}"
        );
        for (namespace, before) in namespaces.iter().zip(&before) {
            assert_eq!(everything(&database, namespace).await, *before, "{name}");
        }
        assert_eq!(missing(&database).await, [""; 0], "{name}");
        restore_list(&simulator);
    }
}

#[tokio::test]
async fn an_empty_list_by_accident_hides_nothing() {
    let (simulator, database, namespaces) = recorded().await;
    simulator.list_fault(ACCOUNT, When::Always, Fault::Answer(Answer::empty_list()));
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(outcomes(&ended), ["complete", "complete"]);
    for namespace in &namespaces {
        assert_eq!(objects(&database, namespace).await, truth(&simulator, namespace));
    }
    assert_eq!(missing(&database).await, [""; 0]);
}

fn hide(simulator: &Simulator, name: &'static str) {
    change_list(simulator, move |list| {
        rows(list).retain(|row| row["name"] != name);
        let listed = json!(rows(list).len());
        list["result_info"]["count"] = listed.clone();
        list["result_info"]["total_count"] = listed;
    });
}

#[tokio::test]
async fn only_a_namespace_that_is_neither_listed_nor_there_is_missing() {
    let (simulator, database, [one, _]) = recorded().await;
    let before = everything(&database, &one).await;
    // The namespace is not listed, and the error of its object list does not mean that it is gone.
    hide(&simulator, "one");
    for answer in [
        Answer::html(200),
        Answer::new(404, "text/plain", "404 page not found"),
        Answer::error(410, 1, "gone"),
        Answer::error(403, 9109, "no"),
    ] {
        simulator.fault(&one, When::Always, Fault::Answer(answer.clone()));
        let ended = run(sync(
            &simulator,
            &database,
            &["--namespace", "one", "--retry-for", "1s"],
        ));
        assert_eq!(ended.code, Some(1), "{answer:?}: {ended:#?}");
        assert_eq!(missing(&database).await, [""; 0], "{answer:?}");
        simulator.with_namespace(&one, |n| n.faults.clear());
    }
    let gone = Answer::error(404, 10066, "Durable Object namespace not found");
    simulator.fault(&one, When::Always, Fault::Answer(gone));
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(outcomes(&ended).iter().filter(|s| *s == "missing").count(), 1);
    assert!(
        ended.stderr.contains("WARN") && ended.stderr.contains("no longer listed"),
        "{ended:#?}"
    );
    assert_eq!(missing(&database).await, ["one"]);
    assert_eq!(
        everything(&database, &one).await,
        before,
        "its objects stay as they were"
    );

    // The namespace gets no further requests until it is listed again, and is then recorded as before.
    let asked = simulator.requests_to(&one).len();
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    assert_eq!(simulator.requests_to(&one).len(), asked);
    restore_list(&simulator);
    simulator.with_namespace(&one, |n| n.faults.clear());
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    assert_eq!(missing(&database).await, [""; 0]);
    assert_eq!(objects(&database, &one).await, truth(&simulator, &one));
}

#[tokio::test]
async fn a_namespace_that_is_listed_but_not_found_is_interrupted() {
    let (simulator, database, [one, _]) = recorded().await;
    let before = everything(&database, &one).await;
    let gone = Answer::error(404, 10066, "Durable Object namespace not found");
    simulator.fault(&one, When::Always, Fault::Answer(gone));
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(outcomes(&ended), ["interrupted", "complete"]);
    assert_eq!(missing(&database).await, [""; 0]);
    assert_eq!(everything(&database, &one).await, before);
    assert_eq!(list_requests(&simulator), 3, "the list was requested once more");
}

/// It would fill the memory otherwise: each page is within its own limit.
#[tokio::test]
#[ignore = "large: 75 MB of JSON"]
async fn a_list_of_enormous_names_ends_the_run() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let name = "n".repeat(125_000);
    for number in 0..300 {
        simulator.add_namespace(ACCOUNT, &format!("{name}{number}"));
    }
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(1), "{:.1000}", ended.stderr);
    assert!(
        ended.stderr.contains("the list is larger than 64 MiB"),
        "{:.1000}",
        ended.stderr
    );
    assert_eq!(list_requests(&simulator), 3);
}

/// An id becomes a folder's name in a dataset. One that is too long is a row that can't be used; the others are synced
/// and exported.
#[tokio::test]
async fn an_id_that_is_too_long_does_not_stop_the_others() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let room = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&room, 10, 1);
    for id in ["i".repeat(3_000), "\u{65e5}".repeat(27), "i".repeat(80)] {
        let mut namespace = Namespace::new(ACCOUNT, "other");
        namespace.id = id;
        simulator.add(namespace);
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("dataset");
    let ended = run(sync(&simulator, &database, &["--export", place.to_str().unwrap()]));
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(
        ended.json()["lists_doubtful"].as_array().unwrap().len(),
        1,
        "{ended:#?}"
    );
    assert!(ended.stderr.contains("is longer than 80 bytes"), "{ended:#?}");
    let walked: Vec<_> = ended.json()["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|namespace| namespace["status"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(walked, ["complete"; 2], "{ended:#?}");
    assert_eq!(objects(&database, &room).await, truth(&simulator, &room));
    assert!(place.join("manifest.json").exists(), "{ended:#?}");
}
