//! A role that may only create objects in the database gains no further privileges. Whatever it plants where names are
//! looked up, or where the record is to be created, never runs as the user of this program.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, Ended, program, run, simulator, sync};

/// The attacker: a role of this test's own, because the server's roles are shared.
struct Mallory {
    name: String,
    session: PgConnection,
    owner: PgConnection,
}

impl Mallory {
    async fn new(database: &TestDatabase) -> Self {
        let name = format!("{}_attacker", database.options.get_database().unwrap());
        let mut owner = PgConnection::connect_with(&database.options).await.unwrap();
        let made = format!(
            "drop role if exists {name}; create role {name} login; grant create on database {} to {name}; grant create on schema public to {name}",
            database.options.get_database().unwrap()
        );
        owner.execute(AssertSqlSafe(made)).await.unwrap();
        let session = PgConnection::connect_with(&database.options.clone().username(&name))
            .await
            .unwrap();
        Self { name, session, owner }
    }

    /// `%taken%` stands for PL/pgSQL statements that make the role a superuser if a superuser runs them.
    async fn does(&mut self, sql: &str) {
        let taken = format!(
            "begin execute 'alter role {} superuser'; exception when others then null; end;",
            self.name
        );
        let sql = sql.replace("%taken%", &taken).replace("mallory", &self.name);
        self.session.execute(AssertSqlSafe(sql)).await.unwrap();
    }

    async fn owner_does(&mut self, sql: &str) {
        let sql = sql.replace("mallory", &self.name);
        self.owner.execute(AssertSqlSafe(sql)).await.unwrap();
    }

    async fn is_superuser(&mut self) -> bool {
        sqlx::query_scalar("select rolsuper from pg_catalog.pg_roles where rolname = $1")
            .bind(&self.name)
            .fetch_one(&mut self.owner)
            .await
            .unwrap()
    }

    async fn leave(mut self) {
        self.session.close().await.unwrap();
        let drop = format!("drop owned by {0} cascade; drop role {0}", self.name);
        self.owner.execute(AssertSqlSafe(drop)).await.unwrap();
        self.owner.close().await.unwrap();
    }
}

const OBJECT: &str = "0000000000000000000000000000000000000000000000000000000000000001";

/// Every command that opens the record, except `sync`.
const COMMANDS: [&[&str]; 11] = [
    &["migrate"],
    &["check", "--deep"],
    &["namespaces"],
    &["snapshots"],
    &["report"],
    &["history", OBJECT],
    &["export", "objects"],
    &["export", "changes"],
    &["export", "history"],
    &["diff", "latest~1", "latest"],
    &["prune", "--older-than", "1ms"],
];

/// A function or an operator in `public` takes precedence if its signature matches better than the built-in one.
#[tokio::test]
async fn what_others_create_in_public_is_not_called() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let chat = simulator.add_namespace(ACCOUNT, "chat_Room");
    simulator.seed(&chat, 50, 1);
    let mut mallory = Mallory::new(&database).await;
    mallory
        .does(
            "create function public.cardinality(text[]) returns int language plpgsql cost 0.0001
                 as $$ begin %taken% return pg_catalog.cardinality($1); end $$;
             create function public.evil_eq(oid, regnamespace) returns boolean language plpgsql cost 0.0001
                 as $$ begin %taken% return $1 operator(pg_catalog.=) $2::oid; end $$;
             create operator public.= (leftarg = oid, rightarg = regnamespace, function = public.evil_eq);
             create function public.evil_eq(name, text) returns boolean language plpgsql cost 0.0001
                 as $$ begin %taken% return $1::text operator(pg_catalog.=) $2; end $$;
             create operator public.= (leftarg = name, rightarg = text, function = public.evil_eq);
             create function public.evil_cat(text, name) returns text language plpgsql cost 0.0001
                 as $$ begin %taken% return $1 operator(pg_catalog.||) $2::text; end $$;
             create operator public.|| (leftarg = text, rightarg = name, function = public.evil_cat);",
        )
        .await;
    for round in 0..2 {
        let ended = run(sync(&simulator, &database, &[]));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(!mallory.is_superuser().await, "sync, round {round}");
        simulator.seed(&chat, 60, 1);
    }
    for args in COMMANDS {
        run(program(&simulator, &database, args));
        assert!(!mallory.is_superuser().await, "{args:?}");
    }
    mallory.leave().await;
}

