//! Decisions that are left to a person: held snapshots, missing namespaces, a record that was changed by hand.

mod by_name;

use cloudflare_simulator::{Fault, Simulator, When};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, Ended, program, run, simulator, sync};

const HELD: &str = "select count(*) from inventory.snapshots where status = 'held'";

async fn session(database: &TestDatabase) -> PgConnection {
    PgConnection::connect_with(&database.options).await.unwrap()
}

async fn number(database: &TestDatabase, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(&mut session(database).await)
        .await
        .unwrap()
}

async fn objects(database: &TestDatabase) -> i64 {
    number(database, "select count(*) from inventory.objects").await
}

/// A recorded namespace of 100 objects that has since lost 31 of them, beside an empty one.
async fn with_mass_removal() -> (Simulator, TestDatabase, String) {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "chat_Room");
    simulator.add_namespace(ACCOUNT, "kept");
    simulator.seed(&namespace, 100, 1);
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    let lost: Vec<_> = simulator.truth(&namespace).into_keys().take(31).collect();
    lost.iter().for_each(|id| simulator.remove_object(&namespace, id));
    (simulator, database, namespace)
}

fn held(simulator: &Simulator, database: &TestDatabase) -> String {
    let ended = run(sync(simulator, database, &[]));
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    let told = &ended.json()["namespaces"][0];
    assert_eq!(told["status"], "held");
    let id = told["snapshot_id"].to_string();
    let why = told["error"].as_str().unwrap();
    for part in [
        "31 of 100",
        &format!("snapshots accept {id}"),
        &format!("snapshots discard {id}"),
    ] {
        assert!(why.contains(part), "{why}");
    }
    id
}

fn decide(simulator: &Simulator, database: &TestDatabase, args: &[&str]) -> Ended {
    run(program(simulator, database, args))
}

#[tokio::test]
async fn snapshots_are_listed_by_status_and_cut_to_the_newest() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    for seed in 1..=3 {
        simulator.seed(&namespace, 200, seed);
        run(sync(&simulator, &database, &[]));
    }
    let list = |more: &[&str]| {
        let args = [&["snapshots", "--output", "json"], more].concat();
        let ended = run(program(&simulator, &database, &args));
        let ids = ended
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["snapshot_id"].clone());
        (ids.collect::<Vec<_>>(), ended)
    };
    assert_eq!(list(&[]).0, [3, 2, 1]);
    assert!(!list(&[]).1.stderr.contains("--limit"), "nothing is left out");
    assert_eq!(list(&["--status", "held"]).0, [3]);
    assert_eq!(list(&["--status", "complete", "--status", "superseded"]).0, [2, 1]);
    let (cut, ended) = list(&["--limit", "2"]);
    assert_eq!(cut, [3, 2]);
    assert!(ended.stderr.contains("the newest 2 of 3 snapshots"), "{ended:#?}");
    assert_eq!(list(&["--status", "lost"]).1.code, Some(2));
}

#[tokio::test]
async fn a_held_snapshot_is_published_when_it_is_accepted() {
    let (simulator, database, _) = with_mass_removal().await;
    let id = held(&simulator, &database);
    assert_eq!(objects(&database).await, 100, "held back: nothing is removed");
    let accepted = decide(&simulator, &database, &["snapshots", "accept", &id]);
    assert_eq!(accepted.code, Some(0), "{accepted:#?}");
    assert_eq!(objects(&database).await, 69);
    let removed = "select count(*) from inventory.changes where change = 'removed'";
    assert_eq!(number(&database, removed).await, 31);
    assert_eq!(
        number(&database, "select count(*) from inventory.staged_change").await,
        0
    );

    let again = decide(&simulator, &database, &["snapshots", "accept", &id]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("is published already"), "{again:#?}");
}

#[tokio::test]
async fn a_held_snapshot_leaves_nothing_when_it_is_discarded() {
    let (simulator, database, _) = with_mass_removal().await;
    let id = held(&simulator, &database);
    assert_eq!(
        decide(&simulator, &database, &["snapshots", "discard", &id]).code,
        Some(0)
    );
    assert_eq!(objects(&database).await, 100);
    assert_eq!(
        number(&database, "select count(*) from inventory.staged_change").await,
        0
    );
    let again = decide(&simulator, &database, &["snapshots", "accept", &id]);
    assert_eq!(again.code, Some(1), "{again:#?}");
    assert!(again.stderr.contains("was discarded"), "{again:#?}");
    assert_eq!(
        decide(&simulator, &database, &["snapshots", "accept", "4711"]).code,
        Some(1)
    );
}

