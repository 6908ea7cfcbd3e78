//! Who asks: both schemes, and what follows where they are refused.

use cloudflare_simulator::{Answer, Fault, When};
use serde_json::json;

use crate::support::database::fresh_database;
use crate::support::ledger::{objects, texts, truth};
use crate::support::program::{ACCOUNT, TOKEN, run, simulator, sync, sync_by_file};

const OTHER: &str = "fedcba9876543210fedcba9876543210";

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
async fn refused_credentials_fail_their_account_and_no_other() {
    let refusals = [
        Answer::error(401, 10000, "Authentication error"),
        Answer::error(403, 9109, "Unauthorized to access requested resource"),
        Answer::errors(
            400,
            &json!([{ "code": 6003, "message": "Invalid request headers", "error_chain": [{ "code": 6111 }] }]),
        ),
        Answer::error(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"),
        Answer::new(403, "text/html", "<html>blocked"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inventory.toml");
    let accounts = format!(
        "concurrency = 1\n[[accounts]]\nid = \"{ACCOUNT}\"\napi_token_env = \"TOKEN\"\n\
         [[accounts]]\nid = \"{OTHER}\"\napi_token_env = \"TOKEN\"\n"
    );
    std::fs::write(&file, accounts).unwrap();
    let (simulator, database) = (simulator().await, fresh_database().await);
    simulator.add_account(OTHER, TOKEN);
    let mine = ["a", "b", "c"].map(|name| simulator.add_namespace(ACCOUNT, name));
    let others = simulator.add_namespace(OTHER, "d");
    for namespace in mine.iter().chain([&others]) {
        simulator.seed(namespace, 20, 1);
    }
    let sync = || {
        let mut command = sync_by_file(&simulator, &database, &file, &["--quota", "1000000/1s"]);
        command.env("TOKEN", TOKEN);
        run(command)
    };

    for refusal in refusals {
        // Already by the list of namespaces.
        simulator.list_fault(ACCOUNT, When::Always, Fault::Answer(refusal.clone()));
        let ended = sync();
        assert_eq!(ended.code, Some(3), "{ended:#?}");
        let failed = &ended.json()["accounts_failed"];
        assert_eq!(failed[0]["account_id"], ACCOUNT);
        assert!(
            failed[0]["error"].as_str().unwrap().contains("Workers Scripts Read"),
            "{ended:#?}"
        );
        assert_eq!(ended.json()["namespaces"][0]["status"], "complete");
        assert_eq!(ended.json()["namespaces"][0]["account_id"], OTHER);
        simulator.with(|state| state.accounts.get_mut(ACCOUNT).unwrap().faults.clear());

        // Only by the list of objects: the account's other namespaces are not tried, one after the other.
        for namespace in &mine {
            simulator.fault(namespace, When::Always, Fault::Answer(refusal.clone()));
        }
        let asked = || -> usize { mine.iter().map(|id| simulator.requests_to(id).len()).sum() };
        let before = asked();
        let ended = sync();
        assert_eq!(ended.code, Some(3), "{ended:#?}");
        assert_eq!(asked() - before, 1, "{ended:#?}");
        let told = ended.json()["namespaces"].clone();
        let told = told.as_array().unwrap();
        for namespace in told.iter().filter(|n| n["account_id"] == ACCOUNT) {
            assert_eq!(namespace["status"], "failed");
            let why = namespace["error"].as_str().unwrap();
            assert!(
                why.contains("Workers Scripts Read") || why.contains("credentials were refused"),
                "{why}"
            );
        }
        let failed = &ended.json()["accounts_failed"];
        assert_eq!(failed.as_array().unwrap().len(), 1, "{ended:#?}");
        assert!(
            failed[0]["error"].as_str().unwrap().contains("Workers Scripts Read"),
            "{ended:#?}"
        );
        let other = told.iter().find(|n| n["account_id"] == OTHER).unwrap();
        assert_eq!(other["status"], "complete");
        for namespace in &mine {
            simulator.with_namespace(namespace, |n| n.faults.clear());
            assert_eq!(objects(&database, namespace).await, []);
        }
    }
    assert_eq!(objects(&database, &others).await, truth(&simulator, &others));
    assert_eq!(sync().code, Some(0));
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
