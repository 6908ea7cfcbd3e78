//! The private server starts on demand, is shared, ends with its last user, and loses no committed data, whichever
//! process is killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use durable_inventory::store::managed_postgres::{ManagedServer, Settings};
use rustix::process::{Pid, Signal, kill_process_group};
use sqlx::{Connection, PgConnection};

use crate::support::private::{Data, execute, number};

const COMMIT: &str = "CREATE TABLE kept AS SELECT 7::bigint AS n";
const COMMITTED: &str = "SELECT n FROM kept";

const HOLDER_DATA: &str = "TEST_HOLDER_DATA_DIR";

/// Not a test: the body of another program that uses the server until its standard input ends.
#[tokio::test]
#[ignore = "runs as the second process of other tests"]
async fn holder() {
    let Some(dir) = std::env::var_os(HOLDER_DATA) else {
        return;
    };
    let settings = Settings {
        data_dir: Some(dir.into()),
        ..Settings::default()
    };
    let server = ManagedServer::join(&settings).await.unwrap();
    execute(&server, "CREATE TABLE IF NOT EXISTS held ()").await;
    fs::write(settings.data_dir.unwrap().join("holder.ready"), "").unwrap();
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
    server.leave().await.unwrap();
}

/// Starts another program and waits until it uses the server.
fn spawn_holder(data: &Data) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "private_server::holder", "--ignored", "--nocapture"])
        .env(HOLDER_DATA, &data.dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !data.dir.join("holder.ready").exists() {
        let status = child.try_wait().unwrap();
        if status.is_some() || Instant::now() > deadline {
            let lines: Vec<_> = BufReader::new(child.stdout.take().unwrap())
                .lines()
                .map_while(Result::ok)
                .collect();
            panic!("the other program does not use the server: {lines:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

#[tokio::test]
async fn the_first_start_creates_a_database_that_the_next_finds() {
    let data = Data::new();
    let server = data.join().await;
    execute(&server, COMMIT).await;
    assert_eq!(fs::metadata(&data.dir).unwrap().mode() & 0o777, 0o700);
    assert!(data.dir.join("run/.s.PGSQL.5432").exists());
    assert!(server.bin_dir().join("postgres").exists());
    server.leave().await.unwrap();
    assert!(!data.is_running());

    let server = data.join().await;
    assert_eq!(number(&server, COMMITTED).await, 7);
    assert_eq!(
        number(&server, "SELECT current_setting('fsync')::bool::int::bigint").await,
        1
    );
    assert_eq!(
        number(&server, "SELECT length(current_setting('listen_addresses'))::bigint").await,
        0
    );
    server.leave().await.unwrap();
}

#[tokio::test]
async fn the_last_to_leave_stops_the_server() {
    let data = Data::new();
    let starter = data.join().await;
    let sharer = data.join().await;
    starter.leave().await.unwrap();
    assert_eq!(number(&sharer, "SELECT 1::bigint").await, 1);
    sharer.leave().await.unwrap();
    assert!(!data.is_running());
}

#[tokio::test]
async fn programs_that_start_at_the_same_time_share_one_server() {
    let data = Data::new();
    let servers = futures_util::future::join_all((0..4).map(|_| data.join())).await;
    let pid = data.server_pid();
    for server in &servers {
        assert_eq!(number(server, "SELECT 1::bigint").await, 1);
    }
    assert_eq!(pid, data.server_pid());
    let left = futures_util::future::join_all(servers.into_iter().map(ManagedServer::leave)).await;
    assert!(left.into_iter().all(|result| result.is_ok()));
    assert!(!data.is_running());
}

#[tokio::test]
async fn another_program_keeps_the_server_running() {
    let data = Data::new();
    let mut other = spawn_holder(&data);
    let server = data.join().await;
    let pid = data.server_pid();
    server.leave().await.unwrap();
    assert_eq!(pid, data.server_pid());
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
    assert!(!data.is_running());
}

/// A terminal's Ctrl-C reaches the program's whole process group.
#[tokio::test]
async fn the_server_of_a_killed_program_is_used_and_then_stopped() {
    // Signals the whole group, as a terminal's Ctrl-C does. (SIGINT itself may be ignored in the environment of the
    // tests.)
    for signal in [Signal::KILL, Signal::TERM] {
        let data = Data::new();
        let mut other = spawn_holder(&data);
        let pid = data.server_pid();
        let group = Pid::from_child(&other);
        kill_process_group(group, signal).unwrap();
        other.wait().unwrap();
        assert!(data.is_running());

        let server = data.join().await;
        assert_eq!(pid, data.server_pid());
        assert_eq!(number(&server, "SELECT count(*) FROM held").await, 0);
        server.leave().await.unwrap();
        assert!(!data.is_running());
    }
}

#[tokio::test]
async fn a_place_that_was_dropped_is_no_users() {
    let data = Data::new();
    drop(data.join().await);
    assert!(data.is_running());
    data.join().await.leave().await.unwrap();
    assert!(!data.is_running());
}

#[tokio::test]
async fn a_killed_server_is_started_again_and_nothing_is_lost() {
    let data = Data::new();
    let first = data.join().await;
    execute(&first, COMMIT).await;
    // Nobody waits for the killed process, so it remains as a zombie.
    data.kill_server();

    let second = data.join().await;
    assert_eq!(number(&second, COMMITTED).await, 7);
    assert_eq!(number(&first, COMMITTED).await, 7);
    first.leave().await.unwrap();
    assert_eq!(number(&second, COMMITTED).await, 7);
    second.leave().await.unwrap();
    assert!(!data.is_running());
}

#[tokio::test]
async fn a_start_waits_for_the_processes_of_a_killed_server() {
    let data = Data::new();
    let first = data.join().await;
    execute(&first, COMMIT).await;
    let mut busy = PgConnection::connect_with(&first.connect_options()).await.unwrap();
    // A pure computation never waits, and so does not notice that its server is gone.
    let query = sqlx::raw_sql("SELECT sum(i) FROM generate_series(1, 8000000) AS i").execute(&mut busy);
    let killed = async {
        let active =
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%generate_series(1, 8%'";
        let deadline = Instant::now() + Duration::from_secs(20);
        while number(&first, active).await < 2 {
            assert!(Instant::now() < deadline, "the query does not run");
        }
        data.kill_server();
        data.join().await
    };
    let (_, second) = tokio::join!(query, killed);
    assert_eq!(number(&second, COMMITTED).await, 7);
    drop(first);
    second.leave().await.unwrap();
    assert!(!data.is_running());
}

#[tokio::test]
async fn a_pid_file_of_another_process_is_stale() {
    let data = Data::new();
    let server = data.join().await;
    execute(&server, COMMIT).await;
    let pid_file = fs::read_to_string(data.pid_file()).unwrap();
    server.leave().await.unwrap();
    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    let (_, rest) = pid_file.split_once('\n').unwrap();
    fs::write(data.pid_file(), format!("{}\n{rest}", stranger.id())).unwrap();

    let server = data.join().await;
    assert_eq!(number(&server, COMMITTED).await, 7);
    server.leave().await.unwrap();
    assert!(stranger.try_wait().unwrap().is_none());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn an_empty_pid_file_is_a_crashs() {
    let data = Data::new();
    data.join().await.leave().await.unwrap();
    fs::write(data.pid_file(), "").unwrap();
    data.join().await.leave().await.unwrap();
    assert!(!data.is_running());
}

#[tokio::test]
async fn what_a_killed_initdb_left_is_removed() {
    let data = Data::new();
    data.join().await.leave().await.unwrap();
    fs::remove_dir_all(data.dir.join("postgres")).unwrap();
    let leftover = data.dir.join("postgres.new.1");
    fs::create_dir(&leftover).unwrap();
    fs::write(leftover.join("PG_VERSION"), "15\n").unwrap();

    let server = data.join().await;
    assert!(!leftover.exists());
    server.leave().await.unwrap();
}
