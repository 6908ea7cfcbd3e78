//! What a person needs to begin: a token alone, a `.env` file, or a program that prints a token.

mod dot_env;
mod token_command;

use std::time::Duration;

use cloudflare_simulator::{Answer, Fault, Simulator, When};
use serde_json::json;
use tempfile::TempDir;

use crate::support::account::OTHER;
use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::{objects, truth};
use crate::support::program::{ACCOUNT, Ended, TOKEN, bare, run, simulator};

/// A simulator whose account has a namespace of three pages of ten, and a database.
async fn service() -> (Simulator, TestDatabase, String) {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 25, 1);
    (simulator, database, namespace)
}

/// The program in a folder, with nothing but the addresses of the API and the database.
fn program_in(
    folder: &TempDir,
    simulator: &Simulator,
    database: &TestDatabase,
    args: &[&str],
) -> std::process::Command {
    let mut command = bare(args);
    command
        .current_dir(folder.path())
        .env("CLOUDFLARE_API_BASE_URL", simulator.base_url())
        .env("DATABASE_URL", database.url());
    command
}

const SYNC: &[&str] = &["sync", "--quota", "1000000/1s", "--cursors", "1", "--limit", "10"];

fn with_token_alone(simulator: &Simulator, database: &TestDatabase, args: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program_in(&folder, simulator, database, args);
    command.env("CLOUDFLARE_API_TOKEN", TOKEN);
    run(command)
}

fn account_requests(simulator: &Simulator) -> usize {
    let requests = simulator.requests();
    requests.iter().filter(|r| r.path.ends_with("/accounts")).count()
}

