//! The list of namespaces: its end, its contents, and that an absence from it proves nothing.

use cloudflare_simulator::{Answer, Fault, Namespace, Request, Simulator, When};
use serde_json::{Value, json};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::{everything, objects, texts, truth};
use crate::support::program::{ACCOUNT, Ended, program, run, simulator, sync};

fn list_requests(simulator: &Simulator) -> usize {
    let requests = simulator.requests();
    requests.iter().filter(|r| r.path.ends_with("/namespaces")).count()
}

fn change_list(simulator: &Simulator, change: impl Fn(&mut Value) + Send + Sync + 'static) {
    simulator.list_fault(ACCOUNT, When::Always, Fault::json(change));
}

fn rows(list: &mut Value) -> &mut Vec<Value> {
    list["result"].as_array_mut().unwrap()
}

type Setup = fn(&Simulator);

fn restore_list(simulator: &Simulator) {
    simulator.with(|state| state.accounts.get_mut(ACCOUNT).unwrap().faults.clear());
}

fn statuses(ended: &Ended) -> Vec<String> {
    let told = ended.json()["namespaces"].as_array().unwrap().clone();
    told.iter().map(|n| n["status"].as_str().unwrap().to_owned()).collect()
}

async fn names(database: &TestDatabase) -> Vec<String> {
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
    assert_eq!(statuses(&ended), ["complete"; 5], "{ended:#?}");
    assert!(ended.stdout.contains("can't be a part of a URL"), "{ended:#?}");
    // A row that is not stored leaves nothing behind when it is gone.
    for id in [".", ".."] {
        simulator.remove_namespace(id);
    }
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
}

