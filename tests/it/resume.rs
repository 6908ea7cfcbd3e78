//! An interrupted walk can't always be resumed. The walk then restarts by itself, with a correct result.

use cloudflare_simulator::{CursorStyle, Fault, Order, Simulator, When};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::database::{fresh_database, url};
use crate::support::private::Data;
use crate::support::program::{Ended, run, simulator, sync_to};
use crate::support::witness::{Witness, until_sessions_are_gone};

/// Lets a run reach the fifth page and kills it there.
async fn interrupt(simulator: &Simulator, witness: &Witness, options: &PgConnectOptions) {
    let hold = simulator.hold_at(&witness.namespaces[0].id, 5);
    let program = sync_to(simulator, &url(options), &["--limit", "20"]).spawn().unwrap();
    hold.wait_until_held().await;
    kill_process(Pid::from_child(&program), Signal::KILL).unwrap();
    program.wait_with_output().unwrap();
    hold.release();
    until_sessions_are_gone(options).await;
}

fn go_on(simulator: &Simulator, options: &PgConnectOptions, more: &[&str]) -> Ended {
    let ended = run(sync_to(simulator, &url(options), &[&["--limit", "20"], more].concat()));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended
}

/// The abandoned walks, with the reasons.
async fn given_up(options: &PgConnectOptions) -> Vec<(String, String)> {
    let mut session = PgConnection::connect_with(options).await.unwrap();
    let told = "select status, error from inventory.snapshots where status <> 'complete' order by snapshot_id";
    let told = sqlx::query_as(told).fetch_all(&mut session).await.unwrap();
    session.close().await.unwrap();
    told
}

fn assert_given_up(given_up: &[(String, String)], why: &str) {
    let [(status, error)] = given_up else {
        panic!("{given_up:?}")
    };
    assert!(status == "discarded" && error.contains(why), "{status}: {error}");
}

#[tokio::test]
async fn cursors_that_the_service_forgot() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let mut witness = Witness::new(&simulator, 1, &[(200, Order::Ascending)]);
    let id = witness.namespaces[0].id.clone();
    simulator.with_namespace(&id, |namespace| namespace.cursor_style = CursorStyle::Opaque);
    interrupt(&simulator, &witness, &database.options).await;
    simulator.fault(&id, When::Nth(1), Fault::RefuseCursor);
    go_on(&simulator, &database.options, &[]);
    witness.check_end(&simulator, &database.options).await;
    assert_given_up(&given_up(&database.options).await, "starting over");
}

#[tokio::test]
async fn a_walk_that_is_too_old() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let mut witness = Witness::new(&simulator, 2, &[(200, Order::Ascending)]);
    interrupt(&simulator, &witness, &database.options).await;
    go_on(&simulator, &database.options, &["--resume-within", "1ms"]);
    witness.check_end(&simulator, &database.options).await;
    assert_given_up(&given_up(&database.options).await, "--resume-within");
}

#[tokio::test]
async fn a_spool_that_a_crash_of_the_database_emptied() {
    let simulator = simulator().await;
    let data = Data::new();
    let server = data.join().await;
    let options = server.connect_options();
    let mut witness = Witness::new(&simulator, 3, &[(200, Order::Shuffled(5))]);
    go_on(&simulator, &options, &[]); // this walk detects that the ids are unordered
    let learnt = given_up(&options).await.len();
    interrupt(&simulator, &witness, &options).await;
    // A page's commit does not wait for the disk.
    write_all_to_disk(&options).await;
    kill_process(data.server_pid(), Signal::QUIT).unwrap();
    let again = data.join().await;
    let ended = go_on(&simulator, &options, &[]);
    assert_eq!(ended.json()["namespaces"][0]["resumed"], 0, "{ended:#?}");
    witness.check_end(&simulator, &options).await;
    assert_given_up(&given_up(&options).await[learnt..], "emptied its spool");
    drop(server);
    again.leave().await.unwrap();
}

/// Makes everything committed so far survive a crash.
async fn write_all_to_disk(options: &PgConnectOptions) {
    let mut session = PgConnection::connect_with(options).await.unwrap();
    session.execute("checkpoint").await.unwrap();
    session.close().await.unwrap();
}
