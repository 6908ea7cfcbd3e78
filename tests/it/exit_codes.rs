//! How `sync` ends, as cron sees it: every exit code of the program, and what the next run makes of it.

use std::process::{Child, Command, Stdio};

use cloudflare_simulator::{Fault, Simulator, When};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::{everything, objects, statuses, texts, truth};
use crate::support::program::{ACCOUNT, Ended, program, run, simulator, sync};

const LIMIT: &[&str] = &["--limit", "100"];

/// An account with one namespace of three pages.
async fn service() -> (Simulator, TestDatabase, String) {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 250, 1);
    (simulator, database, namespace)
}

fn start(simulator: &Simulator, database: &TestDatabase, more: &[&str]) -> Child {
    sync(simulator, database, &[LIMIT, more].concat()).spawn().unwrap()
}

fn end(child: Child) -> Ended {
    child.wait_with_output().unwrap().into()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

async fn run_outcomes(database: &TestDatabase) -> Vec<String> {
    texts(
        database,
        "select outcome from inventory.runs where $1 = '' order by run_id",
        "",
    )
    .await
}

/// The next run resumes after the committed page, requests no page twice, and records the truth.
async fn the_next_run_resumes(simulator: &Simulator, database: &TestDatabase, namespace: &str) {
    let before = simulator.requests_to(namespace).len();
    let next = end(start(simulator, database, &[]));
    assert_eq!(next.code, Some(0), "{next:#?}");
    let told = &next.json()["namespaces"][0];
    assert_eq!(told["resumed"], 1, "{next:#?}");
    assert_eq!(
        (&told["pages"], &told["objects"]),
        (&3.into(), &250.into()),
        "{next:#?}"
    );
    let resumed = simulator.requests_to(namespace).split_off(before);
    assert!(
        resumed.iter().all(|request| request.param("cursor").is_some()),
        "page 1 again"
    );
    assert_eq!(objects(database, namespace).await, truth(simulator, namespace));
    assert_eq!(statuses(database, namespace).await, ["complete"], "one snapshot in all");
}

#[tokio::test]
async fn done_is_0_and_usage_is_2() {
    let (simulator, database, _) = service().await;
    let ended = end(start(&simulator, &database, &[]));
    assert_eq!(
        (ended.code, &ended.json()["outcome"]),
        (Some(0), &"done".into()),
        "{ended:#?}"
    );
    for wrong in [
        &["--limit", "9"][..],
        &["--deadline", "soon"],
        &["--quota", "0/1s"],
        &["--no-such-option"],
        &["--account", "a b"],
        &["stray"],
    ] {
        let ended = run(sync(&simulator, &database, wrong));
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{wrong:?}: {ended:#?}"
        );
        assert!(ended.stderr.contains(wrong[0]), "{wrong:?}: {ended:#?}");
    }
    assert_eq!(run_outcomes(&database).await, ["done"], "wrong usage is no run");
}

#[tokio::test]
async fn all_failed_is_1_and_some_failed_is_3() {
    let (simulator, database, namespace) = service().await;
    let broken = Fault::cursors_differ();
    simulator.fault(&namespace, When::Always, broken);
    let ended = end(start(&simulator, &database, &[]));
    assert_eq!(
        (ended.code, &ended.json()["outcome"]),
        (Some(1), &"failed".into()),
        "{ended:#?}"
    );
    simulator.add_namespace(ACCOUNT, "other");
    let ended = end(start(&simulator, &database, &[]));
    assert_eq!(
        (ended.code, &ended.json()["outcome"]),
        (Some(3), &"partial".into()),
        "{ended:#?}"
    );
    let ended = end(start(&simulator, &database, &["--namespace", "othr"]));
    assert_eq!(ended.code, Some(2), "a typo: {ended:#?}");
    assert!(ended.stderr.contains("did you mean other?"), "{ended:#?}");
    assert_eq!(run_outcomes(&database).await, ["failed", "partial", "failed"]);
}

#[tokio::test]
async fn nothing_could_be_recorded_is_1() {
    let (simulator, database, _) = service().await;
    let mut command = sync(&simulator, &database, &[]);
    command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere?sslmode=disable");
    let ended = run(command);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:#?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
    assert!(ended.stderr.contains("refused"), "the cause is told: {ended:#?}");
    assert!(simulator.requests().is_empty(), "the store comes first");
}

#[tokio::test]
async fn a_namespace_that_another_run_holds_is_4() {
    let (simulator, database, namespace) = service().await;
    let hold = simulator.hold_at(&namespace, 2);
    let first = start(&simulator, &database, &[]);
    hold.wait_until_held().await;
    let second = end(start(&simulator, &database, &[]));
    assert_eq!(
        (second.code, &second.json()["outcome"]),
        (Some(4), &"busy".into()),
        "{second:#?}"
    );
    assert_eq!(second.json()["namespaces"][0]["status"], "busy");
    assert_eq!(simulator.requests_to(&namespace).len(), 2, "it asks for nothing");

    // A namespace that no other run holds is walked.
    let other = simulator.add_namespace(ACCOUNT, "other");
    let third = end(start(&simulator, &database, &[]));
    assert_eq!(third.code, Some(0), "{third:#?}");
    assert_eq!(statuses(&database, &other).await, ["complete"]);

    hold.release();
    let first = end(first);
    assert_eq!(first.code, Some(0), "{first:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    assert_eq!(run_outcomes(&database).await, ["done", "busy", "done"]);
}

#[tokio::test]
async fn a_mass_removal_is_5_until_it_is_accepted() {
    let (simulator, database, namespace) = service().await;
    assert_eq!(end(start(&simulator, &database, &[])).code, Some(0));
    let before = everything(&database, &namespace).await;
    let ids: Vec<_> = simulator.truth(&namespace).into_keys().collect();
    for id in &ids[..76] {
        simulator.remove_object(&namespace, id);
    }
    let ended = end(start(&simulator, &database, &[]));
    assert_eq!(
        (ended.code, &ended.json()["outcome"]),
        (Some(5), &"held".into()),
        "{ended:#?}"
    );
    let why = ended.json()["namespaces"][0]["error"].as_str().unwrap().to_owned();
    assert!(
        why.contains("76 of 250") && why.contains("snapshots accept"),
        "{ended:#?}"
    );
    assert_eq!(everything(&database, &namespace).await, before);

    // Losing one object is not a mass removal.
    simulator.put_object(&namespace, ids[0], Some(true));
    assert_eq!(end(start(&simulator, &database, &[])).code, Some(0));
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    assert_eq!(
        statuses(&database, &namespace).await,
        ["complete", "superseded", "complete"]
    );

    for id in &ids[..175] {
        simulator.remove_object(&namespace, id);
    }
    assert_eq!(end(start(&simulator, &database, &[])).code, Some(5));
    assert_eq!(end(start(&simulator, &database, &["--accept-removals"])).code, Some(0));
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
}

#[tokio::test]
async fn a_signal_is_130_and_the_next_run_resumes() {
    for how in [Signal::TERM, Signal::INT] {
        let (simulator, database, namespace) = service().await;
        let hold = simulator.hold_at(&namespace, 3);
        let child = start(&simulator, &database, &[]);
        hold.wait_until_held().await;
        signal(&child, how);
        let ended = end(child);
        assert_eq!(
            (ended.code, &ended.json()["outcome"]),
            (Some(130), &"interrupted".into()),
            "{ended:#?}"
        );
        assert_eq!(ended.json()["namespaces"][0]["status"], "interrupted");
        assert_eq!(statuses(&database, &namespace).await, ["interrupted"]);
        assert_eq!(objects(&database, &namespace).await, [], "nothing is visible before");
        the_next_run_resumes(&simulator, &database, &namespace).await;
        assert_eq!(run_outcomes(&database).await, ["interrupted", "done"]);
    }
}

/// A hangup ends the run like a signal, unless the program was started to outlive its terminal.
#[tokio::test]
async fn a_hangup_is_130_but_not_under_nohup() {
    let (simulator, database, namespace) = service().await;
    for (disposition, code) in [("--default-signal=HUP", 130), ("--ignore-signal=HUP", 0)] {
        let hold = simulator.hold_at(&namespace, 2);
        let child = with_signals(disposition, sync(&simulator, &database, &["--limit", "100"]));
        hold.wait_until_held().await;
        signal(&child, Signal::HUP);
        let ended = match code {
            0 => {
                hold.release();
                end(child)
            }
            _ => end(child),
        };
        assert_eq!(ended.code, Some(code), "{disposition}: {ended:#?}");
    }
}

/// Runs the command with this disposition of a signal, which children inherit.
fn with_signals(disposition: &str, command: Command) -> Child {
    let mut changed = Command::new("env");
    changed
        .arg(disposition)
        .arg(command.get_program())
        .args(command.get_args());
    changed.env_clear();
    for (name, value) in command.get_envs() {
        changed.envs(value.map(|value| (name, value)));
    }
    changed
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    changed.spawn().unwrap()
}

/// A wrong address that never returned a list must not become the one that the record is bound to.
#[tokio::test]
async fn an_api_that_listed_nothing_binds_nothing() {
    let (simulator, database, _) = service().await;
    let mut elsewhere = sync(&simulator, &database, &["--retry-for", "1ms"]);
    elsewhere.env("CLOUDFLARE_API_BASE_URL", "http://127.0.0.1:1/client/v4");
    let ended = run(elsewhere);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(
        ended.stderr.contains("cannot connect to the API (127.0.0.1:1)"),
        "{ended:#?}"
    );
    assert_eq!(end(start(&simulator, &database, &[])).code, Some(0));
    let mut other = program(&simulator, &database, &["check"]);
    other.env("CLOUDFLARE_API_BASE_URL", "http://127.0.0.1:1/client/v4");
    let ended = run(other);
    assert!(ended.stdout.contains("WRONG  record: account"), "{ended:#?}");
}

#[tokio::test]
async fn a_signal_while_namespaces_are_listed_is_130_too() {
    let (simulator, database, namespace) = service().await;
    simulator.list_fault(ACCOUNT, When::Nth(1), Fault::Delay(std::time::Duration::from_secs(600)));
    let child = start(&simulator, &database, &[]);
    while simulator.requests().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    signal(&child, Signal::TERM);
    let ended = end(child);
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert_eq!(statuses(&database, &namespace).await, [""; 0]);
    assert_eq!(end(start(&simulator, &database, &[])).code, Some(0));
}

#[tokio::test]
async fn after_a_kill_the_next_run_resumes() {
    let (simulator, database, namespace) = service().await;
    let hold = simulator.hold_at(&namespace, 3);
    let mut command = sync(&simulator, &database, LIMIT);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    hold.wait_until_held().await;
    // Page 2 is committed while the request for page 3 is pending.
    let committed = "select pages::text from inventory.snapshots where namespace_id = $1";
    while texts(&database, committed, &namespace).await != ["2"] {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    the_next_run_resumes(&simulator, &database, &namespace).await;
    assert_eq!(run_outcomes(&database).await, ["interrupted", "done"]);
}

#[tokio::test]
async fn the_deadline_is_3_and_the_next_run_resumes() {
    let (simulator, database, namespace) = service().await;
    let _hold = simulator.hold_at(&namespace, 3);
    let ended = end(start(&simulator, &database, &["--deadline", "3s"]));
    assert_eq!(
        (ended.code, &ended.json()["outcome"]),
        (Some(3), &"partial".into()),
        "{ended:#?}"
    );
    let told = &ended.json()["namespaces"][0];
    assert_eq!(told["status"], "interrupted");
    assert!(told["error"].as_str().unwrap().contains("the deadline passed"));
    assert_eq!(statuses(&database, &namespace).await, ["interrupted"]);
    the_next_run_resumes(&simulator, &database, &namespace).await;
    assert_eq!(run_outcomes(&database).await, ["partial", "done"]);

    // A run that finishes early does not wait for its deadline.
    let ended = end(start(&simulator, &database, &["--deadline", "1h"]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

#[tokio::test]
async fn a_deadline_while_namespaces_are_listed_is_3_too() {
    let (simulator, database, namespace) = service().await;
    let slow = Fault::Delay(std::time::Duration::from_secs(600));
    simulator.list_fault(ACCOUNT, When::Nth(1), slow);
    let ended = end(start(&simulator, &database, &["--deadline", "3s"]));
    assert_eq!(
        (ended.code, &ended.json()["outcome"]),
        (Some(3), &"partial".into()),
        "{ended:#?}"
    );
    assert_eq!(statuses(&database, &namespace).await, [""; 0]);
}
