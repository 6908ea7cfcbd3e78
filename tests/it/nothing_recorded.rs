//! Before the first sync: commands that only read say so, and create neither a folder nor a schema.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::database::fresh_database;
use crate::support::ledger::texts;
use crate::support::program::{Ended, bare, program, run, simulator, sync};

const OBJECT: &str = "fe7803fc55b964e09d94666545aab688d360c6bda69ba349ced1e5f28d2fc2c8";

/// Commands, and what they end with: a list or a figure is empty, and an answer that needs a record is an error.
const COMMANDS: [(&[&str], i32); 19] = [
    (&["report"], 0),
    (&["status", "--namespace", "chat_*"], 0),
    (&["namespaces"], 0),
    (&["ls"], 0),
    (&["list", "--account", "another"], 0),
    (&["snapshots", "--namespace", "chat_*"], 0),
    (&["prune", "--older-than", "1d", "--dry-run"], 0),
    (&["prune", "--older-than", "1d"], 0),
    (&["history", OBJECT], 1),
    (&["export", "objects"], 1),
    (&["export", "changes", "--since", "7d ago"], 1),
    (&["export", "history"], 1),
    (&["diff", "7d ago", "latest"], 2),
    (&["diff", "Cargo.toml", "latest"], 2),
    (&["snapshots", "accept", "1"], 1),
    (&["snapshots", "discard", "1"], 1),
    (&["namespaces", "retire", "chat_Room"], 1),
    (&["namespaces", "accept-missing"], 1),
    (&["export", "objects", "--ids-only"], 1),
];

/// Asserts that nothing but the sentence was said, with the option that the call had in the command that it suggests.
fn says(ended: &Ended, code: i32, data_dir: Option<&Path>) {
    let option = data_dir.map_or_else(String::new, |dir| format!("--data-dir {} ", dir.display()));
    let sentence = format!("nothing recorded yet; run `durable-inventory {option}sync` first\n");
    let said = match code {
        0 => (sentence, String::new()),
        _ => (String::new(), format!("error: {sentence}")),
    };
    assert_eq!(
        (ended.code, (ended.stdout.clone(), ended.stderr.clone())),
        (Some(code), said)
    );
}

#[tokio::test]
async fn nothing_is_created_in_a_folder() {
    let simulator = simulator().await;
    let database = fresh_database().await;
    let folder = tempfile::tempdir().unwrap();
    let (missing, empty) = (folder.path().join("missing"), folder.path().join("empty"));
    fs::create_dir(&empty).unwrap();
    for data in [&missing, &empty] {
        let command = |args: &[&str]| {
            program(
                &simulator,
                &database,
                &[&["--data-dir", data.to_str().unwrap()], args].concat(),
            )
        };
        for (args, code) in COMMANDS {
            says(&run(command(args)), code, Some(data));
        }
        says(&run(command(&["psql", "-c", "select 1"])), 1, Some(data));
        let page = run(command(&["report", "--html", "-"]));
        assert!(
            page.code == Some(0) && page.stdout.contains("recorded yet"),
            "{page:#?}"
        );
    }
    assert!(!missing.exists());
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    assert!(simulator.requests().is_empty());
}

#[tokio::test]
async fn nothing_is_created_in_a_database() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    for (args, code) in COMMANDS {
        says(&run(program(&simulator, &database, args)), code, None);
    }
    says(
        &run(program(&simulator, &database, &["report", "--no-migrate"])),
        0,
        None,
    );
    let schemas = "select nspname::text from pg_namespace where nspname = 'inventory' and $1 = ''";
    assert_eq!(texts(&database, schemas, "").await, [""; 0]);
}

#[tokio::test]
async fn json_stays_valid() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let json = |args: &[&str]| run(program(&simulator, &database, &[args, &["--json"]].concat()));
    for list in ["namespaces", "snapshots"] {
        let ended = json(&[list]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:#?}");
    }
    let report = json(&["report"]).json();
    assert_eq!(
        (&report["version"], &report["totals"]["objects"]),
        (&1.into(), &0.into()),
        "{report}"
    );
    assert_eq!(
        json(&["prune", "--older-than", "1d"]).json()["namespaces"],
        serde_json::json!([])
    );
}

/// A sync that recorded no namespace leaves an empty record, which is like none.
#[tokio::test]
async fn an_account_without_namespaces_is_nothing_recorded() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    let answers = COMMANDS
        .into_iter()
        .filter(|(args, _)| args.len() < 3 && args[1..] != ["accept-missing"]);
    for (args, code) in answers {
        says(&run(program(&simulator, &database, args)), code, None);
    }
}

/// The dataset is whole, but it can't be compared with a record that is not there.
#[tokio::test]
async fn verify_creates_nothing_either() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(crate::support::program::ACCOUNT, "chat_Room");
    simulator.seed(&namespace, 5, 1);
    let folder = tempfile::tempdir().unwrap();
    let (dataset, missing) = (folder.path().join("dataset"), folder.path().join("missing"));
    let synced = run(sync(&simulator, &database, &["--export", dataset.to_str().unwrap()]));
    assert_eq!(synced.code, Some(0), "{synced:#?}");
    let mut verify: Command = bare(&["export", "verify"]);
    verify.arg(&dataset).arg("--data-dir").arg(&missing);
    says(&run(verify), 1, Some(&missing));
    assert!(!missing.exists());
}
