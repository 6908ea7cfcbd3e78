//! Databases that can't hold the record: `check` says so before a sync fails, and a sync changes nothing there.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::service;
use crate::grants::{drop_role, grants};
use crate::support::database::{TestDatabase, fresh_database, url};
use crate::support::private::Data;
use crate::support::program::{ACCOUNT, Ended, bare, program, run, simulator, sync, sync_to};

/// The finding of a kind, which must be wrong.
fn wrong<'a>(checked: &'a Ended, kind: &str) -> &'a str {
    assert_eq!(checked.code, Some(2), "{checked:#?}");
    let mut lines = checked.stdout.lines();
    let found = lines.find(|line| line.starts_with(&format!("WRONG  {kind}: ")));
    found.unwrap_or_else(|| panic!("{checked:#?}"))
}

/// The command that a message suggests first.
fn command(message: &str) -> &str {
    message.split('`').nth(1).unwrap()
}

#[tokio::test]
async fn a_read_only_default_is_found_with_what_set_it() {
    let (simulator, database, _) = service().await;
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    let name = database.options.get_database().unwrap();
    let mut owner = PgConnection::connect_with(&database.options).await.unwrap();
    let role = format!("{name}_reader");
    let made = format!("create role {role} login; {}", grants(&role));
    owner.execute(AssertSqlSafe(made)).await.unwrap();
    let user = database.options.get_username();
    let as_role = database.url().replacen(&format!("{user}@"), &format!("{role}@"), 1);
    let run_by_role = |args: &[&str], query: &str| {
        let mut command = program(&simulator, &database, &[&["--no-migrate"], args].concat());
        command.env("DATABASE_URL", format!("{as_role}{query}"));
        run(command)
    };
    for scope in [
        format!("database {name}"),
        format!("role {role}"),
        format!("role {role} in database {name}"),
    ] {
        let set = format!("alter {scope} set default_transaction_read_only = on");
        owner.execute(AssertSqlSafe(set)).await.unwrap();
        let checked = run_by_role(&["check"], "");
        let remedy = command(wrong(&checked, "database")).to_owned();
        assert_eq!(remedy, format!("alter {scope} reset default_transaction_read_only"));
        let refused = run_by_role(&["sync"], "");
        assert!(
            refused.code == Some(1) && refused.stderr.contains(&remedy),
            "{refused:#?}"
        );
        // This session began with the old default.
        owner.execute(AssertSqlSafe(remedy)).await.unwrap();
        assert_eq!(run_by_role(&["check"], "").code, Some(0));
    }
    let checked = run_by_role(&["check"], "&options=-c%20default_transaction_read_only%3Don");
    assert!(
        wrong(&checked, "database").contains("in the database's URL"),
        "{checked:#?}"
    );
    drop_role(owner, &role).await;
}

/// A server that has replayed everything, as a standby would.
#[tokio::test]
async fn a_standby_can_be_read_up_to_its_newest_snapshot_and_not_written_to() {
    let simulator = simulator().await;
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 25, 1);
    let data = Data::new();
    let args = ["--data-dir", data.dir.to_str().unwrap()];
    let mut first = sync_to(&simulator, "", &args);
    first.env_remove("DATABASE_URL");
    assert_eq!(run(first).code, Some(0));
    let signal = data.dir.join("postgres/standby.signal");
    std::fs::write(&signal, "").unwrap();
    let owner = std::fs::metadata(signal.parent().unwrap()).unwrap();
    use std::os::unix::fs::MetadataExt;
    std::os::unix::fs::chown(&signal, Some(owner.uid()), Some(owner.gid())).unwrap();
    let server = data.join().await;
    let url = url(&server.connect_options());
    let on_standby = |args: &[&str]| {
        let mut command = bare(args);
        command
            .env("CLOUDFLARE_API_BASE_URL", simulator.base_url())
            .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
            .env("CLOUDFLARE_API_TOKEN", crate::support::program::TOKEN)
            .env("DATABASE_URL", &url);
        run(command)
    };
    let checked = on_standby(&["check"]);
    assert!(wrong(&checked, "database").contains("is a standby"), "{checked:#?}");
    let refused = on_standby(&["sync"]);
    assert!(
        refused.code == Some(1) && refused.stderr.contains("is a standby, which can't be written to"),
        "{refused:#?}"
    );
    let count = |ended: Ended| (ended.code, ended.stdout.lines().count());
    assert_eq!(count(on_standby(&["export", "objects", "--ids-only"])), (Some(0), 25));
    let now = on_standby(&["export", "objects", "--ids-only", "--as-of", "1ms ago"]);
    assert_eq!(now.code, Some(1), "{now:#?}");
    let (_, end) = now.stderr.split_once("whose record ends at ").unwrap();
    let end = end.split(',').next().unwrap();
    assert!(now.stderr.contains("connect to the primary"), "{now:#?}");
    let at_the_end = ["export", "objects", "--ids-only", "--as-of", end];
    assert_eq!(count(on_standby(&at_the_end)), (Some(0), 25), "{now:#?}");
    let later = on_standby(&["export", "objects", "--as-of", "2100-01-01"]);
    assert!(
        later.code == Some(1) && later.stderr.contains("is in the future"),
        "{later:#?}"
    );
    server.leave().await.unwrap();
}