#[tokio::test]
async fn a_newer_walk_supersedes_what_is_held_and_is_judged_by_itself() {
    let (simulator, database, namespace) = with_mass_removal().await;
    let first = held(&simulator, &database);
    let second = held(&simulator, &database);
    assert_ne!(first, second);
    let replaced = |snapshot: &str, told: &str| {
        let ended = decide(&simulator, &database, &["snapshots", "discard", snapshot]);
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        assert!(ended.stderr.contains(told), "{told}: {ended:#?}");
    };
    let successor = format!(
        "was replaced by snapshot {second}, which waits for a decision: `durable-inventory snapshots discard {second}`"
    );
    replaced(&first, &successor);
    // The objects are back, so there is nothing to hold any more, and the held snapshot is superseded.
    simulator.seed(&namespace, 100, 1);
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let published = ended.json()["namespaces"][0]["snapshot_id"].to_string();
    replaced(
        &second,
        &format!("was replaced by snapshot {published}, which is published"),
    );
    assert_eq!(number(&database, HELD).await, 0);
    assert_eq!(objects(&database).await, 100);

    // The one that replaced it was discarded.
    let lost: Vec<_> = simulator.truth(&namespace).into_keys().take(31).collect();
    lost.iter().for_each(|id| simulator.remove_object(&namespace, id));
    let (third, fourth) = (held(&simulator, &database), held(&simulator, &database));
    let discarded = decide(&simulator, &database, &["snapshots", "discard", &fourth]);
    assert_eq!(discarded.code, Some(0), "{discarded:#?}");
    replaced(&third, "was replaced by a newer one, which was discarded");
    // Its walk failed.
    simulator.fault(&namespace, When::Always, Fault::cursors_differ());
    let failed = run(sync(&simulator, &database, &[])).json()["namespaces"][0]["snapshot_id"].to_string();
    replaced(&failed, "comes from a failed walk");
}

#[tokio::test]
async fn accept_removals_and_small_namespaces_are_not_held() {
    let (simulator, database, _) = with_mass_removal().await;
    let small = simulator.add_namespace(ACCOUNT, "small");
    simulator.seed(&small, 9, 2);
    assert_eq!(run(sync(&simulator, &database, &["--accept-removals"])).code, Some(0));
    assert_eq!(objects(&database).await, 69 + 9);
    simulator
        .truth(&small)
        .keys()
        .for_each(|id| simulator.remove_object(&small, id));
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    assert_eq!(objects(&database).await, 69);
}

#[tokio::test]
async fn objects_whose_data_is_no_longer_known_count_as_lost() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "chat_Room");
    simulator.seed(&namespace, 100, 1);
    let known: Vec<_> = simulator.truth(&namespace).into_keys().take(31).collect();
    for id in &known {
        simulator.put_object(&namespace, *id, Some(true));
    }
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    for id in &known {
        simulator.put_object(&namespace, *id, None);
    }
    held(&simulator, &database);
}

#[tokio::test]
async fn a_vanished_namespace_keeps_its_objects_until_it_is_retired() {
    let (simulator, database, namespace) = with_mass_removal().await;
    let early = decide(&simulator, &database, &["namespaces", "retire", &namespace]);
    assert_eq!(early.code, Some(1));
    assert!(early.stderr.contains("is not missing"), "{early:#?}");

    simulator.remove_namespace(&namespace);
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(0), "a vanished namespace is a warning: {ended:#?}");
    assert_eq!(ended.json()["namespaces"][0]["status"], "missing");
    assert_eq!(objects(&database).await, 100);
    let missing = "select count(*) from inventory.namespaces where missing_since is not null";
    assert_eq!(number(&database, missing).await, 1);

    let retired = decide(&simulator, &database, &["namespaces", "retire", &namespace]);
    assert_eq!(retired.code, Some(0), "{retired:#?}");
    assert_eq!(objects(&database).await, 0);
    let removed = "select count(*) from inventory.changes where change = 'removed'";
    assert_eq!(number(&database, removed).await, 100);
    let listed = decide(&simulator, &database, &["namespaces"]);
    assert!(listed.stdout.contains("  retired"), "{listed:#?}");
}