/// An account with a record of two namespaces, whose objects have changed since.
async fn recorded() -> (Simulator, TestDatabase, [String; 2]) {
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

async fn missing(database: &TestDatabase) -> Vec<String> {
    let sql = "select name from inventory.namespaces where missing_since is not null and $1 = '' order by 1";
    texts(database, sql, "").await
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
            "yet has errors: odd (code 1)",
        ),
        (
            "failure",
            body(|list| list["success"] = json!(false)),
            "does not say that it succeeded",
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
    assert_eq!(statuses(&ended), ["complete", "complete"]);
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
    assert_eq!(statuses(&ended).iter().filter(|s| *s == "missing").count(), 1);
    assert!(
        ended.stderr.contains("WARN") && ended.stderr.contains("no longer lists"),
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
    assert_eq!(statuses(&ended), ["interrupted", "complete"]);
    assert_eq!(missing(&database).await, [""; 0]);
    assert_eq!(everything(&database, &one).await, before);
    assert_eq!(list_requests(&simulator), 3, "the list was requested once more");
}

/// Selects the rows and the `result_info` of one page.
type Odd = fn(&[Value], usize, usize) -> (Vec<Value>, Value);

fn page_of(all: &[Value], page: usize, per_page: usize) -> Vec<Value> {
    all.iter().skip((page - 1) * per_page).take(per_page).cloned().collect()
}

fn numbers(all: &[Value], rows: &[Value], page: usize, per_page: usize) -> Value {
    json!({
        "page": page, "per_page": per_page, "count": rows.len(),
        "total_count": all.len(), "total_pages": all.len().div_ceil(per_page),
    })
}

/// Lists the account's namespaces as an odd server would.
fn list_oddly(simulator: &Simulator, odd: Odd) {
    let all: Vec<Value> = simulator.with(|state| {
        let listed = state.namespaces.iter().filter(|namespace| namespace.account == ACCOUNT);
        listed.map(|n| json!({ "id": n.id, "name": n.name })).collect()
    });
    let respond = move |request: &Request| {
        let number = |name| request.param(name).unwrap().parse().unwrap();
        let (rows, info) = odd(&all, number("page"), number("per_page"));
        let body = json!({ "success": true, "errors": [], "messages": [], "result": rows, "result_info": info });
        Some(Answer::json(200, body.to_string()))
    };
    simulator.list_fault(ACCOUNT, When::Always, Fault::hook(respond));
}

const DOUBT: &str = "the namespace list may be cut short";

#[tokio::test]
async fn a_list_that_may_be_cut_short_is_never_done() {
    // Name, list, number of listed namespaces out of 130, number of requests, and the reported doubt.
    let cases: [(&str, Odd, usize, usize, &str); 11] = [
        (
            "total_pages is too small",
            |all, page, size| {
                let rows = page_of(all, page, size);
                let mut info = numbers(all, &rows, page, size);
                info["total_pages"] = json!(1);
                (rows, info)
            },
            130,
            2,
            "",
        ),
        (
            "page is ignored",
            |all, _, size| {
                let rows = page_of(all, 1, size);
                let mut info = numbers(all, &rows, 1, size);
                info.as_object_mut().unwrap().remove("total_pages");
                (rows, info)
            },
            100,
            6,
            "every page is the first one",
        ),
        (
            "page is ignored, and total_count is the page's",
            |all, _, size| {
                let rows = page_of(all, 1, size);
                let info = numbers(&rows, &rows, 1, size);
                (rows, info)
            },
            100,
            6,
            "every page is the first one",
        ),
        (
            "page is ignored, and nothing is said",
            |all, _, size| (page_of(all, 1, size), json!({})),
            100,
            6,
            "every page is the first one",
        ),
        (
            "per_page is capped",
            |all, page, _| {
                let rows = page_of(all, page, 50);
                let info = numbers(all, &rows, page, 50);
                (rows, info)
            },
            130,
            3,
            "",
        ),
        (
            "per_page is capped, and nothing is said",
            |all, page, _| (page_of(all, page, 50), json!({})),
            130,
            4,
            "",
        ),
        (
            "total_pages counts pages of the size that was requested, not of those that come",
            |all, page, _| (page_of(all, page, 50), json!({ "total_pages": 2 })),
            130,
            4,
            "",
        ),
        (
            "page 2 is empty by accident",
            |all, page, size| match page {
                1 => (page_of(all, 1, size), numbers(all, &all[..100], 1, size)),
                _ => (Vec::new(), json!({ "count": 0, "total_count": 0, "total_pages": 0 })),
            },
            100,
            4,
            "it lists 100, but its total_count is 130",
        ),
        (
            "rows are dropped",
            |all, page, size| {
                let mut rows = page_of(all, page, size);
                let info = numbers(all, &rows, page, size);
                rows.pop();
                (rows, info)
            },
            128,
            6,
            "it lists 128, but its total_count is 130",
        ),
        (
            "count differs",
            |all, page, size| {
                let rows = page_of(all, page, size);
                let mut info = numbers(all, &rows, page, size);
                info["count"] = json!(rows.len() + 1);
                (rows, info)
            },
            130,
            4,
            "the count of page 1 is 101",
        ),
        (
            "a page repeats rows, and nothing is said",
            |all, page, size| {
                let mut rows = page_of(all, page, size);
                if page == 2 {
                    rows[0] = all[99].clone();
                }
                (rows, json!({}))
            },
            129,
            6,
            "page 2 repeats some namespaces",
        ),
    ];
    for (name, odd, listed, expected, doubt) in cases {
        let (simulator, database) = (simulator().await, fresh_database().await);
        let all: Vec<_> = (0..130)
            .map(|n| simulator.add_namespace(ACCOUNT, &format!("n{n:03}")))
            .collect();
        list_oddly(&simulator, odd);
        let ended = run(sync(
            &simulator,
            &database,
            &["--namespace", &all[0], "--namespace", "n100"],
        ));
        let what = format!("{name}: {ended:#?}");
        assert_eq!(ended.code, Some(if doubt.is_empty() { 0 } else { 3 }), "{what}");
        assert_eq!(names(&database).await.len(), listed, "{what}");
        assert_eq!(list_requests(&simulator), expected, "{what}");
        assert!(statuses(&ended).iter().all(|status| status == "complete"), "{what}");
        let doubtful = ended.json()["lists_doubtful"].clone();
        if doubt.is_empty() {
            assert_eq!(doubtful, json!([]), "{what}");
            continue;
        }
        assert_eq!(doubtful[0]["account_id"], ACCOUNT, "{what}");
        let why = doubtful[0]["error"].as_str().unwrap();
        assert!(why.contains(DOUBT) && why.contains(doubt), "{what}");
        assert!(ended.stderr.contains("WARN") && ended.stderr.contains(DOUBT), "{what}");
    }
}

#[tokio::test]
async fn a_page_that_fails_leaves_those_before_it() {
    for (info, refusal) in [
        (json!({ "count": 2 }), Answer::error(400, 10001, "page is out of range")),
        (json!({}), Answer::error(404, 7003, "no route")),
        (json!({ "total_count": 2 }), Answer::html(503)),
    ] {
        let (simulator, database, namespaces) = recorded().await;
        change_list(&simulator, move |list| list["result_info"] = info.clone());
        simulator.list_fault(ACCOUNT, When::From(2), Fault::Answer(refusal));
        let ended = run(sync(&simulator, &database, &["--retry-for", "1ms"]));
        assert_eq!(ended.code, Some(3), "{ended:#?}");
        assert!(ended.stderr.contains("page 2 could not be read"), "{ended:#?}");
        assert_eq!(statuses(&ended), ["complete", "complete"]);
        for namespace in &namespaces {
            assert_eq!(objects(&database, namespace).await, truth(&simulator, namespace));
        }
    }
}

/// If the list may be incomplete, an absence from it proves nothing, not even together with a 404.
#[tokio::test]
async fn a_list_that_may_be_cut_short_hides_nothing() {
    let (simulator, database, [one, two]) = recorded().await;
    let before = everything(&database, &one).await;
    change_list(&simulator, |list| rows(list).retain(|row| row["name"] != "one"));
    simulator.fault(
        &one,
        When::First(1),
        Fault::Answer(Answer::error(404, 10066, "not found")),
    );
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(statuses(&ended), ["interrupted", "complete"]);
    assert_eq!(missing(&database).await, [""; 0]);
    assert_eq!(everything(&database, &one).await, before);
    assert_eq!(objects(&database, &two).await, truth(&simulator, &two));

    // An unlisted namespace is walked, even if it is the only one selected.
    let ended = run(sync(&simulator, &database, &["--namespace", "one"]));
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(statuses(&ended), ["complete"]);
    assert_eq!(objects(&database, &one).await, truth(&simulator, &one));

    let ended = run(sync(&simulator, &database, &["--namespace", "three"]));
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(!ended.stderr.contains("has no namespace"), "who knows? {ended:#?}");
    assert!(ended.stderr.contains("three"), "{ended:#?}");
    assert_eq!(ended.json()["accounts_failed"], json!([]));

    let text = |args: &[&str]| run(program(&simulator, &database, args));
    let ended = text(&["sync", "--quiet"]);
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(
        ended.stdout.starts_with("run ") && ended.stdout.contains("there may be more namespaces"),
        "{ended:#?}"
    );
    assert!(ended.stderr.contains(DOUBT), "{ended:#?}");
    let ended = text(&["check"]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    let told = ended
        .stdout
        .lines()
        .find(|line| line.starts_with("WRONG  namespaces: "));
    assert!(
        told.is_some_and(|line| line.contains("may be cut short: it lists 1, but its total_count is 2")),
        "{ended:#?}"
    );

    // The list of two namespaces is empty.
    restore_list(&simulator);
    change_list(&simulator, |list| rows(list).clear());
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(statuses(&ended), ["complete", "complete"]);
    restore_list(&simulator);
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
}
