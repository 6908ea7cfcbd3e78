//! One id in several spellings.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::{objects, texts, truth};
use crate::support::program::{ACCOUNT, TOKEN, program, run, simulator, sync};

const FOLD_IDS: &str = include_str!("../../../migrations/0004_fold_ids.sql");

const BASELINES: &str = "select baseline::text from inventory.snapshots where namespace_id = $1 order by snapshot_id";

async fn session(database: &TestDatabase) -> PgConnection {
    PgConnection::connect_with(&database.options).await.unwrap()
}

async fn ids(database: &TestDatabase) -> Vec<(String, String)> {
    let ids = "select account_id, namespace_id from inventory.namespaces order by 1, 2";
    sqlx::query_as(ids)
        .fetch_all(&mut session(database).await)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_account_in_capitals_is_the_same_account() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 3, 1);
    let capitals = ACCOUNT.to_uppercase();
    simulator.add_account(&capitals, TOKEN);
    for account in [ACCOUNT, &capitals] {
        let mut command = sync(&simulator, &database, &[]);
        command.env("CLOUDFLARE_ACCOUNT_ID", account);
        let ended = run(command);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(ended.json()["namespaces"][0]["account_id"], ACCOUNT);
    }
    assert_eq!(ids(&database).await, [(ACCOUNT.to_owned(), namespace.clone())]);
    let namespace_in_capitals = namespace.to_uppercase();
    for command in ["namespaces", "snapshots", "report"] {
        let args = [command, "--account", &capitals, "--namespace", &namespace_in_capitals];
        let ended = run(program(&simulator, &database, &args));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(ended.stdout.contains("room"), "{ended:#?}");
    }
    let ended = run(sync(&simulator, &database, &["--namespace", &namespace_in_capitals]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.json()["namespaces"][0]["namespace_id"], namespace.as_str());
}

#[tokio::test]
async fn stored_ids_are_folded_by_a_migration() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 3, 1);
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    let mut session = session(&database).await;
    let capitals = "update inventory.account set account_id = upper(account_id);
                    update inventory.namespace set namespace_id = upper(namespace_id)";
    sqlx::raw_sql(capitals).execute(&mut session).await.unwrap();
    assert_eq!(
        ids(&database).await,
        [(ACCOUNT.to_uppercase(), namespace.to_uppercase())]
    );

    sqlx::raw_sql(FOLD_IDS).execute(&mut session).await.unwrap();
    assert_eq!(ids(&database).await, [(ACCOUNT.to_owned(), namespace.clone())]);
    // The record goes on where it was.
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    let baselines = texts(&database, BASELINES, &namespace).await;
    assert_eq!(baselines, ["true", "false"]);
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
}

#[tokio::test]
async fn two_spellings_of_a_stored_id_are_refused_with_what_to_do() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    let mut session = session(&database).await;
    for (second, name, advice) in [
        (
            "insert into inventory.account (account_id, api_base_url)
             select upper(account_id), api_base_url from inventory.account",
            ACCOUNT,
            "update inventory.account set account_id = 'old-' || right(account_id, 28) where account_id = ",
        ),
        (
            "insert into inventory.namespace (account_key, namespace_id)
             select account_key, upper(namespace_id) from inventory.namespace",
            &namespace,
            "update inventory.namespace set namespace_id = 'old-' || namespace_id where namespace_id = ",
        ),
    ] {
        sqlx::raw_sql(second).execute(&mut session).await.unwrap();
        let error = sqlx::raw_sql(FOLD_IDS)
            .execute(&mut session)
            .await
            .unwrap_err()
            .to_string();
        for part in [name, &name.to_uppercase(), advice] {
            assert!(error.contains(part), "no {part}: {error}");
        }
        // The advice helps.
        let rename = format!("{advice}'{}'", name.to_uppercase());
        sqlx::raw_sql(AssertSqlSafe(rename))
            .execute(&mut session)
            .await
            .unwrap();
        sqlx::raw_sql(FOLD_IDS).execute(&mut session).await.unwrap();
    }
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(
        ended.json()["namespaces"][0]["namespace_id"],
        namespace.as_str(),
        "{ended:#?}"
    );

    // The schema of the version before 0004, as a record in use has it.
    let before = "update inventory.account set account_id = upper($1) where account_id like 'old-%'";
    sqlx::query(before).bind(ACCOUNT).execute(&mut session).await.unwrap();
    let unapplied = "delete from inventory._sqlx_migrations where version >= 4";
    sqlx::raw_sql(unapplied).execute(&mut session).await.unwrap();
    let ended = run(sync(&simulator, &database, &[]));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("under several spellings of its id"), "{ended:#?}");
    assert!(ended.stderr.contains("update inventory.account set"), "{ended:#?}");
}
