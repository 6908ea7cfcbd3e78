//! The terminal closes, the reader of the output ends, or the user leaves: the record stays correct, and the private
//! server is stopped.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cloudflare_simulator::Simulator;
use durable_inventory::store::managed_postgres::ManagedServer;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::database::fresh_database;
use crate::support::private::Data;
use crate::support::program::{ACCOUNT, Ended, TOKEN, bare, program, run, simulator, sync};
use crate::support::terminal::Terminal;

/// An account with one namespace of five pages, and no record yet.
async fn service() -> (Simulator, Data, String) {
    let (simulator, data) = (simulator().await, Data::new());
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 500, 1);
    (simulator, data, namespace)
}

/// Runs the program on the private server.
fn on(data: &Data, simulator: &Simulator, args: &[&str]) -> Command {
    let mut command = bare(&[args, &["--data-dir", data.dir.to_str().unwrap()]].concat());
    command
        .env("CLOUDFLARE_API_BASE_URL", simulator.base_url())
        .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
        .env("CLOUDFLARE_API_TOKEN", TOKEN);
    command
}

/// Runs the command through wrappers such as `env`, in the foreground of a terminal.
fn through(wrappers: &[&str], command: &Command, terminal: &Terminal) -> Child {
    let mut wrapped = Command::new("setsid");
    wrapped
        .arg("--ctty")
        .args(wrappers)
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("TERM", "xterm")
        .stdin(terminal.end())
        .stdout(terminal.end())
        .stderr(terminal.end());
    wrapped.spawn().unwrap()
}

async fn end(child: Child) -> Ended {
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
    ended.await.unwrap().into()
}

async fn statuses(server: &ManagedServer) -> Vec<String> {
    let mut session = PgConnection::connect_with(&server.connect_options()).await.unwrap();
    let found = sqlx::query_scalar("select status from inventory.snapshots order by snapshot_id");
    let found = found.fetch_all(&mut session).await.unwrap();
    session.close().await.unwrap();
    found
}

#[tokio::test]
async fn a_sync_whose_terminal_goes_away_is_interrupted_or_continues_under_nohup() {
    for (disposition, code, status) in [
        ("--default-signal=HUP", 130, "interrupted"),
        ("--ignore-signal=HUP", 0, "complete"),
    ] {
        let (simulator, data, namespace) = service().await;
        let hold = simulator.hold_at(&namespace, 3);
        let terminal = Terminal::open();
        let command = on(&data, &simulator, &["sync", "--limit", "100", "--cursors", "1"]);
        let child = through(&["env", disposition], &command, &terminal);
        hold.wait_until_held().await;
        drop(terminal.shows(" objects").await);
        if code == 0 {
            hold.release();
        }
        let ended = end(child).await;
        assert_eq!(ended.code, Some(code), "{disposition}");
        assert!(!data.is_running(), "{disposition}");
        let server = data.join().await;
        assert_eq!(statuses(&server).await, [status]);
        server.leave().await.unwrap();
        let next = run(on(&data, &simulator, &["sync", "--limit", "100"]));
        assert_eq!(next.code, Some(0), "{next:#?}");
        assert!(!data.is_running());
    }
}

