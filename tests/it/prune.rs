//! `prune` through the real program: its output, what it keeps, and how it behaves when it is killed or meets a run.
//! The tests in `record_model` check that every query stays correct.

use cloudflare_simulator::Simulator;
use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::{everything, objects, statuses, texts, truth};
use crate::support::program::{ACCOUNT, Ended, program, run, simulator, sync};

struct Recorded {
    simulator: Simulator,
    database: TestDatabase,
    namespace: String,
}

/// Four snapshots of one namespace. Each one after the first removes, flips and creates objects.
async fn recorded() -> Recorded {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    let recorded = Recorded {
        simulator,
        database,
        namespace,
    };
    for seed in 1..=4 {
        recorded.simulator.seed(&recorded.namespace, 200, seed);
        recorded.sync(&[]);
    }
    recorded
}

impl Recorded {
    fn sync(&self, more: &[&str]) {
        let ended = run(sync(
            &self.simulator,
            &self.database,
            &[&["--accept-removals"], more].concat(),
        ));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }

    fn run(&self, args: &[&str]) -> Ended {
        run(program(&self.simulator, &self.database, args))
    }

    /// Prunes all history up to now.
    fn prune(&self, more: &[&str]) -> Ended {
        self.run(&[&["prune", "--older-than", "1ms"], more].concat())
    }

    async fn number(&self, sql: &'static str) -> u64 {
        texts(&self.database, sql, &self.namespace).await[0].parse().unwrap()
    }

    async fn left(&self) -> u64 {
        self.number("select count(*)::text from inventory.closed_interval where $1 <> ''")
            .await
    }
}

fn only(json: &Value) -> &Value {
    assert_eq!(json["namespaces"].as_array().unwrap().len(), 1, "{json}");
    &json["namespaces"][0]
}

#[tokio::test]
async fn a_dry_run_tells_what_goes_and_writes_nothing() {
    let recorded = recorded().await;
    let before = everything(&recorded.database, &recorded.namespace).await;
    let closed = recorded.left().await;
    let told = recorded.prune(&["--dry-run", "--output", "json"]);
    assert_eq!(told.code, Some(0), "{told:#?}");
    assert_eq!(only(&told.json())["intervals"], closed);
    assert_eq!(everything(&recorded.database, &recorded.namespace).await, before);
    assert_eq!(
        recorded.run(&["export", "objects", "--as-of", "latest~3"]).code,
        Some(0)
    );

    let dropped = recorded.prune(&["--output", "json"]);
    assert_eq!(dropped.code, Some(0), "{dropped:#?}");
    let (mut told, dropped) = (told.json(), dropped.json());
    told["dry_run"] = false.into();
    assert_eq!(only(&told)["status"], "would_prune");
    told["namespaces"][0]["status"] = "pruned".into();
    told["namespaces"][0]["horizon"] = only(&dropped)["horizon"].clone();
    assert_eq!(told, dropped);
    assert_eq!(only(&told)["snapshots"], 3, "the newest stays");
    for more in [&["--output", "json"][..], &["--output", "json", "--dry-run"]] {
        assert_eq!(only(&recorded.prune(more).json())["status"], "unchanged");
    }
    assert_eq!(recorded.left().await, 0);
    assert_eq!(
        recorded
            .number("select count(*)::text from inventory.snapshots where namespace_id = $1")
            .await,
        1
    );
    assert_eq!(
        objects(&recorded.database, &recorded.namespace).await,
        truth(&recorded.simulator, &recorded.namespace)
    );
    assert_eq!(recorded.run(&["check", "--deep"]).code, Some(0));
}