/// The database's owner chooses its search_path, which may precede even the built-in names.
#[tokio::test]
async fn the_databases_search_path_does_not_count() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let chat = simulator.add_namespace(ACCOUNT, "chat_Room");
    simulator.seed(&chat, 50, 1);
    let mut mallory = Mallory::new(&database).await;
    mallory
        .does(
            "create schema evil;
             create function evil.take() returns boolean language plpgsql as $$ begin %taken% return true; end $$;
             create function evil.pg_backend_pid() returns int language sql
                 as $$ select case when evil.take() then pg_catalog.pg_backend_pid() end $$;
             create function evil.current_setting(text) returns text language sql
                 as $$ select case when evil.take() then pg_catalog.current_setting($1) end $$;
             create function evil.set_config(text, text, boolean) returns text language sql
                 as $$ select case when evil.take() then pg_catalog.set_config($1, $2, $3) end $$;
             create function evil.clock_timestamp() returns timestamptz language sql
                 as $$ select case when evil.take() then pg_catalog.clock_timestamp() end $$;
             create function evil.to_regclass(text) returns regclass language sql
                 as $$ select case when evil.take() then pg_catalog.to_regclass($1) end $$;
             create view evil.pg_class as select oid, * from pg_catalog.pg_class where evil.take();
             create view evil.pg_namespace as select oid, * from pg_catalog.pg_namespace where evil.take();
             create view evil.pg_stat_activity as select * from pg_catalog.pg_stat_activity where evil.take();
             grant usage on schema evil to public; grant select on all tables in schema evil to public;"
                .replace("select oid, *", "select *")
                .as_str(),
        )
        .await;
    let name = database.options.get_database().unwrap().to_owned();
    mallory
        .owner_does(&format!("alter database {name} set search_path = evil, pg_catalog"))
        .await;
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(!mallory.is_superuser().await, "sync");
    for args in COMMANDS {
        run(program(&simulator, &database, args));
        assert!(!mallory.is_superuser().await, "{args:?}");
    }
    mallory.leave().await;
}

#[track_caller]
fn is_refused(ended: &Ended, parts: &[&str]) {
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:#?}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    for part in parts {
        assert!(said.contains(part), "no {part:?}: {ended:#?}");
    }
}

/// Any role that may create schemas could prepare `inventory` in advance.
#[tokio::test]
async fn a_schema_that_somebody_else_made_is_not_ours() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    simulator.add_namespace(ACCOUNT, "chat_Room");
    let mut mallory = Mallory::new(&database).await;
    mallory
        .does(
            "create schema inventory;
             create table inventory._sqlx_migrations (version bigint primary key, description text not null,
                 installed_on timestamptz not null default now(), success boolean not null, checksum bytea not null,
                 execution_time bigint not null);
             create function inventory.up() returns trigger language plpgsql as $$ begin %taken% return new; end $$;
             create trigger t before insert on inventory._sqlx_migrations for each row execute function inventory.up();",
        )
        .await;
    let user = database.options.get_username().to_owned();
    let way_out = format!("alter schema inventory owner to {user}");
    for args in [&[&["sync"][..]][..], &COMMANDS].concat() {
        for more in [&[][..], &["--no-migrate"]] {
            let ended = run(program(&simulator, &database, &[args, more].concat()));
            assert!(!mallory.is_superuser().await, "{args:?} {more:?}");
            is_refused(&ended, &[&mallory.name, &way_out]);
        }
    }
    // Each run names the next object to fix.
    mallory.owner_does(&way_out).await;
    let ended = run(program(&simulator, &database, &["migrate"]));
    is_refused(&ended, &["inventory._sqlx_migrations", &mallory.name, "owner to"]);
    mallory
        .owner_does(&format!("alter table inventory._sqlx_migrations owner to {user}"))
        .await;
    let ended = run(program(&simulator, &database, &["migrate"]));
    is_refused(&ended, &["inventory.up()", &mallory.name]);
    assert!(!mallory.is_superuser().await);
    mallory.owner_does("drop function inventory.up() cascade").await;
    let ended = run(program(&simulator, &database, &["migrate"]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    mallory.leave().await;
}

/// The privilege to create a trigger is enough to have one's own function run by any user that writes.
#[tokio::test]
async fn triggers_and_tables_of_others_are_refused() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let chat = simulator.add_namespace(ACCOUNT, "chat_Room");
    simulator.seed(&chat, 50, 1);
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    let mut mallory = Mallory::new(&database).await;
    mallory
        .owner_does("grant usage, create on schema inventory to mallory; grant trigger on inventory.run to mallory")
        .await;
    mallory
        .does(
            "create function public.up() returns trigger language plpgsql as $$ begin %taken% return new; end $$;
             create trigger t before insert on inventory.run for each row execute function public.up();",
        )
        .await;
    for more in [&[][..], &["--no-migrate"]] {
        let ended = run(sync(&simulator, &database, more));
        assert!(!mallory.is_superuser().await);
        is_refused(&ended, &["drop trigger t on inventory.run", &mallory.name]);
    }
    mallory.owner_does("drop trigger t on inventory.run").await;
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));

    let foreign = [
        ("create view inventory.mine as select 1", "inventory.mine"),
        ("create table inventory.theirs (a int)", "inventory.theirs"),
        (
            "create function inventory.f() returns int language sql as 'select 1'",
            "inventory.f()",
        ),
    ];
    for (sql, name) in foreign {
        mallory.does(sql).await;
        let ended = run(sync(&simulator, &database, &[]));
        is_refused(&ended, &[name, &mallory.name]);
        let kind = sql.split(' ').nth(1).unwrap();
        mallory.does(&format!("drop {kind} {name}")).await;
    }
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    mallory.leave().await;
}
