//! A database whose sequences were reset, as after a logical replication or a restore of rows alone. Snapshot and run
//! numbers must keep rising, because earlier results depend on that.

use cloudflare_simulator::Simulator;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::texts;
use crate::support::program::{ACCOUNT, Ended, program, run, simulator, sync};

/// Ids of one namespace's published snapshots, in the order of their publication.
async fn published(database: &TestDatabase, namespace: &str) -> Vec<i64> {
    let sql = "select snapshot_id::text from inventory.snapshots
               where namespace_id = $1 and status = 'complete' order by recorded_at";
    let ids = texts(database, sql, namespace).await;
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

/// The ids that existed as of a snapshot.
fn as_of(simulator: &Simulator, database: &TestDatabase, snapshot: i64) -> String {
    let snapshot = snapshot.to_string();
    let ended = run(program(
        simulator,
        database,
        &["export", "objects", "--ids-only", "--as-of", &snapshot],
    ));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended.stdout
}

async fn session(database: &TestDatabase) -> PgConnection {
    PgConnection::connect_with(&database.options).await.unwrap()
}

/// Resets every sequence of the record.
async fn restart_all(owner: &mut PgConnection) {
    let all = "select format('alter sequence %I.%I restart', schemaname, sequencename)
               from pg_sequences where schemaname = 'inventory'";
    let statements: Vec<String> = sqlx::query_scalar(all).fetch_all(&mut *owner).await.unwrap();
    assert!(statements.len() >= 4, "{statements:?}");
    for statement in statements {
        owner.execute(AssertSqlSafe(statement)).await.unwrap();
    }
}

/// Four syncs of a namespace that changes, then a prune that leaves gaps in the numbers.
async fn recorded(simulator: &Simulator, database: &TestDatabase) -> String {
    let chat = simulator.add_namespace(ACCOUNT, "chat_Room");
    for round in 0..4 {
        simulator.seed(&chat, 100 + 10 * round, 1);
        assert_eq!(run(sync(simulator, database, &[])).code, Some(0));
    }
    let pruned = run(program(simulator, database, &["prune", "--older-than", "1ms"]));
    assert_eq!(pruned.code, Some(0), "{pruned:#?}");
    chat
}

#[tokio::test]
async fn sequences_that_began_again_are_moved_on() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let chat = recorded(&simulator, &database).await;
    let before = published(&database, &chat).await;
    let newest = *before.last().unwrap();
    let answer = as_of(&simulator, &database, newest);
    let mut owner = session(&database).await;
    for round in 4..7 {
        restart_all(&mut owner).await;
        simulator.seed(&chat, 100 + 10 * round, 1);
        let other = simulator.add_namespace(ACCOUNT, &format!("other_{round}"));
        simulator.seed(&other, 10, 2);
        let ended = run(sync(&simulator, &database, &[]));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(
            ended.stderr.contains("it was advanced to"),
            "an administrator is told: {ended:#?}"
        );
        assert_eq!(as_of(&simulator, &database, newest), answer);
    }
    let after = published(&database, &chat).await;
    assert!(after.is_sorted() && after.len() == before.len() + 3, "{after:?}");
    // No sequence may remain behind, whatever tables there are.
    let behind = "select count(*) from pg_sequences where schemaname = 'inventory' and last_value is null";
    let behind: i64 = sqlx::query_scalar(behind).fetch_one(&mut owner).await.unwrap();
    assert_eq!(behind, 0);
    let deep = run(program(&simulator, &database, &["check", "--deep"]));
    assert_eq!(deep.code, Some(0), "{deep:#?}");
    owner.close().await.unwrap();
}

/// The role that docs/operations.md describes may neither advance a sequence nor read one.
#[tokio::test]
async fn a_role_that_may_not_is_told_the_statement() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let chat = recorded(&simulator, &database).await;
    let before = published(&database, &chat).await;
    let role = format!("{}_sync", database.options.get_database().unwrap());
    let mut owner = session(&database).await;
    owner
        .execute(AssertSqlSafe(format!(
            "create role {role} login; {}",
            super::grants::grants(&role)
        )))
        .await
        .unwrap();
    let url = database.url_as(&role);
    let as_role = || {
        let mut command = sync(&simulator, &database, &["--no-migrate"]);
        command.env("DATABASE_URL", &url);
        run(command)
    };
    for looks in [false, true] {
        if looks {
            let grant = format!("grant select on all sequences in schema inventory to {role}");
            owner.execute(AssertSqlSafe(grant)).await.unwrap();
        }
        restart_all(&mut owner).await;
        simulator.seed(&chat, if looks { 300 } else { 200 }, 1);
        // Runs each requested statement until none is missing.
        let mut asked = 0;
        let done = loop {
            let ended = as_role();
            let Some(statements) = statements(&ended) else {
                break ended;
            };
            assert_eq!(ended.code, Some(1), "{ended:#?}");
            assert_eq!(
                published(&database, &chat).await.len(),
                before.len() + usize::from(looks)
            );
            asked += 1;
            assert!(asked < 5, "{ended:#?}");
            owner.execute(AssertSqlSafe(statements)).await.unwrap();
        };
        assert_eq!(done.code, Some(0), "{done:#?}");
        assert!(asked > 0, "{done:#?}");
        assert!(!looks || asked == 1, "all of them at once");
    }
    let after = published(&database, &chat).await;
    assert!(after.is_sorted() && after.len() == before.len() + 2, "{after:?}");
    owner
        .execute(AssertSqlSafe(format!("drop owned by {role}; drop role {role}")))
        .await
        .unwrap();
    owner.close().await.unwrap();
}

/// The statements between backquotes, which can be run verbatim.
fn statements(ended: &Ended) -> Option<String> {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    let (_, after) = said.split_once("`select pg_catalog.setval(")?;
    let (statements, _) = after.split_once('`')?;
    Some(format!("select pg_catalog.setval({statements}"))
}

/// A walk is not published if an earlier version reused a number for it without a check.
#[tokio::test]
async fn a_walk_with_a_number_from_before_is_not_published() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let chat = recorded(&simulator, &database).await;
    let mut owner = session(&database).await;
    let gap = "alter table inventory.snapshot alter snapshot_id restart with 100";
    owner.execute(gap).await.unwrap();
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    let newest = *published(&database, &chat).await.last().unwrap();
    assert_eq!(newest, 100);
    let answer = as_of(&simulator, &database, newest);
    // An interrupted walk without any pages, as the next run finds it.
    let left = "insert into inventory.snapshot (snapshot_id, run_id, namespace_key, status, base_snapshot)
                overriding system value
                select 50, (select max(run_id) from inventory.run), namespace_key, 'interrupted', published_snapshot
                from inventory.namespace where namespace_id = $1";
    sqlx::query(left).bind(&chat).execute(&mut owner).await.unwrap();
    simulator.seed(&chat, 200, 1);
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(as_of(&simulator, &database, newest), answer);
    assert!(published(&database, &chat).await.is_sorted());
    let sql = "select status from inventory.snapshots where namespace_id = $1 and snapshot_id = 50";
    assert_eq!(texts(&database, sql, &chat).await, ["superseded"]);
    owner.close().await.unwrap();
}