#[tokio::test]
async fn what_is_younger_stays() {
    let recorded = recorded().await;
    let before = everything(&recorded.database, &recorded.namespace).await;
    let ended = recorded.run(&["prune", "--older-than", "1h"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(
        ended.stdout,
        "deleted 0 intervals, 0 snapshots, 0 leftover rows and 0 runs\n"
    );
    assert_eq!(everything(&recorded.database, &recorded.namespace).await, before);
    let ended = recorded.run(&["prune"]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stderr.contains("--older-than"), "{ended:#?}");
}

/// Nobody reads the output of a cron job, so a misspelled name would keep all history unnoticed.
#[tokio::test]
async fn names_that_nothing_has_are_an_error() {
    let recorded = recorded().await;
    let closed = recorded.left().await;
    for more in [
        &["--namespace", "romo"][..],
        &["--namespace", "romo", "--output", "json"],
    ] {
        let ended = recorded.prune(more);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:#?}");
        assert!(
            ended.stderr.contains("no recorded namespace matches romo"),
            "{ended:#?}"
        );
    }
    assert_eq!(recorded.left().await, closed);
}

#[tokio::test]
async fn moments_before_the_horizon_are_refused_in_so_many_words() {
    let recorded = recorded().await;
    let first = texts(
        &recorded.database,
        "select recorded_at::text || '|' || snapshot_id from inventory.snapshots where namespace_id = $1 order by 1",
        &recorded.namespace,
    )
    .await;
    let (at, id) = first[0].split_once('|').unwrap();
    let at = at.replace(' ', "T").replace("+00", "Z");
    assert_eq!(recorded.prune(&[]).code, Some(0));
    for moment in [at.as_str(), "latest~2", id] {
        for args in [
            &["export", "objects", "--as-of", moment][..],
            &["export", "changes", "--since", moment],
            &["export", "history", "--until", moment],
        ] {
            let ended = recorded.run(args);
            assert_eq!(
                (ended.code, ended.stdout.as_str()),
                (Some(1), ""),
                "{args:?}: {ended:#?}"
            );
            assert!(ended.stderr.contains("was pruned"), "{args:?}: {ended:#?}");
        }
    }
    for ended in [
        recorded.run(&["export", "objects"]),
        recorded.run(&["export", "objects", "--as-of", "1ms ago"]),
    ] {
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(ended.stdout.lines().count(), 201);
    }
    // The remaining rows, with a note about the pruned ones.
    let changes = recorded.run(&["export", "changes"]);
    assert_eq!(
        (changes.code, changes.stdout.lines().count()),
        (Some(0), 1),
        "{changes:#?}"
    );
    assert!(
        changes.stderr.contains("its history before that was pruned"),
        "{changes:#?}"
    );
}

#[tokio::test]
async fn an_object_that_comes_back_was_first_seen_when_it_was() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    let recorded = Recorded {
        simulator,
        database,
        namespace,
    };
    recorded.simulator.seed(&recorded.namespace, 20, 1);
    recorded.sync(&[]);
    let (id, flag) = recorded
        .simulator
        .truth(&recorded.namespace)
        .into_iter()
        .next()
        .unwrap();
    let first_seen =
        |recorded: &Recorded| recorded.run(&["history", "--output", "json", &cloudflare_simulator::hex(&id)]);
    let baseline = first_seen(&recorded).json()["first_seen_at"].clone();
    recorded.simulator.remove_object(&recorded.namespace, &id);
    recorded.sync(&[]);
    assert_eq!(recorded.prune(&[]).code, Some(0));
    let gone = first_seen(&recorded);
    assert_eq!(gone.code, Some(1), "{gone:#?}");
    assert!(gone.stderr.contains("was first seen at"), "{gone:#?}");

    recorded.simulator.put_object(&recorded.namespace, id, flag);
    recorded.sync(&[]);
    assert_eq!(first_seen(&recorded).json()["first_seen_at"], baseline);
    let shown = recorded.run(&["history", &cloudflare_simulator::hex(&id)]);
    assert!(shown.stdout.contains("(pruned)"), "{shown:#?}");
}

#[tokio::test]
async fn killed_half_way_the_next_prune_drops_the_rest() {
    let recorded = recorded().await;
    let closed = recorded.left().await;
    let present = objects(&recorded.database, &recorded.namespace).await;
    // A row of the last batch is locked: the prune waits for it after committing the others.
    let mut session = PgConnection::connect_with(&recorded.database.options).await.unwrap();
    let mut transaction = session.begin().await.unwrap();
    let of_last = "select id from inventory.closed_interval order by to_snapshot desc limit 1 for update";
    transaction.execute(of_last).await.unwrap();
    let mut child = program(
        &recorded.simulator,
        &recorded.database,
        &["prune", "--older-than", "1ms"],
    )
    .spawn()
    .unwrap();
    let waits = "select count(*)::text from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock' and $1 <> ''";
    while recorded.number(waits).await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    transaction.rollback().await.unwrap();
    session.close().await.unwrap();
    let left = recorded.left().await;
    assert!(0 < left && left < closed, "{left} of {closed}");
    assert_eq!(
        recorded.run(&["export", "objects", "--as-of", "latest~1"]).code,
        Some(1)
    );

    let ended = recorded.prune(&["--output", "json"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(recorded.left().await, 0);
    assert_eq!(objects(&recorded.database, &recorded.namespace).await, present);
}

#[tokio::test]
async fn a_namespace_that_a_run_holds_is_left_out() {
    let recorded = recorded().await;
    let hold = recorded.simulator.hold_at(&recorded.namespace, 1);
    let running = sync(&recorded.simulator, &recorded.database, &[]).spawn().unwrap();
    hold.wait_until_held().await;
    let closed = recorded.left().await;
    let all = recorded.prune(&[]);
    assert_eq!(all.code, Some(1), "{all:#?}");
    assert!(all.stderr.contains("a run is syncing every namespace"), "{all:#?}");
    assert_eq!(recorded.left().await, closed);
    // If another namespace is free, the busy one is only skipped.
    let other = recorded.simulator.add_namespace(ACCOUNT, "other");
    recorded.simulator.seed(&other, 10, 1);
    recorded.sync(&["--namespace", "other"]);
    let some = recorded.prune(&[]);
    assert_eq!(some.code, Some(0), "{some:#?}");
    assert!(some.stderr.contains("room is skipped"), "{some:#?}");
    assert_eq!(recorded.left().await, closed);
    hold.release();
    let running: Ended = running.wait_with_output().unwrap().into();
    assert_eq!(running.code, Some(0), "{running:#?}");
}

/// An abandoned interrupted walk, and runs that recorded nothing.
#[tokio::test]
async fn leftovers_go_too() {
    let recorded = recorded().await;
    recorded.simulator.seed(&recorded.namespace, 200, 9);
    let _hold = recorded.simulator.hold_at(&recorded.namespace, 2);
    let cut = run(sync(
        &recorded.simulator,
        &recorded.database,
        &["--limit", "100", "--deadline", "3s"],
    ));
    assert_eq!(cut.code, Some(3), "{cut:#?}");
    let staged = "select count(*)::text from inventory.staged_change where $1 <> ''";
    assert!(recorded.number(staged).await > 0, "{cut:#?}");
    let ended = recorded.prune(&["--output", "json"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(only(&ended.json())["leftovers"].as_u64().unwrap() > 0, "{ended:#?}");
    assert!(ended.json()["runs"].as_u64().unwrap() > 0, "{ended:#?}");
    assert_eq!(recorded.number(staged).await, 0);
    assert!(
        !statuses(&recorded.database, &recorded.namespace)
            .await
            .contains(&"interrupted".to_owned())
    );
}
