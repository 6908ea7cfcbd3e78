//! A held snapshot, decided about by the name of its namespace, and what is shown before.

use std::process::Stdio;

use cloudflare_simulator::Simulator;
use rustix::process::{Pid, Signal, kill_process};

use super::{HELD, decide, held, number, objects, with_mass_removal};
use crate::support::database::TestDatabase;
use crate::support::program::{ACCOUNT, Ended, TOKEN, program, run, sync};
use crate::support::terminal::Terminal;

#[tokio::test]
async fn what_a_held_snapshot_changes_is_shown_before_it_is_published() {
    let (simulator, database, namespace) = with_mass_removal().await;
    simulator.put_object(&namespace, [7; 32], None);
    let id = held(&simulator, &database);
    let accepted = decide(&simulator, &database, &["snapshots", "accept", &id]);
    assert_eq!(accepted.code, Some(0), "{accepted:#?}");
    let shown = format!("snapshot {id} of chat_Room, taken 20");
    assert!(accepted.stderr.contains(&shown), "{accepted:#?}");
    let unknown = simulator
        .truth(&namespace)
        .into_values()
        .filter(Option::is_none)
        .count();
    let counts = format!("Z: 70 objects (100 recorded now), 1 created, 31 removed, {unknown} unknown\n");
    assert!(accepted.stderr.contains(&counts), "{accepted:#?}");
}

/// Decides by the namespace's name on a terminal, and answers the question. Returns the exit code.
async fn answer(simulator: &Simulator, database: &TestDatabase, args: &[&str], typed: Option<&str>) -> Option<i32> {
    let terminal = Terminal::open();
    let mut command = program(simulator, database, args);
    command.stdin(terminal.end()).stderr(terminal.end());
    let child = command.spawn().unwrap();
    let pid = Pid::from_child(&child);
    let mut terminal = terminal.shows("? [y/N] ").await;
    match typed {
        Some(typed) => terminal.types(typed),
        None => kill_process(pid, Signal::INT).unwrap(),
    }
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
    Ended::from(ended.await.unwrap()).code
}

#[tokio::test]
async fn a_name_is_enough_on_a_terminal_once_a_person_says_yes() {
    let (simulator, database, namespace) = with_mass_removal().await;
    held(&simulator, &database);
    let accept = ["snapshots", "accept", "chat_Room"];
    // \x04 is Ctrl-D, the end of the input; no answer stands for Ctrl-C.
    for (typed, code) in [
        (Some("\n"), 1),
        (Some("no\n"), 1),
        (Some("yes please\n"), 1),
        (Some("\x04"), 1),
        (None, 130),
    ] {
        let ended = answer(&simulator, &database, &accept, typed).await;
        assert_eq!(ended, Some(code), "{typed:?}");
        assert_eq!(number(&database, HELD).await, 1, "{typed:?}");
    }
    assert_eq!(answer(&simulator, &database, &accept, Some("y\n")).await, Some(0));
    assert_eq!(objects(&database).await, 69);

    let lost: Vec<_> = simulator.truth(&namespace).into_keys().take(31).collect();
    lost.iter().for_each(|id| simulator.remove_object(&namespace, id));
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(5));
    let discard = ["snapshots", "discard", &namespace.to_uppercase()];
    assert_eq!(answer(&simulator, &database, &discard, Some("YES\n")).await, Some(0));
    assert_eq!(number(&database, HELD).await, 0);
    assert_eq!(objects(&database).await, 69);
}

#[tokio::test]
async fn without_a_terminal_a_name_is_answered_with_the_command() {
    let (simulator, database, _) = with_mass_removal().await;
    let id = held(&simulator, &database);
    let terminal = Terminal::open();
    for stdin in [Stdio::null(), terminal.end()] {
        let mut command = program(&simulator, &database, &["snapshots", "accept", "chat_Room"]);
        command.stdin(stdin);
        let ended = run(command);
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        let command = format!("`durable-inventory snapshots accept {id}`");
        assert!(ended.stderr.contains(&command), "{ended:#?}");
    }
    for (args, told) in [
        (["snapshots", "discard", "kept"], "kept has no held snapshot"),
        (
            ["snapshots", "discard", "chat_room"],
            "no namespace chat_room is recorded",
        ),
        (
            ["snapshots", "accept", "99999999999"],
            "no namespace 99999999999 is recorded",
        ),
    ] {
        let ended = decide(&simulator, &database, &args);
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        assert!(ended.stderr.contains(told), "{ended:#?}");
    }
    assert_eq!(number(&database, HELD).await, 1);
}

#[tokio::test]
async fn a_name_that_two_accounts_have_is_answered_with_both_commands() {
    let (simulator, database, namespace) = with_mass_removal().await;
    let elsewhere = "f".repeat(32);
    simulator.add_account(&elsewhere, TOKEN);
    let other = simulator.add_namespace(&elsewhere, "chat_Room");
    simulator.seed(&other, 20, 3);
    let on = |account: &str| run(sync(&simulator, &database, &["--account", account]));
    assert_eq!(on(&elsewhere).code, Some(0));
    for id in simulator.truth(&other).into_keys().take(15) {
        simulator.remove_object(&other, &id);
    }
    // Only one of them has a held snapshot yet.
    let held_id = |ended: Ended| ended.json()["namespaces"][0]["snapshot_id"].to_string();
    let first = held_id(on(ACCOUNT));
    let only = decide(&simulator, &database, &["snapshots", "accept", "chat_Room"]);
    assert!(only.stderr.contains(&format!("snapshots accept {first}`")), "{only:#?}");

    let second = held_id(on(&elsewhere));
    let both = decide(&simulator, &database, &["snapshots", "accept", "chat_Room"]);
    assert_eq!(both.code, Some(1), "{both:#?}");
    for (id, namespace, account) in [(&first, &namespace, ACCOUNT), (&second, &other, &elsewhere)] {
        let told = format!("`durable-inventory snapshots accept {id}` (namespace {namespace} in account {account})");
        assert!(both.stderr.contains(&told), "{both:#?}");
    }
    let by_id = decide(&simulator, &database, &["snapshots", "accept", &other]);
    assert!(
        by_id.stderr.contains(&format!("snapshots accept {second}`")),
        "{by_id:#?}"
    );
    assert_eq!(number(&database, HELD).await, 2);
}
