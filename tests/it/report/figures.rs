//! Figures compared with the simulator's actual objects, with held, failed and missing walks in between.

use cloudflare_simulator::{Fault, When};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::history::{Record, Was, days};
use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, bare, program, run, simulator, sync};

fn named<'a>(report: &'a Value, name: &str) -> &'a Value {
    let namespaces = report["namespaces"].as_array().unwrap();
    namespaces.iter().find(|namespace| namespace["name"] == name).unwrap()
}

fn troubles(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entries = report["attention"].as_array().unwrap().iter();
    entries
        .map(|entry| (text(&entry["trouble"]), text(&entry["label"])))
        .collect()
}

/// Moves everything recorded `days` days into the past.
async fn pass(database: &TestDatabase, days: u32) {
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    let back = format!("interval '{days} days'");
    session
        .execute(AssertSqlSafe(format!(
            "update inventory.snapshot set recorded_at = recorded_at - {back};
             update inventory.store set last_recorded_at = last_recorded_at - {back};
             update inventory.namespace set first_seen_at = first_seen_at - {back}"
        )))
        .await
        .unwrap();
}

#[tokio::test]
async fn real_walks_with_a_held_and_a_failed_one_between() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let room = simulator.add_namespace(ACCOUNT, "chat_Room");
    let gone = simulator.add_namespace(ACCOUNT, "old_Thing");
    simulator.seed(&room, 100, 1);
    simulator.seed(&gone, 7, 2);
    let report = || run(program(&simulator, &database, &["report", "--output", "json"])).json();
    let synced = |code: i32| assert_eq!(run(sync(&simulator, &database, &[])).code, Some(code));

    synced(0);
    pass(&database, 5).await;
    for byte in 0..20 {
        simulator.put_object(&room, [byte; 32], Some(true));
    }
    synced(0);
    pass(&database, 3).await;
    let before = report();

    // A held walk, then a failed one: both are reported, and neither changes the figures.
    let ids: Vec<_> = simulator.truth(&room).into_keys().collect();
    ids[..60].iter().for_each(|id| simulator.remove_object(&room, id));
    synced(5);
    // The same page for ever.
    simulator.fault(&room, When::Always, Fault::IgnoreCursor);
    simulator.fault(&room, When::Always, Fault::edit(|_, page| page.set_next("x")));
    simulator.remove_namespace(&gone);
    synced(3);
    let told = report();
    assert_eq!(
        troubles(&told),
        [
            ("held", "chat_Room"),
            ("failed", "chat_Room"),
            ("stale", "chat_Room"),
            ("missing", "old_Thing")
        ]
        .map(|(trouble, label)| (trouble.to_owned(), label.to_owned()))
    );
    let figures = |report: &Value| {
        let room = named(report, "chat_Room");
        (
            room["snapshot"]["snapshot_id"].clone(),
            room["snapshot"]["objects"].clone(),
            room["days"].clone(),
        )
    };
    assert_eq!(figures(&told), figures(&before));
    let room_said = named(&told, "chat_Room");
    assert_eq!(room_said["snapshot"]["objects"], 120);
    assert_eq!(room_said["changes"]["1d"]["objects"], 0);
    assert_eq!(room_said["changes"]["7d"]["objects"], 20);
    assert_eq!(room_said["changes"]["30d"], Value::Null, "before the baseline");
    let created: u64 = room_said["days"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|day| day["created"].as_u64())
        .sum();
    assert_eq!(created, 20, "a baseline creates nothing");
    assert_eq!(told["totals"]["objects"], 120, "what is missing is in no total");
    assert_eq!(told["missing"], json!({ "namespaces": 1, "objects": 7 }));

    // The snapshot is accepted, the fault cleared and the namespace retired.
    simulator.with_namespace(&room, |namespace| namespace.faults.clear());
    assert_eq!(run(sync(&simulator, &database, &["--accept-removals"])).code, Some(0));
    assert_eq!(
        run(program(&simulator, &database, &["namespaces", "retire", &gone])).code,
        Some(0)
    );
    let told = report();
    assert_eq!(troubles(&told), []);
    let truth = simulator.truth(&room);
    let room_said = named(&told, "chat_Room");
    assert_eq!(room_said["snapshot"]["objects"], truth.len());
    let with_data = truth.values().filter(|flag| **flag == Some(true)).count();
    assert_eq!(room_said["snapshot"]["with_data"], with_data);
    let unknown = truth.values().filter(|flag| flag.is_none()).count();
    assert_eq!(room_said["snapshot"]["unknown"], unknown);
    assert_eq!(room_said["changes"]["1d"]["objects"], -60);
    assert_eq!(room_said["days"].as_array().unwrap().last().unwrap()["removed"], 60);
    assert_eq!(named(&told, "old_Thing")["presence"], "retired");
    assert_eq!(told["retired"], json!({ "namespaces": 1 }));
    assert_eq!(told["totals"]["objects"], truth.len());
}

