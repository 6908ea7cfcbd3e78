//! Authentication: both schemes, and the consequences of a refusal.

use cloudflare_simulator::{Answer, Fault, Simulator, When};
use serde_json::json;

use crate::support::account::{OTHER, account, list_requests, outcomes, two_accounts};
use crate::support::database::fresh_database;
use crate::support::ledger::{objects, texts, truth};
use crate::support::program::{ACCOUNT, TOKEN, run, simulator, sync, sync_by_file};

#[tokio::test]
async fn the_older_pair_of_email_and_key() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    simulator.add_key(ACCOUNT, "me@example.com", "a-global-key");
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 25, 1);
    let mut command = sync(&simulator, &database, &["--limit", "10"]);
    command
        .env_remove("CLOUDFLARE_API_TOKEN")
        .env("CLOUDFLARE_EMAIL", "me@example.com")
        .env("CLOUDFLARE_API_KEY", "a-global-key");
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    for request in simulator.requests() {
        assert_eq!(request.authorization.as_deref(), Some("me@example.com a-global-key"));
    }
}

#[tokio::test]
async fn a_refused_list_fails_its_account_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (simulator, database, file, [mine, others]) = two_accounts(folder.path()).await;
    let sync = || {
        let mut command = sync_by_file(&simulator, &database, &file, &["--quota", "1000000/1s"]);
        command.env("TOKEN", TOKEN);
        run(command)
    };
    for refusal in refusals() {
        // A permission is not the reason for malformed credentials.
        let advice = match refusal.status {
            400 => ": the API can't read the credentials",
            _ => "\"Content Read-Only\" for the Workers product (older tokens: \"Workers Scripts Read\")",
        };
        simulator.list_fault(ACCOUNT, When::Always, Fault::Answer(refusal));
        let ended = sync();
        assert_eq!(ended.code, Some(3), "{ended:#?}");
        let failed = &ended.json()["accounts_failed"];
        assert_eq!(failed[0]["account_id"], ACCOUNT);
        assert!(failed[0]["error"].as_str().unwrap().contains(advice), "{ended:#?}");
        assert_eq!(ended.json()["namespaces"][0]["status"], "complete");
        assert_eq!(ended.json()["namespaces"][0]["account_id"], OTHER);
        assert_eq!(simulator.requests_to(&mine).len(), 0);
        simulator.with(|state| state.accounts.get_mut(ACCOUNT).unwrap().faults.clear());
    }
    assert_eq!(objects(&database, &others).await, truth(&simulator, &others));
    assert_eq!(sync().code, Some(0));
}