/// The shell passes SIGHUP on, and the kernel sends another one when the shell has ended.
#[tokio::test]
async fn a_hangup_that_comes_again_does_not_end_the_program_at_once() {
    let (simulator, data, namespace) = service().await;
    let hold = simulator.hold_at(&namespace, 3);
    let mut child = on(&data, &simulator, &["sync", "--limit", "100"]).spawn().unwrap();
    hold.wait_until_held().await;
    while child.try_wait().unwrap().is_none() {
        let _ended = kill_process(Pid::from_child(&child), Signal::HUP);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(end(child).await.code, Some(130));
    assert!(!data.is_running());
}

/// Returns when a session waits for the event, a pattern for pg_stat_activity's names.
async fn until_one_waits(server: &ManagedServer, event: &str, whose: &[&str]) {
    let mut session = PgConnection::connect_with(&server.connect_options()).await.unwrap();
    let waiting = "select count(*) from pg_stat_activity where wait_event_type || ':' || wait_event like $1";
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let count: i64 = sqlx::query_scalar(waiting)
            .bind(event)
            .fetch_one(&mut session)
            .await
            .unwrap();
        if count > 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{whose:?} does not wait for {event}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Stops each command while its query waits for a lock.
#[tokio::test]
async fn a_signal_to_a_command_stops_the_private_server_too() {
    let (simulator, data, _) = service().await;
    assert_eq!(run(on(&data, &simulator, &["sync"])).code, Some(0));
    let object = "0".repeat(64);
    let (rows, schema) = ("inventory.namespace", "inventory._sqlx_migrations");
    let asked: [(&[&str], &str); 11] = [
        (&["namespaces"], rows),
        (&["snapshots"], rows),
        (&["report"], rows),
        (&["history", &object], rows),
        (&["diff", "latest", "latest"], rows),
        (&["diff", "latest", "/dev/null"], rows),
        (&["export", "objects"], rows),
        (&["prune", "--older-than", "7d"], rows),
        (&["namespaces", "retire", "room"], rows),
        (&["check"], schema),
        (&["export", "objects"], schema),
    ];
    for (args, locked) in asked {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            let server = data.join().await;
            let mut session = PgConnection::connect_with(&server.connect_options()).await.unwrap();
            let mut lock = session.begin().await.unwrap();
            let held = AssertSqlSafe(format!("lock table {locked}"));
            sqlx::raw_sql(held).execute(&mut *lock).await.unwrap();
            let child = on(&data, &simulator, args).spawn().unwrap();
            until_one_waits(&server, "Lock:%", args).await;
            // From here on the program is the server's only user. A session alone does not count as one.
            drop(server);
            kill_process(Pid::from_child(&child), signal).unwrap();
            let ended = end(child).await;
            assert_eq!(ended.code, Some(130), "{args:?}, {signal:?}: {ended:#?}");
            assert!(!data.is_running(), "{args:?}, {signal:?}");
        }
    }
}

#[tokio::test]
async fn a_person_who_asks_again_need_not_wait() {
    let (simulator, data, _) = service().await;
    assert_eq!(run(on(&data, &simulator, &["sync"])).code, Some(0));
    let server = data.join().await;
    let mut session = PgConnection::connect_with(&server.connect_options()).await.unwrap();
    let mut lock = session.begin().await.unwrap();
    let held = "lock table inventory.namespace";
    sqlx::raw_sql(held).execute(&mut *lock).await.unwrap();
    let mut child = on(&data, &simulator, &["sync"]).spawn().unwrap();
    until_one_waits(&server, "Lock:%", &["sync"]).await;
    while child.try_wait().unwrap().is_none() {
        let _ended = kill_process(Pid::from_child(&child), Signal::INT);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(end(child).await.code, Some(130));
    lock.rollback().await.unwrap();
    server.leave().await.unwrap();
}

#[tokio::test]
async fn psql_ends_with_the_program_and_so_does_the_private_server() {
    let (simulator, data, _) = service().await;
    assert_eq!(run(on(&data, &simulator, &["sync"])).code, Some(0));
    for signal in [Signal::TERM, Signal::HUP] {
        let server = data.join().await;
        let mut command = on(&data, &simulator, &[]);
        command.args(["psql", "-X", "-c", "select pg_sleep(600)"]);
        let child = command.spawn().unwrap();
        until_one_waits(&server, "Timeout:PgSleep", &["psql"]).await;
        drop(server);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ended = end(child).await;
        assert_eq!(ended.code, Some(130), "{signal:?}: {ended:#?}");
        assert!(!data.is_running(), "{signal:?}");
    }
}

/// A closed terminal or pipe is not an error, on stdout or on stderr.
#[tokio::test]
async fn output_that_nobody_reads_is_not_an_error() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 5_000, 1);
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    simulator.seed(&namespace, 4_000, 2);
    let object = "0".repeat(64);
    let asked: [&[&str]; 14] = [
        &["sync", "--accept-removals"],
        &["sync", "--output", "json"],
        &["namespaces"],
        &["snapshots"],
        &["report"],
        &["report", "--output", "json"],
        &["history", &object],
        &["diff", "latest~1", "latest"],
        &["diff", "latest~1", "latest", "--summary"],
        &["export", "objects"],
        &["export", "objects", "--format", "parquet"],
        &["check"],
        &["man"],
        &["completions", "bash"],
    ];
    let closed_pipe = || -> Stdio {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer.into()
    };
    let ways: [(&str, &dyn Fn() -> Stdio); 2] = [("terminal", &Terminal::gone), ("pipe", &closed_pipe)];
    for args in asked {
        for (way, gone) in ways {
            let mut command = program(&simulator, &database, args);
            command.env("TERM", "xterm").stdout(gone()).stderr(gone());
            let ended = run(command);
            let code = if args[0] == "history" { 1 } else { 0 };
            assert_eq!(ended.code, Some(code), "{args:?} without a {way}: {ended:#?}");
        }
    }
    for (place, code) in [("/dev/null", 0), ("/dev/full", 1)] {
        let full = || File::options().write(true).open("/dev/full").unwrap();
        let mut command = program(&simulator, &database, &["snapshots"]);
        command
            .stdout(File::options().write(true).open(place).unwrap())
            .stderr(full());
        assert_eq!(
            run(command).code,
            Some(code),
            "a device that is full is an error: {place}"
        );
        let mut command = program(&simulator, &database, &["sync"]);
        command
            .stdout(File::options().write(true).open(place).unwrap())
            .stderr(full());
        assert_eq!(run(command).code, Some(code), "{place}");
    }
}
