//! A statement that waits, here for a table that somebody locked, does not keep a signal or the deadline from ending
//! the program.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use cloudflare_simulator::Simulator;
use durable_inventory::store::managed_postgres::ManagedServer;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::database::{TestDatabase, fresh_database, url};
use crate::support::private::Data;
use crate::support::program::{ACCOUNT, Ended, bare, program, run, simulator, sync, sync_to};

/// What a program may take to end after it was asked to: 5 s for the statement in hand, and up to 5 s for the rest.
const PROMPT: Duration = Duration::from_secs(12);

struct Blocked {
    simulator: Simulator,
    database: TestDatabase,
    namespace: String,
    locker: PgConnection,
    /// A session of its own: within a transaction, the list of sessions does not change.
    admin: PgConnection,
}

impl Blocked {
    /// A record of one namespace, and changes for the next walk.
    async fn new() -> Self {
        let (simulator, database) = (simulator().await, fresh_database().await);
        let namespace = simulator.add_namespace(ACCOUNT, "room");
        simulator.seed(&namespace, 200, 1);
        let recorded = run(sync(&simulator, &database, &["--limit", "100"]));
        assert_eq!(recorded.code, Some(0), "{recorded:#?}");
        simulator.seed(&namespace, 300, 1);
        let connect = || PgConnection::connect_with(&database.options);
        let (locker, admin) = (connect().await.unwrap(), connect().await.unwrap());
        Self {
            simulator,
            database,
            namespace,
            locker,
            admin,
        }
    }

    async fn lock(&mut self, table: &str) {
        let lock = format!("begin; lock table inventory.{table} in access exclusive mode");
        self.locker.execute(AssertSqlSafe(lock)).await.unwrap();
    }

    async fn unlock(&mut self) {
        self.locker.execute("rollback").await.unwrap();
    }

    async fn waiting(&mut self) -> i64 {
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'
                         and application_name like 'durable-inventory %'";
        sqlx::query_scalar(waiting).fetch_one(&mut self.admin).await.unwrap()
    }

