//! Namespace lists whose numbers disagree, or whose end is in doubt: what they lack is not taken for gone.

use cloudflare_simulator::{Answer, Fault, Request, Simulator, When};
use serde_json::{Value, json};

use super::lists::{change_list, names, recorded, restore_list, rows};
use crate::support::account::{list_requests, missing, outcomes};
use crate::support::database::fresh_database;
use crate::support::ledger::{everything, objects, truth};
use crate::support::program::{ACCOUNT, program, run, simulator, sync};

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

const DOUBT: &str = "the namespace list may be incomplete";

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
            "page 2 repeats some rows",
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
        assert!(outcomes(&ended).iter().all(|status| status == "complete"), "{what}");
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
        assert_eq!(outcomes(&ended), ["complete", "complete"]);
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
    assert_eq!(outcomes(&ended), ["interrupted", "complete"]);
    assert_eq!(missing(&database).await, [""; 0]);
    assert_eq!(everything(&database, &one).await, before);
    assert_eq!(objects(&database, &two).await, truth(&simulator, &two));

    // An unlisted namespace is walked, even if it is the only one selected.
    let ended = run(sync(&simulator, &database, &["--namespace", "one"]));
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(outcomes(&ended), ["complete"]);
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
        told.is_some_and(|line| line.contains("may be incomplete: it lists 1, but its total_count is 2")),
        "{ended:#?}"
    );

    // The list of two namespaces is empty.
    restore_list(&simulator);
    change_list(&simulator, |list| rows(list).clear());
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(outcomes(&ended), ["complete", "complete"]);
    restore_list(&simulator);
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
}
