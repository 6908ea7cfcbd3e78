//! A million objects: the same record in any order of listing, in little memory, and without writes if nothing changed.

#![expect(clippy::print_stderr, reason = "whoever runs them wants to see how long it took")]

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use cloudflare_simulator::{Computed, Namespace, Objects, Order, Simulator};
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, FromRow, PgConnection};

use crate::support::database::fresh_database;
use crate::support::private::{Data, execute};
use crate::support::program::{ACCOUNT, Ended, TOKEN, bare, simulator, sync};

const OBJECTS: u64 = 1_000_000;
/// Limit for the program alone, in KiB.
const MEMORY: u64 = 100_000;

#[tokio::test]
#[ignore = "large: a million objects in two orders"]
async fn random_order_gives_the_same_record_in_as_little_memory() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let ordered = million(&simulator, "ordered", Order::Ascending);
    let shuffled = million(&simulator, "shuffled", Order::Shuffled(7));
    for run in ["first sync", "unchanged"] {
        for (namespace, what) in [(&ordered, "ascending"), (&shuffled, "random order")] {
            let measured = measure(sync(&simulator, &database, &["--namespace", namespace]));
            measured.show(&format!("{run}, {what}"));
            assert_eq!(measured.ended.code, Some(0), "{:#?}", measured.ended);
            // The missing order is remembered: the next walk is spooled from its first page.
            let learned = measured.ended.stderr.contains("ids do not ascend");
            assert_eq!(learned, (run, namespace) == ("first sync", &shuffled));
            assert!(
                measured.peak_kib < MEMORY,
                "{run}, {what}: {} KiB of memory",
                measured.peak_kib
            );
        }
    }

    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    let (one, other) = (
        snapshots(&mut session, &ordered).await,
        snapshots(&mut session, &shuffled).await,
    );
    assert_eq!(one, other);
    assert_eq!(one.len(), 2, "a baseline, and a snapshot that changes nothing");
    assert!(one.iter().all(|s| s.objects == OBJECTS as i64 && s.changes == 0));
    let differing: i64 = sqlx::query_scalar(
        "select count(*) from (select id, has_stored_data from inventory.objects where namespace_id = $1) one
         full join (select id, has_stored_data from inventory.objects where namespace_id = $2) other using (id)
         where one.has_stored_data is distinct from other.has_stored_data
            or (one is null) <> (other is null)",
    )
    .bind(&ordered)
    .bind(&shuffled)
    .fetch_one(&mut session)
    .await
    .unwrap();
    assert_eq!(differing, 0);
    session.close().await.unwrap();
}

#[tokio::test]
#[ignore = "large: a million objects on a server of its own"]
async fn an_unchanged_namespace_costs_nothing_to_store() {
    let simulator = simulator().await;
    million(&simulator, "chat_Room", Order::Ascending);
    let data = Data::new();
    let server = data.join().await;
    // Excludes autovacuum's writes from the measurement.
    execute(&server, "alter system set autovacuum = off").await;
    execute(&server, "select pg_reload_conf()").await;
    let options = server.connect_options();
    sync_into(&simulator, &data, "first sync");
    execute(&server, "vacuum").await;
    execute(&server, "checkpoint").await;

    let (sizes, wal) = (object_tables(&options).await, wal_position(&options).await);
    let told = sync_into(&simulator, &data, "unchanged");
    let written = wal_position(&options).await - wal;
    eprintln!("unchanged: {written} bytes of WAL");
    assert_eq!(told["objects"], OBJECTS);
    assert!(written < 100_000, "{written} bytes of WAL");
    assert_eq!(object_tables(&options).await, sizes);
    server.leave().await.unwrap();
}

/// A namespace of a million computed objects, the same ones each time.
fn million(simulator: &Simulator, name: &str, order: Order) -> String {
    let mut namespace = Namespace::new(ACCOUNT, name);
    namespace.order = order;
    namespace.set_objects(Objects::Computed(Computed {
        count: OBJECTS,
        seed: 1,
    }));
    simulator.add(namespace)
}

