//! psql on the store: the connection reaches it, and psql's exit code is passed on.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use durable_inventory::store::psql;
use rustix::process::{Pid, Signal, kill_process_group};
use sqlx::{Connection, PgConnection, Row};

use crate::support::database::{TestDatabase, fresh_database};

async fn run(database: &TestDatabase, sql: &str) -> u8 {
    let args = ["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-c", sql].map(OsString::from);
    psql::run(&database.options, None, &args).await.unwrap()
}

#[tokio::test]
async fn psql_speaks_to_the_store() {
    let database = fresh_database().await;
    assert_eq!(
        run(&database, "CREATE TABLE told AS SELECT current_database() AS by").await,
        0
    );
    let mut connection = PgConnection::connect_with(&database.options).await.unwrap();
    let row = sqlx::query("SELECT by::text FROM told")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(Some(row.get::<&str, _>(0)), database.options.get_database());
    connection.close().await.unwrap();
}

#[tokio::test]
async fn its_exit_code_is_passed_on() {
    let database = fresh_database().await;
    assert_eq!(run(&database, "SELECT nonsense").await, 1);
}

#[tokio::test]
async fn a_url_leads_to_the_same_database() {
    let database = fresh_database().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let row = sqlx::query("SELECT current_database()::text")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(Some(row.get::<&str, _>(0)), database.options.get_database());
    connection.close().await.unwrap();
}

const SESSION_URL: &str = "TEST_SESSION_URL";

/// Not a test: the body of a program whose psql is busy when the user presses Ctrl-C.
#[tokio::test]
#[ignore = "runs as the second process of another test"]
async fn session() {
    let Some(url) = std::env::var_os(SESSION_URL) else {
        return;
    };
    let options = url.to_str().unwrap().parse().unwrap();
    let args = ["--no-psqlrc", "-c", "SELECT pg_sleep(60)"].map(OsString::from);
    // psql itself exits with 1 after a cancelled query.
    assert_eq!(psql::run(&options, None, &args).await.unwrap(), 1);
}

#[tokio::test]
async fn ctrl_c_cancels_the_query_and_ends_nothing_else() {
    let database = fresh_database().await;
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "psql::session", "--ignored"])
        .env(SESSION_URL, database.url())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut connection = PgConnection::connect_with(&database.options).await.unwrap();
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
    let deadline = Instant::now() + Duration::from_secs(20);
    while sqlx::query(sleeps)
        .fetch_one(&mut connection)
        .await
        .unwrap()
        .get::<i64, _>(0)
        == 0
    {
        assert!(Instant::now() < deadline, "psql does not run");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    kill_process_group(Pid::from_child(&program), Signal::INT).unwrap();
    assert!(program.wait().unwrap().success());
    connection.close().await.unwrap();
}