async fn relations(session: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar("select relname::text from pg_class where relnamespace = 'inventory'::regnamespace order by 1")
        .fetch_all(session)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_schema_of_another_program_is_found_and_left_alone() {
    let simulator = simulator().await;
    for (made, names) in [
        // With a name in common, and without.
        ("create table inventory.store (id int primary key)", "store"),
        (
            "create table inventory.shoes (size int); create view inventory.sizes as select size from inventory.shoes",
            "shoes, sizes",
        ),
        // Another program with the same library for its migrations.
        (
            "create table inventory.stock (id int);
             create table inventory._sqlx_migrations (version bigint primary key, description text not null,
                 installed_on timestamptz not null default now(), success boolean not null, checksum bytea not null,
                 execution_time bigint not null);
             insert into inventory._sqlx_migrations values (1, 'record', now(), true, '\\x00', 0)",
            "stock",
        ),
    ] {
        let database = fresh_database().await;
        let mut owner = PgConnection::connect_with(&database.options).await.unwrap();
        owner.execute("create schema inventory").await.unwrap();
        owner.execute(made).await.unwrap();
        let before = relations(&mut owner).await;
        let expected = format!("belongs to another program ({names})");
        let checked = run(program(&simulator, &database, &["check"]));
        assert!(wrong(&checked, "migrations").contains(&expected), "{checked:#?}");
        for args in [&["sync"][..], &["migrate"], &["--no-migrate", "sync"]] {
            let refused = run(program(&simulator, &database, args));
            assert!(
                refused.code == Some(1) && refused.stderr.contains(&expected),
                "{refused:#?}"
            );
        }
        assert_eq!(relations(&mut owner).await, before);
        owner.close().await.unwrap();
    }
    // A schema that an administrator created for the record is used.
    let database = fresh_database().await;
    let mut owner = PgConnection::connect_with(&database.options).await.unwrap();
    owner.execute("create schema inventory").await.unwrap();
    owner.close().await.unwrap();
    assert_eq!(run(program(&simulator, &database, &["migrate"])).code, Some(0));
}

#[tokio::test]
async fn an_encoding_that_lacks_characters_is_noted() {
    let (simulator, database, _) = service().await;
    let name = database.options.get_database().unwrap();
    let mut owner = PgConnection::connect_with(&database.options).await.unwrap();
    for (encoding, noted) in [("LATIN1", true), ("WIN1252", true), ("SQL_ASCII", false)] {
        let narrow = format!("{name}_narrow");
        for sql in [
            format!("drop database if exists {narrow} with (force)"),
            format!("create database {narrow} encoding '{encoding}' template template0 locale 'C'"),
        ] {
            owner.execute(AssertSqlSafe(sql)).await.unwrap();
        }
        let mut check = program(&simulator, &database, &["check"]);
        check.env("DATABASE_URL", url(&database.options.clone().database(&narrow)));
        let checked = run(check);
        assert_eq!(checked.code, Some(0), "{checked:#?}");
        let note = format!("NOTE   database: its encoding is {encoding}");
        assert_eq!(checked.stdout.contains(&note), noted, "{checked:#?}");
        let drop = format!("drop database {narrow} with (force)");
        owner.execute(AssertSqlSafe(drop)).await.unwrap();
    }
}

/// A role with all rights but some. The statement that `check` names gives it those.
async fn lacking(database: &TestDatabase, owner: &mut PgConnection, role: &str, revoked: &str) -> Vec<String> {
    let simulator = simulator().await;
    let revoke = format!("revoke {revoked} from {role}");
    owner.execute(AssertSqlSafe(revoke)).await.unwrap();
    let check = || {
        let mut check = program(&simulator, database, &["--no-migrate", "check"]);
        let user = database.options.get_username();
        let url = database.url().replacen(&format!("{user}@"), &format!("{role}@"), 1);
        check.env("DATABASE_URL", url);
        run(check)
    };
    let checked = check();
    let grants: Vec<_> = command(wrong(&checked, "rights"))
        .split("; ")
        .map(str::to_owned)
        .collect();
    for grant in &grants {
        owner.execute(AssertSqlSafe(grant.as_str())).await.unwrap();
    }
    let checked = check();
    assert!(!checked.stdout.contains("WRONG  rights"), "{checked:#?}");
    grants
}

#[tokio::test]
async fn each_right_that_a_sync_lacks_is_found() {
    let (simulator, database, _) = service().await;
    assert_eq!(run(program(&simulator, &database, &["migrate"])).code, Some(0));
    let role = format!("{}_sync", database.options.get_database().unwrap());
    let mut owner = PgConnection::connect_with(&database.options).await.unwrap();
    let made = format!("create role {role} login; {}", grants(&role));
    owner.execute(AssertSqlSafe(made)).await.unwrap();
    for revoked in [
        "delete on inventory.open_interval",
        "insert, update on inventory.run, inventory.snapshot",
        "update on inventory.store",
        "select, insert, update, delete on inventory.closed_interval",
        "select on inventory.objects, inventory.pruned_object",
        "usage on schema inventory",
    ] {
        let grants = lacking(&database, &mut owner, &role, revoked).await;
        assert_eq!(grants, [format!("grant {revoked} to {role}")]);
    }
    let several = "usage on schema inventory from ROLE; revoke update on inventory.run from ROLE; revoke delete on inventory.staged_change";
    let grants = lacking(&database, &mut owner, &role, &several.replace("ROLE", &role)).await;
    assert_eq!(grants.len(), 3, "{grants:#?}");
    drop_role(owner, &role).await;
}