    async fn until_a_statement_waits(&mut self, program: &mut Child, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.waiting().await == 0 {
            let ended = program.try_wait().unwrap();
            assert!(ended.is_none(), "{what} ended before it waited: {ended:?}");
            assert!(Instant::now() < deadline, "no statement waits");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts the command, waits until it waits for the locked table, and sends SIGTERM: the environment of the tests
    /// may ignore SIGINT.
    async fn interrupted(&mut self, mut command: Command) -> Ended {
        let what = format!("{command:?}");
        let mut program = command.spawn().unwrap();
        self.until_a_statement_waits(&mut program, &what).await;
        let asked = Instant::now();
        kill_process(Pid::from_child(&program), Signal::TERM).unwrap();
        let ended = Ended::from(program.wait_with_output().unwrap());
        assert!(asked.elapsed() < PROMPT, "{:?}: {ended:#?}", asked.elapsed());
        assert_eq!(self.waiting().await, 0, "its statement still waits");
        ended
    }

    /// The record is whole once the table is free: the next run records everything.
    async fn recovers(&mut self) {
        self.unlock().await;
        let ended = run(sync(&self.simulator, &self.database, &["--limit", "100"]));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(ended.json()["namespaces"][0]["objects"], 300);
    }
}

/// The tables that a run comes to one after the other: where it begins, plans, takes the lock, walks, and publishes.
const TABLES: [&str; 6] = [
    "_sqlx_migrations",
    "run",
    "account",
    "namespace",
    "open_interval",
    "store",
];

#[tokio::test]
async fn a_signal_ends_a_sync_that_waits_for_a_table() {
    let mut blocked = Blocked::new().await;
    for table in TABLES {
        blocked.lock(table).await;
        let command = sync(&blocked.simulator, &blocked.database, &["--limit", "100"]);
        let ended = blocked.interrupted(command).await;
        assert_eq!(ended.code, Some(130), "{table}: {ended:#?}");
        blocked.unlock().await;
    }
    blocked.lock("store").await;
    blocked.recovers().await;
}

#[tokio::test]
async fn the_deadline_ends_a_sync_that_waits_for_a_table() {
    let mut blocked = Blocked::new().await;
    for table in TABLES {
        blocked.lock(table).await;
        let begun = Instant::now();
        let ended = run(sync(
            &blocked.simulator,
            &blocked.database,
            &["--limit", "100", "--deadline", "3s"],
        ));
        assert!(begun.elapsed() < Duration::from_secs(3) + PROMPT, "{table}: {ended:#?}");
        assert_eq!(ended.code, Some(3), "{table}: {ended:#?}");
        assert_eq!(blocked.waiting().await, 0, "{table}");
        blocked.unlock().await;
    }
    blocked.lock("store").await;
    blocked.recovers().await;
}

/// A publication that was dropped is not carried out later, and the run says so.
#[tokio::test]
async fn a_publication_that_waits_is_dropped_and_the_next_run_publishes() {
    let mut blocked = Blocked::new().await;
    // Readers of the clock are let through, its writer is not.
    blocked
        .locker
        .execute("begin; lock table inventory.store in share mode")
        .await
        .unwrap();
    let command = sync(&blocked.simulator, &blocked.database, &["--limit", "100"]);
    let ended = blocked.interrupted(command).await;
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    let namespace = &ended.json()["namespaces"][0];
    assert_eq!(namespace["status"], "interrupted");
    let why = namespace["error"].as_str().unwrap();
    assert!(
        why.contains("did not finish a statement in time; the next run resumes after page"),
        "{why}"
    );
    let requests = blocked.simulator.requests_to(&blocked.namespace).len();
    blocked.recovers().await;
    let again = blocked.simulator.requests_to(&blocked.namespace).len();
    assert_eq!(again, requests, "every page was committed");
}

#[tokio::test]
async fn a_signal_ends_every_command_that_waits_for_a_table() {
    let mut blocked = Blocked::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.csv");
    let file = file.to_str().unwrap();
    let cases: [(&str, &[&str]); 10] = [
        ("_sqlx_migrations", &["migrate"]),
        ("_sqlx_migrations", &["check"]),
        ("_sqlx_migrations", &["export", "objects"]),
        ("namespace", &["namespaces"]),
        ("snapshot", &["snapshots"]),
        ("namespace", &["report"]),
        ("namespace", &["export", "objects", "--output", file]),
        ("open_interval", &["export", "objects", "--output", file]),
        ("namespace", &["diff", "latest", "latest"]),
        ("namespace", &["prune", "--older-than", "1s"]),
    ];
    for (table, args) in cases {
        blocked.lock(table).await;
        let command = program(&blocked.simulator, &blocked.database, args);
        let ended = blocked.interrupted(command).await;
        assert_eq!(ended.code, Some(130), "{args:?}: {ended:#?}");
        blocked.unlock().await;
    }
    assert!(!std::path::Path::new(file).exists());
}

/// A server of the test's own, which it may change for all sessions.
struct OwnServer {
    data: Data,
    server: ManagedServer,
    simulator: Simulator,
    namespace: String,
    admin: PgConnection,
}

impl OwnServer {
    async fn new() -> Self {
        let (data, simulator) = (Data::new(), simulator().await);
        let server = data.join().await;
        let namespace = simulator.add_namespace(ACCOUNT, "room");
        simulator.seed(&namespace, 300, 1);
        let admin = PgConnection::connect_with(&server.connect_options()).await.unwrap();
        Self {
            data,
            server,
            simulator,
            namespace,
            admin,
        }
    }

    fn sync(&self) -> Command {
        sync_to(
            &self.simulator,
            &url(&self.server.connect_options()),
            &["--limit", "100"],
        )
    }

    /// Sends SIGTERM, and expects the end soon.
    fn stops(program: Child) -> Ended {
        let asked = Instant::now();
        kill_process(Pid::from_child(&program), Signal::TERM).unwrap();
        let ended = Ended::from(program.wait_with_output().unwrap());
        assert!(asked.elapsed() < PROMPT, "{:?}: {ended:#?}", asked.elapsed());
        assert_eq!(ended.code, Some(130), "{ended:#?}");
        ended
    }

    async fn recovers(self) {
        let ended = run(self.sync());
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        drop(self.admin);
        self.server.leave().await.unwrap();
    }
}

/// A synchronous standby that is gone: each commit waits for it.
#[tokio::test]
async fn a_signal_ends_a_sync_whose_commit_waits_for_a_standby() {
    let mut own = OwnServer::new().await;
    let recorded = run(own.sync());
    assert_eq!(recorded.code, Some(0), "{recorded:#?}");
    own.admin
        .execute("alter system set synchronous_standby_names = 'nobody'")
        .await
        .unwrap();
    own.admin.execute("select pg_reload_conf()").await.unwrap();
    let mut program = own.sync().spawn().unwrap();
    let waiting = "select exists(select from pg_stat_activity where wait_event = 'SyncRep')";
    while !sqlx::query_scalar::<_, bool>(waiting)
        .fetch_one(&mut own.admin)
        .await
        .unwrap()
    {
        assert!(program.try_wait().unwrap().is_none(), "it ended before it waited");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    OwnServer::stops(program);
    own.admin.execute("alter system reset all").await.unwrap();
    own.admin.execute("select pg_reload_conf()").await.unwrap();
    own.recovers().await;
}

/// To the program, a server whose processes are stopped is like one behind a network that is gone.
#[tokio::test]
async fn a_signal_ends_a_sync_whose_server_went_silent() {
    let mut own = OwnServer::new().await;
    let hold = own.simulator.hold_at(&own.namespace, 3);
    let program = own.sync().spawn().unwrap();
    hold.wait_until_held().await;
    let backends = "select pid from pg_stat_activity where application_name like 'durable-inventory %'";
    let backends: Vec<i32> = sqlx::query_scalar(backends).fetch_all(&mut own.admin).await.unwrap();
    let mut processes: Vec<Pid> = backends.into_iter().filter_map(Pid::from_raw).collect();
    assert!(!processes.is_empty());
    processes.push(own.data.server_pid());
    let send = |signal| {
        processes
            .iter()
            .for_each(|process| kill_process(*process, signal).unwrap())
    };
    send(Signal::STOP);
    hold.release();
    let ended = OwnServer::stops(program);
    send(Signal::CONT);
    let namespace = &ended.json()["namespaces"][0];
    assert_eq!(namespace["status"], "interrupted", "{ended:#?}");
    own.recovers().await;
}

/// SIGINT is psql's own only once psql runs.
#[tokio::test]
async fn a_signal_ends_psql_that_waits_for_a_table() {
    let mut own = OwnServer::new().await;
    let recorded = run(own.sync());
    assert_eq!(recorded.code, Some(0), "{recorded:#?}");
    own.admin
        .execute("begin; lock table inventory._sqlx_migrations in access exclusive mode")
        .await
        .unwrap();
    let mut watching = PgConnection::connect_with(&own.server.connect_options()).await.unwrap();
    let program = bare(&[
        "psql",
        "--data-dir",
        own.data.dir.to_str().unwrap(),
        "--",
        "-c",
        "select 1",
    ]);
    let program = { program }.spawn().unwrap();
    let waiting = "select exists(select from pg_stat_activity where wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(waiting)
        .fetch_one(&mut watching)
        .await
        .unwrap()
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let asked = Instant::now();
    kill_process(Pid::from_child(&program), Signal::INT).unwrap();
    let ended = Ended::from(program.wait_with_output().unwrap());
    assert!(asked.elapsed() < PROMPT, "{ended:#?}");
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    own.admin.execute("rollback").await.unwrap();
    watching.close().await.unwrap();
    own.recovers().await;
}
