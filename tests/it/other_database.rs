//! A run that connects again must reach the database that it began with. Otherwise it stops, and writes nothing.

use std::process::Child;
use std::time::{Duration, Instant};

use cloudflare_simulator::{Hold, Simulator};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, Ended, run, simulator, sync};

/// Far less than `--retry-for`, which is 15 minutes.
const PROMPT: Duration = Duration::from_secs(45);

struct Held {
    simulator: Simulator,
    database: TestDatabase,
    program: Child,
    hold: Hold,
}

/// A second run that waits for its third page.
async fn held() -> Held {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 1_000, 1);
    let limit = ["--limit", "100"];
    let recorded = run(sync(&simulator, &database, &limit));
    assert_eq!(recorded.code, Some(0), "{recorded:#?}");
    let hold = simulator.hold_at(&namespace, 3);
    let program = sync(&simulator, &database, &limit).spawn().unwrap();
    hold.wait_until_held().await;
    Held {
        simulator,
        database,
        program,
        hold,
    }
}

async fn session(database: &TestDatabase) -> PgConnection {
    PgConnection::connect_with(&database.options).await.unwrap()
}

async fn execute(session: &mut PgConnection, sql: String) {
    session.execute(AssertSqlSafe(sql)).await.unwrap();
}

const END_SESSIONS: &str = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
     where pid <> pg_backend_pid() and datname = ";

impl Held {
    fn refuses(self, difference: &str) -> (Simulator, TestDatabase) {
        self.hold.release();
        let begun = Instant::now();
        let ended = Ended::from(self.program.wait_with_output().unwrap());
        assert!(begun.elapsed() < PROMPT, "{:?}: {ended:#?}", begun.elapsed());
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        let namespace = &ended.json()["namespaces"][0];
        assert_eq!(namespace["status"], "interrupted");
        let why = namespace["error"].as_str().unwrap();
        let expected = format!("is not the one that this run began with ({difference})");
        assert!(why.contains(&expected), "{ended:#?}");
        (self.simulator, self.database)
    }
}

/// What a writer would change.
async fn state(database: &TestDatabase) -> String {
    let mut session = session(database).await;
    let state = "select (select jsonb_agg(r) from inventory.run r)::text || (select jsonb_agg(s) from inventory.snapshot s)::text
                     || (select jsonb_agg(n) from inventory.namespace n)::text";
    let state = sqlx::query_scalar(state).fetch_one(&mut session).await.unwrap();
    session.close().await.unwrap();
    state
}

#[tokio::test]
async fn another_database_under_the_same_name_is_not_written_to() {
    let (held, other) = (held().await, fresh_database().await);
    let recorded = run(sync(&held.simulator, &other, &[]));
    assert_eq!(recorded.code, Some(0), "{recorded:#?}");
    let before = state(&other).await;
    let name = |database: &TestDatabase| database.options.get_database().unwrap().to_owned();
    let (ours, theirs) = (name(&held.database), name(&other));
    let mut admin = PgConnection::connect_with(&other.options.clone().database("postgres"))
        .await
        .unwrap();
    let away = format!("{ours}_away");
    execute(&mut admin, format!("alter database {ours} allow_connections false")).await;
    execute(&mut admin, format!("{END_SESSIONS} '{ours}'")).await;
    execute(&mut admin, format!("alter database {ours} rename to {away}")).await;
    execute(&mut admin, format!("alter database {theirs} rename to {ours}")).await;
    let (_simulator, taken) = held.refuses("its inventory has another identity");
    let after = state(&taken).await;
    execute(&mut admin, format!("{END_SESSIONS} '{ours}'")).await;
    execute(&mut admin, format!("alter database {ours} rename to {theirs}")).await;
    execute(&mut admin, format!("alter database {away} rename to {ours}")).await;
    execute(&mut admin, format!("alter database {ours} allow_connections true")).await;
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_restored_backup_is_not_the_same_database() {
    for (restored, difference) in [
        (
            "update inventory.store set last_recorded_at = last_recorded_at - interval '1 day'",
            "its newest publication is older than one that this run has seen",
        ),
        (
            "update inventory.namespace set fence = 0",
            "its locks were acquired less often than this run has seen",
        ),
        (
            "drop schema inventory cascade",
            "its inventory is missing or can't be read",
        ),
    ] {
        let held = held().await;
        let mut admin = session(&held.database).await;
        let ended = format!("{END_SESSIONS} current_database()");
        execute(&mut admin, format!("{ended}; {restored}; {ended}")).await;
        admin.close().await.unwrap();
        held.refuses(difference);
    }
}

#[tokio::test]
async fn the_same_database_is_gone_on_with_after_its_sessions_ended() {
    let held = held().await;
    let mut admin = session(&held.database).await;
    execute(&mut admin, format!("{END_SESSIONS} current_database()")).await;
    held.hold.release();
    let ended = Ended::from(held.program.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    admin.close().await.unwrap();
}

/// A role whose privileges were given before there were identities, column by column.
#[tokio::test]
async fn a_role_that_may_not_read_the_identity_is_warned_once() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 100, 1);
    let migrated = run(sync(&simulator, &database, &[]));
    assert_eq!(migrated.code, Some(0), "{migrated:#?}");
    let role = format!("{}_columns", database.options.get_database().unwrap());
    let mut owner = session(&database).await;
    execute(&mut owner, format!("create role {role} login")).await;
    execute(&mut owner, crate::grants::grants(&role)).await;
    execute(
        &mut owner,
        format!(
            "revoke all on inventory.store from {role};
             grant select (the_only_row, last_recorded_at), update (last_recorded_at) on inventory.store to {role}"
        ),
    )
    .await;
    let mut command = sync(&simulator, &database, &["--no-migrate"]);
    command.env("DATABASE_URL", database.url_as(&role));
    let ended = run(command);
    execute(&mut owner, format!("drop owned by {role}; drop role {role}")).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let grant = format!("run `grant select on inventory.store to {role}`");
    assert_eq!(ended.stderr.matches(&grant).count(), 1, "{ended:#?}");
    assert_eq!(ended.stderr.matches(" WARN ").count(), 1, "{ended:#?}");
}