/// Runs a sync and returns the namespace's part of its JSON.
fn sync_into(simulator: &Simulator, data: &Data, what: &str) -> Value {
    let mut command = bare(&["sync", "--output", "json", "--quota", "1000000/1s", "--cursors", "1"]);
    command
        .arg("--data-dir")
        .arg(&data.dir)
        .env("CLOUDFLARE_API_BASE_URL", simulator.base_url())
        .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
        .env("CLOUDFLARE_API_TOKEN", TOKEN);
    let measured = measure(command);
    measured.show(what);
    assert_eq!(measured.ended.code, Some(0), "{:#?}", measured.ended);
    measured.ended.json()["namespaces"][0].clone()
}

/// The columns in which two namespaces must agree.
#[derive(Debug, PartialEq, FromRow)]
struct SnapshotRow {
    objects: i64,
    with_data: i64,
    without_data: i64,
    unknown: i64,
    changes: i64,
    digest: String,
}

async fn snapshots(session: &mut PgConnection, namespace: &str) -> Vec<SnapshotRow> {
    sqlx::query_as(
        "select objects, with_data, without_data, unknown, digest,
                created + removed + data_gained + data_lost + data_known + data_unknown as changes
         from inventory.snapshots where namespace_id = $1 and status = 'complete' order by snapshot_id",
    )
    .bind(namespace)
    .fetch_all(session)
    .await
    .unwrap()
}

async fn wal_position(options: &PgConnectOptions) -> i64 {
    let mut session = PgConnection::connect_with(options).await.unwrap();
    let position = sqlx::query_scalar("select (pg_current_wal_insert_lsn() - '0/0')::bigint")
        .fetch_one(&mut session)
        .await
        .unwrap();
    session.close().await.unwrap();
    position
}

/// Names and sizes of the tables that hold objects, and of their indexes.
async fn object_tables(options: &PgConnectOptions) -> Vec<(String, i64)> {
    let mut session = PgConnection::connect_with(options).await.unwrap();
    let sizes: Vec<_> = sqlx::query_as(
        "with t as (select unnest(array['inventory.open_interval', 'inventory.closed_interval',
                                        'inventory.staged_change', 'inventory.spooled_object'])::regclass as oid),
              all_of_them as (select oid from t union all
                              select indexrelid from pg_index where indrelid in (select oid from t))
         select oid::regclass::text, pg_relation_size(oid) from all_of_them order by 1",
    )
    .fetch_all(&mut session)
    .await
    .unwrap();
    session.close().await.unwrap();
    sizes
}

struct Measured {
    ended: Ended,
    took: Duration,
    peak_kib: u64,
}

impl Measured {
    fn show(&self, what: &str) {
        eprintln!("{what}: {:.2?}, {} MiB", self.took, self.peak_kib / 1024);
    }
}

/// Runs a command to its end and records its peak memory.
fn measure(mut command: Command) -> Measured {
    let begun = Instant::now();
    let child = command.spawn().unwrap();
    let watch = watch_memory(&child);
    let output = child.wait_with_output().unwrap();
    Measured {
        ended: output.into(),
        took: begun.elapsed(),
        peak_kib: watch.join().unwrap(),
    }
}

/// The kernel keeps the high-water mark until the process ends, so the last value seen may miss the final milliseconds.
fn watch_memory(child: &Child) -> std::thread::JoinHandle<u64> {
    let path = format!("/proc/{}/status", child.id());
    std::thread::spawn(move || {
        let mut peak = 0;
        // The file lacks the value once the process has ended, and then disappears.
        while let Some(now) = std::fs::read_to_string(&path).ok().as_deref().and_then(peak_in) {
            peak = now;
            std::thread::sleep(Duration::from_millis(5));
        }
        peak
    })
}

fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
