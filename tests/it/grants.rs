//! A role that may not change the schema: the privileges listed in docs/operations.md suffice for every command.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::readme::block;
use crate::support::database::fresh_database;
use crate::support::program::{ACCOUNT, Ended, bare, program, run, simulator, sync};

/// The statements from docs/operations.md that an administrator runs for the role `inventory_sync`.
pub fn grants(role: &str) -> String {
    block("docs/operations.md", "sql", "-- rights of the role").replace("inventory_sync", role)
}

/// Roles outlive a test's database.
pub async fn drop_role(mut owner: PgConnection, role: &str) {
    owner
        .execute(AssertSqlSafe(format!("drop owned by {role}; drop role {role}")))
        .await
        .unwrap();
    owner.close().await.unwrap();
}

#[tokio::test]
async fn a_role_without_create_is_enough() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let chat = simulator.add_namespace(ACCOUNT, "chat_Room");
    simulator.seed(&chat, 300, 1);
    // The role can't create the schema, so the owner migrates first.
    let migrated = run(program(&simulator, &database, &["migrate"]));
    assert_eq!(migrated.code, Some(0), "{migrated:#?}");

    // Roles belong to the server, which all tests share.
    let role = format!("{}_sync", database.options.get_database().unwrap());
    let mut owner = PgConnection::connect_with(&database.options).await.unwrap();
    owner
        .execute(AssertSqlSafe(format!("create role {role} login")))
        .await
        .unwrap();
    owner.execute(AssertSqlSafe(grants(&role))).await.unwrap();
    let url = database.url_as(&role);
    let as_role = |more: &[&str]| {
        let mut command = sync(
            &simulator,
            &database,
            &[&["--no-migrate", "--limit", "100"], more].concat(),
        );
        command.env("DATABASE_URL", &url);
        run(command)
    };
    let first = as_role(&[]);
    assert_eq!(first.code, Some(0), "{first:#?}");
    // Changes of all kinds, a mass removal that is held, and unordered ids, which are spooled.
    simulator.seed(&chat, 200, 2);
    assert_eq!(as_role(&[]).code, Some(5));
    assert_eq!(as_role(&["--accept-removals"]).code, Some(0));
    simulator.with_namespace(&chat, |n| n.order = cloudflare_simulator::Order::Shuffled(1));
    let spooled = as_role(&[]);
    assert_eq!(spooled.code, Some(0), "{spooled:#?}");
    assert_eq!(spooled.json()["namespaces"][0]["objects"], 200);
    for args in [&["namespaces"][..], &["snapshots"], &["prune", "--older-than", "1ms"]] {
        let mut command = bare(&[&["--no-migrate"], args].concat());
        command.env("DATABASE_URL", &url);
        let ended = run(command);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }

    let mut limited = PgConnection::connect(&url).await.unwrap();
    let refused = limited.execute("create table inventory.mine (a int)").await;
    assert!(refused.is_err(), "the role can still not create anything");
    limited.close().await.unwrap();
    drop_role(owner, &role).await;
}

#[tokio::test]
async fn without_a_schema_it_is_told_what_to_do() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let ended = run(sync(&simulator, &database, &["--no-migrate"]));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("run `durable-inventory migrate`"), "{ended:#?}");
}

/// `check` reports the missing privileges before a sync fails on them.
#[tokio::test]
async fn check_tells_of_rights_that_are_missing() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    assert_eq!(run(program(&simulator, &database, &["migrate"])).code, Some(0));
    let role = format!("{}_reader", database.options.get_database().unwrap());
    let mut owner = PgConnection::connect_with(&database.options).await.unwrap();
    let grants = format!(
        "create role {role} login; grant usage on schema inventory to {role};
         grant select on all tables in schema inventory to {role}"
    );
    owner.execute(AssertSqlSafe(grants)).await.unwrap();
    let mut check = program(&simulator, &database, &["--no-migrate", "check"]);
    check.env("DATABASE_URL", database.url_as(&role));
    let ended = run(check);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(
        ended
            .stdout
            .contains("grant insert, update on inventory.account, inventory.namespace, inventory.run"),
        "{ended:#?}"
    );
    drop_role(owner, &role).await;
}

/// A later version may add tables and views, on which a role with yesterday's grants has no right.
#[tokio::test]
async fn a_right_missing_on_what_is_new_is_one_warning_with_the_grant() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let chat = simulator.add_namespace(ACCOUNT, "chat_Room");
    simulator.seed(&chat, 300, 1);
    assert_eq!(run(program(&simulator, &database, &["migrate"])).code, Some(0));
    let role = format!("{}_sync", database.options.get_database().unwrap());
    let mut owner = PgConnection::connect_with(&database.options).await.unwrap();
    let made = format!(
        "create role {role} login; {}; create table inventory.later (id int);
         create view inventory.latest as select id from inventory.later",
        grants(&role)
    );
    owner.execute(AssertSqlSafe(made)).await.unwrap();
    let url = database.url_as(&role);
    let as_role = || {
        let mut command = sync(&simulator, &database, &["--no-migrate"]);
        command.env("DATABASE_URL", &url);
        run(command)
    };
    let ended = as_role();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let grant = format!("grant select on inventory.later, inventory.latest to {role}");
    let warnings: Vec<_> = ended.stderr.lines().filter(|line| line.contains(" WARN ")).collect();
    assert!(
        matches!(warnings.as_slice(), [warning] if warning.contains(&format!("run `{grant}`"))),
        "{ended:#?}"
    );
    owner.execute(AssertSqlSafe(grant)).await.unwrap();
    let ended = as_role();
    assert!(ended.code == Some(0) && !ended.stderr.contains(" WARN "), "{ended:#?}");
    drop_role(owner, &role).await;
}

/// First runs may start at the same time, as the containers of a new deployment do.
#[tokio::test]
async fn first_runs_at_once_do_not_get_in_each_others_way() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let programs: Vec<_> = (0..6)
        .map(|_| program(&simulator, &database, &["migrate"]).spawn().unwrap())
        .collect();
    for child in programs {
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
}

/// The record's promises hold with any default isolation level, which an administrator may change.
#[tokio::test]
async fn publications_wait_for_each_other_whatever_the_servers_isolation_is() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    for number in 0..8 {
        let namespace = simulator.add_namespace(ACCOUNT, &format!("room{number}"));
        simulator.seed(&namespace, 50, number);
    }
    let mut owner = PgConnection::connect_with(&database.options).await.unwrap();
    let name = database.options.get_database().unwrap();
    let defaults = format!(
        "alter database {name} set default_transaction_isolation = 'repeatable read';
         alter database {name} set synchronous_commit = off"
    );
    owner.execute(AssertSqlSafe(defaults)).await.unwrap();
    assert_eq!(run(program(&simulator, &database, &["migrate"])).code, Some(0));
    // Blocks all publications in their last statements until several wait there.
    let mut holder = PgConnection::connect_with(&database.options).await.unwrap();
    holder.execute("select pg_advisory_lock(1684631158, 0)").await.unwrap();
    let child = sync(&simulator, &database, &["--concurrency", "8"]).spawn().unwrap();
    let waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted";
    while sqlx::query_scalar::<_, i64>(waiting)
        .fetch_one(&mut holder)
        .await
        .unwrap()
        < 8
    {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    holder.close().await.unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    owner.close().await.unwrap();
}