#[tokio::test]
async fn sudden_growth_is_told_by_factor_and_floor() {
    let mut record = Record::new().await;
    // Growth of 20 per day, and of 90 more on the last day.
    let past = days(20, 0, |day| 500 + 20 * day + if day == 20 { 90 } else { 0 }, 0.5, 0);
    record.namespace(ACCOUNT, "a_B", &past).await;
    let told = |args: &[&str]| troubles(&record.report(&[args, &["--output", "json"]].concat()).json());
    assert_eq!(told(&[]).len(), 1);
    assert_eq!(told(&["--growth-factor", "5.4"]).len(), 1);
    assert_eq!(
        told(&["--growth-factor", "5.5"]),
        [],
        "no more than 5.5 times the usual"
    );
    assert_eq!(told(&["--growth-floor", "109"]).len(), 1);
    assert_eq!(told(&["--growth-floor", "111"]), []);
}

/// The role can't even read the tables that hold objects: a report does not read them, however many there are.
#[tokio::test]
async fn a_role_that_may_read_the_snapshots_is_enough() {
    let mut record = Record::new().await;
    record
        .namespace(ACCOUNT, "a_B", &days(9, 0, |day| 5 + day, 0.5, 0))
        .await;
    let role = format!("{}_reader", record.database.options.get_database().unwrap());
    record
        .sql(&format!(
            "create role {role} login; grant usage on schema inventory to {role};
             grant select on inventory._sqlx_migrations, inventory.account, inventory.namespace, inventory.run,
                             inventory.snapshot, inventory.store to {role};
             alter role {role} set default_transaction_read_only = on"
        ))
        .await;
    let url = record.database.url_as(&role);
    let mut command = bare(&["report", "--no-migrate", "--output", "json"]);
    command.env("DATABASE_URL", url);
    let ended = run(command);
    record.sql(&format!("drop owned by {role}; drop role {role}")).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.json()["totals"]["objects"], 14);
}

/// Scripts depend on this shape: fields may be added, but not removed.
#[tokio::test]
async fn the_json_has_a_version_and_a_shape() {
    let mut record = Record::new().await;
    let past = [
        Was {
            days_ago: 2,
            objects: 10,
            with_data: 4,
            ..Was::default()
        },
        Was {
            days_ago: 0,
            objects: 12,
            with_data: 5,
            created: 3,
            removed: 1,
        },
    ];
    record.namespace(ACCOUNT, "a_B", &past).await;
    let ended = record.report(&["--output", "json", "--days", "2"]);
    assert_eq!(ended.stdout.lines().count(), 1, "one line");
    let mut told = ended.json();
    assert_eq!(told["version"], 1);
    let today = told["at"].as_str().unwrap()[..10].to_owned();
    let days = named(&told, "a_B")["days"].clone();
    assert_eq!(
        days[1],
        json!({ "date": today, "objects": 12, "with_data": 5, "created": 3, "removed": 1 })
    );
    assert_eq!(days[0]["objects"], 10);
    assert_eq!(told["totals"]["days"], days);
    let changed = json!({ "objects": 2, "with_data": 1, "namespaces": 1 });
    assert_eq!(
        told["totals"]["changes"],
        json!({ "1d": changed, "7d": null, "30d": null })
    );
    assert_eq!(told["totals"]["with_data_percent"], 5.0 * 100.0 / 12.0);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        keys(&told),
        "at attention growth_factor growth_floor last_run missing namespaces retired stale_after_seconds totals version"
    );
    let namespace = told["namespaces"][0].take();
    assert_eq!(
        keys(&namespace),
        "account_id changes class days growth missing_since name namespace_id presence script snapshot"
    );
    assert_eq!(
        keys(&namespace["snapshot"]),
        "age_seconds objects recorded_at snapshot_id unknown with_data with_data_percent"
    );
}
