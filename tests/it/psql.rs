//! psql on the store: the connection reaches it, and its exit code comes back.

use std::ffi::OsString;

use durable_inventory::store::psql;
use sqlx::Row;
use sqlx::{Connection, PgConnection};

use crate::support::database::{TestDatabase, fresh_database};

async fn run(database: &TestDatabase, sql: &str) -> u8 {
    let args = ["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-c", sql].map(OsString::from);
    psql::run(&database.options, None, &args).await.unwrap()
}

#[tokio::test]
async fn psql_speaks_to_the_store() {
    let database = fresh_database().await;
    assert_eq!(
        run(&database, "CREATE TABLE told AS SELECT current_database() AS by").await,
        0
    );
    let mut connection = PgConnection::connect_with(&database.options).await.unwrap();
    let row = sqlx::query("SELECT by::text FROM told")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(Some(row.get::<&str, _>(0)), database.options.get_database());
    connection.close().await.unwrap();
}

#[tokio::test]
async fn its_exit_code_is_passed_on() {
    let database = fresh_database().await;
    assert_eq!(run(&database, "SELECT nonsense").await, 1);
}

#[tokio::test]
async fn a_url_leads_to_the_same_database() {
    let database = fresh_database().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let row = sqlx::query("SELECT current_database()::text")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(Some(row.get::<&str, _>(0)), database.options.get_database());
    connection.close().await.unwrap();
}
