//! Kills the real program at random points of walks on several cursors. Nothing changes while a walk is unfinished, so
//! every published snapshot must equal the truth, permanently.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use super::SYNC;
use crate::simulation::random::Random;
use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::{Objects, objects, truth};
use crate::support::program::{ACCOUNT, Ended, program, run, simulator};
use crate::support::witness::{churn, until_sessions_are_gone};

/// With pages of ten and slow responses, ranges are still in progress when the program dies.
const OBJECTS: usize = 600;
const LATENCY: Duration = Duration::from_millis(3);

#[tokio::test]
async fn walks_on_several_cursors_are_exact_however_often_they_are_killed() {
    kill(30).await;
}

#[tokio::test]
#[ignore = "large: hundreds of kills"]
async fn walks_on_several_cursors_are_exact_after_hundreds_of_kills() {
    kill(300).await;
}

async fn kill(kills: u64) {
    let database = fresh_database().await;
    let simulator = simulator().await;
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, OBJECTS, 1);
    simulator.with(|state| state.latency = LATENCY);
    let sync = || {
        program(
            &simulator,
            &database,
            &[&SYNC[..], &["--cursors", "6", "--accept-removals"]].concat(),
        )
    };
    let mut random = Random::new(1);
    let mut usual = Duration::from_secs(1);
    let (mut killed, mut on_several, mut resumed) = (0, 0, 0);
    let mut published: Vec<(i64, Objects)> = Vec::new();
    while killed < kills {
        for _ in 0..random.below(4) {
            let mut program = sync().spawn().unwrap();
            tokio::time::sleep(Duration::from_micros(random.below(usual.as_micros() as u64))).await;
            program.kill().unwrap();
            program.wait().unwrap();
            until_sessions_are_gone(&database.options).await;
            killed += 1;
        }
        let begun = Instant::now();
        let ended = run(sync());
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        usual = begun.elapsed();
        on_several += usize::from(ended.stderr.contains("reading on several cursors"));
        resumed += usize::from(told(&ended, "resumed") > 0);
        let now = truth(&simulator, &namespace);
        assert_eq!(objects(&database, &namespace).await, now, "after {killed} kills");
        published.push((told(&ended, "snapshot_id"), now));
        churn(&simulator, &namespace, &mut random, 20);
    }
    for (snapshot, then) in published {
        assert_eq!(
            as_of(&database, &namespace, snapshot).await,
            then,
            "snapshot {snapshot}"
        );
    }
    assert!(
        on_several > 0 && resumed > 0,
        "{on_several} on several cursors, {resumed} resumed"
    );
}

/// A number from the run's only namespace.
fn told(ended: &Ended, field: &str) -> i64 {
    ended.json()["namespaces"][0][field].as_i64().unwrap()
}

/// The objects at the time when a snapshot became visible, from the history alone.
async fn as_of(database: &TestDatabase, namespace: &str, snapshot: i64) -> Objects {
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    sqlx::query_as(
        "select h.object_id, h.has_stored_data
         from inventory.object_history h
         join inventory.snapshots s using (namespace_id)
         where namespace_id = $1 and s.snapshot_id = $2
           and h.valid_from <= s.recorded_at and (h.valid_to is null or h.valid_to > s.recorded_at)
         order by h.id",
    )
    .bind(namespace)
    .bind(snapshot)
    .fetch_all(&mut session)
    .await
    .unwrap()
}