#[tokio::test]
async fn a_tokens_single_account_is_taken() {
    let (simulator, database, namespace) = service().await;
    simulator.name_account(ACCOUNT, "Example \u{1b}[31mInc.");
    simulator.add_account(OTHER, "a token of other people");
    let ended = with_token_alone(&simulator, &database, SYNC);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    let taken = format!("taking \"Example \\u{{1b}}[31mInc.\" ({ACCOUNT}), the only one");
    assert_eq!(ended.stderr.matches(&taken).count(), 1, "{ended:#?}");
    assert!(ended.stderr.contains("INFO"), "{ended:#?}");
    assert_eq!(account_requests(&simulator), 1, "total_count proves the end");

    let ended = with_token_alone(&simulator, &database, &["check"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(
        ended
            .stdout
            .starts_with(&format!("ok     configuration: account {ACCOUNT}\n")),
        "{ended:#?}"
    );
    let ended = with_token_alone(&simulator, &database, &["namespaces", "accept-missing"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");

    let before = account_requests(&simulator);
    for args in [&["namespaces"][..], &["report"], &["snapshots"]] {
        assert_eq!(with_token_alone(&simulator, &database, args).code, Some(0), "{args:?}");
    }
    let named = with_token_alone(&simulator, &database, &[SYNC, &["--account", ACCOUNT]].concat());
    assert_eq!(named.code, Some(0), "{named:#?}");
    assert_eq!(account_requests(&simulator), before, "no list where none is needed");
}

#[tokio::test]
async fn a_file_without_accounts_and_the_older_pair_are_enough_too() {
    let (simulator, database, namespace) = service().await;
    simulator.add_key(ACCOUNT, "me@example.com", "a-global-key");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("inventory.toml"), "limit = 13\n").unwrap();
    let args = [
        "sync",
        "--quota",
        "1000000/1s",
        "--cursors",
        "1",
        "--config",
        "inventory.toml",
    ];
    let mut command = program_in(&folder, &simulator, &database, &args);
    command
        .env("CLOUDFLARE_EMAIL", "me@example.com")
        .env("CLOUDFLARE_API_KEY", "a-global-key");
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(simulator.requests_to(&namespace).len(), 2, "the file's limit");

    std::fs::write(
        folder.path().join("inventory.toml"),
        "[[accounts]]\napi_token_env = 'T'\n",
    )
    .unwrap();
    let ended = run(program_in(&folder, &simulator, &database, &args));
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains("inventory.toml:1: accounts: missing key `id`: write the account's id"),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn several_accounts_are_shown_and_none_is_taken() {
    let (simulator, database, _) = service().await;
    simulator.name_account(&format!("{:032x}", 1), "Example\nInc.");
    for n in 1..70 {
        simulator.add_account(&format!("{n:032x}"), TOKEN);
    }
    for args in [SYNC, &["check"]] {
        let before = account_requests(&simulator);
        let ended = with_token_alone(&simulator, &database, args);
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        let shown = match args {
            ["check"] => &ended.stdout,
            _ => &ended.stderr,
        };
        for part in [
            "no account is named, and these credentials see 70\n",
            "  00000000000000000000000000000001  Example\\u{a}Inc.\n",
            "  00000000000000000000000000000002\n",
            "  and 20 more\n",
            "CLOUDFLARE_ACCOUNT_ID=ID",
            "--account ID",
        ] {
            assert!(shown.contains(part), "no {part:?}: {ended:#?}");
        }
        assert_eq!(account_requests(&simulator) - before, 2, "pages of 50");
    }
    assert_eq!(simulator.requests().len(), 4, "nothing else was requested");
    let folder = tempfile::tempdir().unwrap();
    let mut command = program_in(&folder, &simulator, &database, SYNC);
    command
        .env("CLOUDFLARE_API_TOKEN", TOKEN)
        .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT);
    assert_eq!(run(command).code, Some(0));
}

/// The list is read with the same suspicion as that of namespaces.
#[tokio::test]
async fn a_list_that_may_be_cut_short_is_not_believed() {
    let (simulator, database, _) = service().await;
    type Edit = fn(&mut serde_json::Value);
    let cases: [(Edit, &str); 5] = [
        (
            |list| list["result_info"]["total_count"] = json!(2),
            "its total_count is 2",
        ),
        (
            |list| list["result"][0]["id"] = json!("../x"),
            "it has a row that can't be used",
        ),
        (|list| list["result"][0] = json!(7), "it has a row that can't be used"),
        (
            |list| list["result"] = json!(null),
            "it lists 0, but its total_count is 1",
        ),
        (
            |list| {
                list["result"] = json!([]);
                list["result_info"] = json!({ "count": 0 });
            },
            "these credentials see none: an API token needs the account among its resources, and the permission",
        ),
    ];
    for (edit, doubt) in cases {
        simulator.with(|state| state.account_faults.clear());
        simulator.accounts_fault(When::Always, Fault::json(edit));
        let ended = with_token_alone(&simulator, &database, SYNC);
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        for part in ["no account is named", doubt, "CLOUDFLARE_ACCOUNT_ID"] {
            assert!(ended.stderr.contains(part), "no {part:?}: {ended:#?}");
        }
    }
    assert_eq!(account_requests(&simulator), simulator.requests().len());
}

#[tokio::test]
async fn a_list_that_is_refused_says_what_to_do() {
    let (simulator, database, _) = service().await;
    for (answer, reason) in [
        (
            Answer::error(401, 10000, "Authentication error"),
            "HTTP 401: Authentication error",
        ),
        (Answer::error(403, 9109, "Unauthorized"), "may not list accounts"),
        (Answer::error(404, 7000, "No route"), "check the API base URL"),
    ] {
        simulator.with(|state| state.account_faults.clear());
        simulator.accounts_fault(When::Always, Fault::Answer(answer));
        for (args, code) in [(SYNC, 1), (&["check"], 2)] {
            let ended = with_token_alone(&simulator, &database, args);
            assert_eq!(ended.code, Some(code), "{ended:#?}");
            let shown = format!("{}{}", ended.stdout, ended.stderr);
            for part in [
                "no account is named, and the list of accounts can't be read",
                reason,
                "CLOUDFLARE_ACCOUNT_ID=ID",
            ] {
                assert!(shown.contains(part), "no {part:?}: {ended:#?}");
            }
        }
    }
}

#[tokio::test]
async fn the_list_counts_in_the_quota_and_is_retried() {
    let (simulator, database, namespace) = service().await;
    simulator.accounts_fault(When::Nth(1), Fault::too_many(Some("1")));
    simulator.accounts_fault(When::Nth(2), Fault::Reset);
    let args = [
        "sync",
        "--cursors",
        "1",
        "--limit",
        "10",
        "--quota",
        "3/2s",
        "--quota-share",
        "100",
    ];
    let ended = with_token_alone(&simulator, &database, &args);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(
        (account_requests(&simulator), simulator.requests_to(&namespace).len()),
        (3, 3)
    );
    assert!(simulator.max_in_window(Duration::from_millis(1_900)) <= 3);

    simulator.accounts_fault(When::Always, Fault::Delay(Duration::from_secs(60)));
    let ended = with_token_alone(&simulator, &database, &["sync", "--deadline", "1s"]);
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(ended.stderr.contains("the deadline passed"), "{ended:#?}");
}