#[tokio::test]
async fn a_name_is_retired_where_only_one_namespace_has_it() {
    let (simulator, database, first) = with_mass_removal().await;
    simulator.remove_namespace(&first);
    let mut second = cloudflare_simulator::Namespace::new(ACCOUNT, "made anew");
    second.name = Some("chat_Room".to_owned());
    let second = simulator.add(second);
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    let shared = decide(&simulator, &database, &["namespaces", "retire", "chat_Room"]);
    assert_eq!(shared.code, Some(1), "{shared:#?}");
    for id in [&first, &second] {
        assert!(shared.stderr.contains(id), "{shared:#?}");
    }
    assert_eq!(objects(&database).await, 100, "which one is meant is not guessed");

    sqlx::raw_sql("update inventory.namespace set name = 'old_Room' where missing_since is not null")
        .execute(&mut session(&database).await)
        .await
        .unwrap();
    let elsewhere = ["namespaces", "retire", "old_Room", "--account", &"0".repeat(32)];
    assert_eq!(decide(&simulator, &database, &elsewhere).code, Some(1));
    let retired = decide(&simulator, &database, &["namespaces", "retire", "old_Room"]);
    assert_eq!(retired.code, Some(0), "{retired:#?}");
    assert_eq!(objects(&database).await, 0);
}

#[tokio::test]
async fn a_record_that_was_edited_by_hand_is_noticed_and_mended() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "chat_Room");
    simulator.seed(&namespace, 100, 1);
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    let deep = || decide(&simulator, &database, &["check", "--deep"]);
    assert_eq!(deep().code, Some(0), "{:#?}", deep());

    let edit = "delete from inventory.open_interval where id in
                    (select id from inventory.open_interval order by id limit 3);
                update inventory.open_interval set has_stored_data = not has_stored_data
                where id = (select id from inventory.open_interval where has_stored_data is not null
                            order by id desc limit 1)";
    sqlx::raw_sql(edit)
        .execute(&mut session(&database).await)
        .await
        .unwrap();
    assert_eq!(deep().code, Some(2));
    assert!(deep().stdout.contains(&namespace), "{:#?}", deep());

    let noticed = run(sync(&simulator, &database, &[]));
    assert_eq!(noticed.code, Some(1), "{noticed:#?}");
    assert_eq!(objects(&database).await, 97, "a mismatch publishes nothing");
    let why = noticed.json()["namespaces"][0]["error"].as_str().unwrap().to_owned();
    assert!(why.contains(&format!("sync --rebuild {namespace}")), "{why}");

    let mended = run(sync(&simulator, &database, &["--rebuild", &namespace]));
    assert_eq!(mended.code, Some(0), "{mended:#?}");
    assert_eq!(objects(&database).await, 100);
    assert_eq!(deep().code, Some(0), "{:#?}", deep());
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
}

#[tokio::test]
async fn a_namespace_that_comes_back_while_it_is_retired_keeps_its_objects() {
    let (simulator, database, namespace) = with_mass_removal().await;
    simulator.remove_namespace(&namespace);
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    // The retirement waits in the middle of its work until the namespace is listed again.
    let mut other = session(&database).await;
    let mut held = other.begin().await.unwrap();
    sqlx::raw_sql("lock table inventory.staged_change")
        .execute(&mut *held)
        .await
        .unwrap();
    let retiring = program(&simulator, &database, &["namespaces", "retire", &namespace])
        .spawn()
        .unwrap();
    let waiting = "select count(*) from pg_stat_activity
                   where wait_event_type = 'Lock' and query like '%insert into inventory.staged_change%'";
    while number(&database, waiting).await == 0 {
        tokio::task::yield_now().await;
    }
    let listed = "update inventory.namespace set missing_since = null";
    sqlx::raw_sql(listed)
        .execute(&mut session(&database).await)
        .await
        .unwrap();
    held.rollback().await.unwrap();
    let ended = Ended::from(retiring.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("is not missing"), "{ended:#?}");
    assert_eq!(objects(&database).await, 100);
    assert_eq!(
        number(&database, "select count(*) from inventory.staged_change").await,
        0
    );
}

#[tokio::test]
async fn a_name_with_a_nul_is_recorded_with_a_mark_in_its_place() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let mut namespace = cloudflare_simulator::Namespace::new(ACCOUNT, "nul");
    namespace.script = Some("a\0b".to_owned());
    namespace.preview = Some(serde_json::json!({ "slug": ["\0"], "\0": 1 }));
    simulator.add(namespace);
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let marked = "select count(*) from inventory.namespaces where script = U&'a\\FFFDb'";
    assert_eq!(number(&database, marked).await, 1);
}
