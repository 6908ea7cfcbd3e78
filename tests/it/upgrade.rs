//! A record of an earlier version, kept by a role with that version's rights.

use std::process::Command;

use cloudflare_simulator::{Answer, Fault, Simulator, When};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::grants::{drop_role, grants};
use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::{everything, objects, statuses, texts, truth};
use crate::support::program::{ACCOUNT, Ended, bare, program, run, simulator, sync};

/// The newest migration of the earlier version.
const EARLIER: i64 = 2;

const LIMIT: [&str; 2] = ["--limit", "10"];

/// Moves the record into the earlier version's schema, as that version would have created it.
async fn go_back(owner: &mut PgConnection) {
    owner
        .execute("alter schema inventory rename to newer; create schema inventory")
        .await
        .unwrap();
    let mut earlier = sqlx::migrate!();
    earlier
        .migrations
        .to_mut()
        .retain(|migration| migration.version <= EARLIER);
    let mut earlier = Migrator::with_migrations(earlier.migrations.into_owned());
    earlier.dangerous_set_table_name("inventory._sqlx_migrations");
    earlier.run(&mut *owner).await.unwrap();
    // Triggers would check the keys, which refer to each other.
    owner
        .execute("set session_replication_role = replica; delete from inventory.store")
        .await
        .unwrap();
    let copies =
        "select format('insert into inventory.%1$I (%2$s) overriding system value select %2$s from newer.%1$I',
                               table_name, string_agg(quote_ident(column_name), ', '))
                  from information_schema.columns join information_schema.tables using (table_schema, table_name)
                  where table_schema = 'inventory' and table_type = 'BASE TABLE' and table_name <> '_sqlx_migrations'
                  group by table_name";
    let numbers = "select format('select setval(pg_get_serial_sequence(''inventory.%1$I'', %2$L), max(%2$I)) from inventory.%1$I',
                                table_name, column_name)
                   from information_schema.columns where table_schema = 'inventory' and is_identity = 'YES'";
    for statements in [copies, numbers] {
        let statements: Vec<String> = sqlx::query_scalar(statements).fetch_all(&mut *owner).await.unwrap();
        assert!(statements.len() > 3, "{statements:?}");
        for statement in statements {
            owner.execute(AssertSqlSafe(statement)).await.unwrap();
        }
    }
    owner
        .execute("reset session_replication_role; drop schema newer cascade")
        .await
        .unwrap();
}

/// Two snapshots of a namespace, and a walk that came to its sixth page.
async fn record(simulator: &Simulator, database: &TestDatabase, namespace: &str) {
    let walk = |args: &[&str]| run(sync(simulator, database, &[&LIMIT, args].concat()));
    simulator.seed(namespace, 100, 1);
    assert_eq!(walk(&[]).code, Some(0));
    let gone: Vec<_> = simulator.truth(namespace).into_keys().step_by(7).collect();
    gone.iter().for_each(|id| simulator.remove_object(namespace, id));
    assert_eq!(walk(&[]).code, Some(0));
    gone.iter()
        .for_each(|id| simulator.put_object(namespace, *id, Some(true)));
    simulator.fault(namespace, When::From(6), Fault::Answer(Answer::html(503)));
    assert_eq!(walk(&["--retry-for", "1ms"]).code, Some(1));
    simulator.with_namespace(namespace, |namespace| namespace.faults.clear());
}

#[tokio::test]
async fn a_record_of_an_earlier_version_is_kept_by_the_role_that_had_its_rights() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    record(&simulator, &database, &namespace).await;
    let mut owner = PgConnection::connect_with(&database.options).await.unwrap();
    go_back(&mut owner).await;
    let role = format!("{}_sync", database.options.get_database().unwrap());
    let granted = format!("create role {role} login; {}", grants(&role));
    owner.execute(AssertSqlSafe(granted)).await.unwrap();
    let before = everything(&database, &namespace).await;
    let interrupted = ["complete", "complete", "interrupted"];
    assert_eq!(statuses(&database, &namespace).await, interrupted);

    let user = database.options.get_username();
    let url = database.url().replacen(&format!("{user}@"), &format!("{role}@"), 1);
    let as_role = |mut command: Command| -> Ended {
        command.env("DATABASE_URL", &url);
        run(command)
    };
    let walk = || as_role(sync(&simulator, &database, &[&LIMIT[..], &["--no-migrate"]].concat()));
    let early = walk();
    assert_eq!(early.code, Some(1), "{early:#?}");
    assert!(early.stderr.contains("run `durable-inventory migrate`"), "{early:#?}");
    let migrated = run(program(&simulator, &database, &["migrate"]));
    assert_eq!(migrated.code, Some(0), "{migrated:#?}");
    assert_eq!(everything(&database, &namespace).await, before);
    assert_eq!(statuses(&database, &namespace).await, interrupted);

    simulator.with(|state| state.traffic.requests.clear());
    let resumed = walk();
    assert_eq!(resumed.code, Some(0), "{resumed:#?}");
    assert_eq!(resumed.json()["namespaces"][0]["resumed"], 1, "{resumed:#?}");
    // The first five of ten pages were committed.
    assert_eq!(simulator.requests_to(&namespace).len(), 5, "{resumed:#?}");
    assert_eq!(statuses(&database, &namespace).await, ["complete"; 3]);
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    let returned = "select snapshot_id::text from inventory.changes where namespace_id = $1 and change = 'created'";
    assert_eq!(texts(&database, returned, &namespace).await.len(), 15);

    // What later versions write: a smaller page size, and a namespace that may be gone.
    simulator.fault(
        &namespace,
        When::Always,
        Fault::hook(|request| {
            let limit: u32 = request.param("limit").unwrap().parse().unwrap();
            (limit > 100).then(|| Answer::html(504))
        }),
    );
    let smaller = as_role(sync(&simulator, &database, &["--no-migrate", "--limit", "200"]));
    assert_eq!(smaller.code, Some(0), "{smaller:#?}");
    assert!(
        smaller.stderr.contains("requesting pages of 100 objects"),
        "{smaller:#?}"
    );
    let other = simulator.add_namespace(ACCOUNT, "other");
    assert_eq!(walk().code, Some(0));
    for namespace in [&namespace, &other] {
        simulator.remove_namespace(namespace);
    }
    let vanished = walk();
    assert_eq!(vanished.code, Some(5), "{vanished:#?}");

    for args in [
        &["export", "objects", "--columns", "object_id"][..],
        &["export", "history"],
        &["namespaces"],
        &["snapshots"],
        &["report"],
        &["prune", "--older-than", "1ms"],
    ] {
        let ended = as_role(bare(&[&["--no-migrate"], args].concat()));
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:#?}");
        if args.contains(&"objects") {
            assert_eq!(ended.stdout.lines().count(), 1 + 100, "{ended:#?}");
        }
    }
    let accepted = as_role(program(
        &simulator,
        &database,
        &["--no-migrate", "namespaces", "accept-missing"],
    ));
    assert_eq!(accepted.code, Some(0), "{accepted:#?}");
    let checked = as_role(program(&simulator, &database, &["--no-migrate", "check"]));
    assert_eq!(checked.code, Some(0), "{checked:#?}");
    drop_role(owner, &role).await;
}