fn refusals() -> Vec<Answer> {
    let malformed = json!([{ "code": 6003, "message": "Invalid request headers", "error_chain": [{ "code": 6111, "message": "Invalid format for Authorization header" }] }]);
    vec![
        Answer::error(401, 10000, "Authentication error"),
        Answer::error(403, 9109, "Unauthorized to access requested resource"),
        Answer::errors(400, &malformed),
        Answer::error(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"),
    ]
}

fn object_requests(simulator: &Simulator) -> usize {
    simulator.requests().len() - list_requests(simulator)
}

const LIMIT: &[&str] = &["--limit", "10"];

/// The namespace list was accepted, so the other namespaces continue, whatever the refusal and its page.
#[tokio::test]
async fn a_refusal_of_one_namespace_stops_no_other() {
    for (n, refusal) in refusals().into_iter().enumerate() {
        let (simulator, database, namespaces) = account(3).await;
        let is_forbidden = refusal.status == 403;
        let page = [1, 2][n % 2];
        simulator.fault(&namespaces[0], When::From(page), Fault::Answer(refusal.clone()));
        let ended = run(sync(&simulator, &database, &[LIMIT, &["--concurrency", "1"]].concat()));
        assert_eq!(ended.code, Some(3), "{ended:#?}");
        assert_eq!(outcomes(&ended), ["interrupted", "complete", "complete"], "{ended:#?}");
        assert_eq!(ended.json()["accounts_failed"], json!([]), "{ended:#?}");
        // A 401 casts doubt on the whole account, which another request for the list resolves.
        assert_eq!(
            list_requests(&simulator),
            if is_forbidden { 1 } else { 2 },
            "{refusal:?}"
        );
        for namespace in &namespaces[1..] {
            assert_eq!(objects(&database, namespace).await, truth(&simulator, namespace));
        }

        simulator.with_namespace(&namespaces[0], |n| n.faults.clear());
        let before = simulator.requests_to(&namespaces[0]).len();
        let ended = run(sync(&simulator, &database, LIMIT));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let asked = simulator.requests_to(&namespaces[0]).len() - before;
        assert_eq!(asked as u64, 4 - page, "the walk goes on after its last page");
        assert_eq!(
            objects(&database, &namespaces[0]).await,
            truth(&simulator, &namespaces[0])
        );
    }
}

#[tokio::test]
async fn namespaces_that_are_all_forbidden_are_all_tried() {
    let (simulator, database, namespaces) = account(5).await;
    for namespace in &namespaces {
        let refusal = Answer::error(403, 10000, "Authentication error");
        simulator.fault(namespace, When::Always, Fault::Answer(refusal));
    }
    let ended = run(sync(&simulator, &database, &["--concurrency", "5"]));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(outcomes(&ended), ["interrupted"; 5], "{ended:#?}");
    assert!(ended.stdout.contains("exclude"), "what can be done: {ended:#?}");
    assert_eq!((list_requests(&simulator), object_requests(&simulator)), (1, 5 * 4));
}

/// The token is revoked after the list was read.
#[tokio::test]
async fn a_401_and_a_refused_list_stop_the_account() {
    for (concurrency, refusal) in [
        ("1", Answer::error(401, 10000, "Authentication error")),
        ("4", Answer::error(401, 10000, "Authentication error")),
        (
            "4",
            Answer::error(403, 9109, "Unauthorized to access requested resource"),
        ),
    ] {
        let (simulator, database, namespaces) = account(9).await;
        for namespace in &namespaces {
            let revoked = Answer::error(401, 10000, "Authentication error");
            simulator.fault(namespace, When::Always, Fault::Answer(revoked));
        }
        simulator.list_fault(ACCOUNT, When::From(2), Fault::Answer(refusal));
        let ended = run(sync(&simulator, &database, &["--concurrency", concurrency]));
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        assert_eq!(
            list_requests(&simulator),
            2,
            "asked once, however many walks were refused"
        );
        assert_eq!(
            object_requests(&simulator),
            4 * concurrency.parse::<usize>().unwrap(),
            "each walk was refused four times: {ended:#?}"
        );
        assert_eq!(outcomes(&ended), ["interrupted"; 9], "{ended:#?}");
        let failed = &ended.json()["accounts_failed"];
        assert_eq!(failed.as_array().unwrap().len(), 1, "{ended:#?}");
        let why = failed[0]["error"].as_str().unwrap();
        assert!(
            why.contains("namespaces of account") && why.contains("Workers Scripts Read"),
            "{why}"
        );
        for namespace in &namespaces {
            simulator.with_namespace(namespace, |n| n.faults.clear());
            assert_eq!(objects(&database, namespace).await, []);
        }
        simulator.with(|state| state.accounts.get_mut(ACCOUNT).unwrap().faults.clear());
        assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    }
}

/// The list is neither accepted nor refused: the other namespaces continue, and the number of requests for the list is
/// bounded.
#[tokio::test]
async fn a_list_that_settles_nothing_stops_nothing() {
    let (simulator, database, namespaces) = account(8).await;
    for namespace in &namespaces[..6] {
        let refusal = Answer::error(401, 10000, "Authentication error");
        simulator.fault(namespace, When::Always, Fault::Answer(refusal));
    }
    simulator.list_fault(ACCOUNT, When::From(2), Fault::Answer(Answer::html(503)));
    let ended = run(sync(&simulator, &database, &["--concurrency", "3"]));
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(outcomes(&ended)[6..], ["complete"; 2], "{ended:#?}");
    assert_eq!(ended.json()["accounts_failed"], json!([]), "{ended:#?}");
    assert!(list_requests(&simulator) <= 4, "{}", list_requests(&simulator));
}

#[tokio::test]
async fn an_answer_that_echoes_the_token_is_not_quoted() {
    const SECRET: &str = "s3cret-0f-the-account";
    let (simulator, database) = (simulator().await, fresh_database().await);
    simulator.add_account(ACCOUNT, SECRET);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    let said = format!("you sent Bearer {SECRET}");
    let message = json!([{ "code": 1, "message": said }]);
    let envelope = |success: bool, errors, messages| json!({ "success": success, "errors": errors, "messages": messages, "result": [], "result_info": {} });
    for answer in [
        Answer::new(200, "text/html", said.clone()),
        Answer::new(502, "text/plain", said.clone()),
        Answer::error(403, 1, &said),
        Answer::json(200, envelope(false, message.clone(), json!([])).to_string()),
        Answer::json(200, envelope(true, json!([]), message.clone()).to_string()),
        Answer::json(200, json!({ "success": true, "result": said }).to_string()),
        Answer::redirect(&format!("https://example.com/{SECRET}")),
    ] {
        simulator.fault(&namespace, When::Always, Fault::Answer(answer));
        let mut command = sync(&simulator, &database, &["--retry-for", "1ms"]);
        command.env("CLOUDFLARE_API_TOKEN", SECRET).env("RUST_LOG", "trace");
        let ended = run(command);
        assert_eq!(
            ended.json()["namespaces"][0]["namespace_id"],
            namespace,
            "it was walked"
        );
        assert!(!format!("{ended:?}").contains(SECRET), "{ended:#?}");
        simulator.with_namespace(&namespace, |n| n.faults.clear());
    }
    let recorded = "select s::text from inventory.snapshot s where $1 <> ''";
    for snapshot in texts(&database, recorded, &namespace).await {
        assert!(!snapshot.contains(SECRET), "{snapshot}");
    }
}
