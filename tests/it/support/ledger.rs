//! The record as the documented views show it, and the truth that tests compare it with.

use cloudflare_simulator::{Flag, Simulator, hex};
use sqlx::{Connection, PgConnection};

use super::database::TestDatabase;

/// (object_id, has_stored_data), ascending.
pub type Objects = Vec<(String, Flag)>;

/// The current objects of a namespace, as `inventory.objects` lists them.
pub async fn objects(database: &TestDatabase, namespace: &str) -> Objects {
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    sqlx::query_as("select object_id, has_stored_data from inventory.objects where namespace_id = $1 order by id")
        .bind(namespace)
        .fetch_all(&mut session)
        .await
        .unwrap()
}

/// The objects that a perfect walk would find now.
pub fn truth(simulator: &Simulator, namespace: &str) -> Objects {
    let truth = simulator.truth(namespace).into_iter();
    truth.map(|(id, flag)| (hex(&id), flag)).collect()
}

/// Every recorded fact about a namespace's objects, times included. Two equal results mean that nothing was recorded in
/// between.
pub async fn everything(database: &TestDatabase, namespace: &str) -> Vec<String> {
    let all = "select o::text from inventory.objects o where namespace_id = $1
               union all select h::text from inventory.object_history h where namespace_id = $1
               union all select c::text from inventory.changes c where namespace_id = $1
               order by 1";
    texts(database, all, namespace).await
}

/// Returns the first column, as text, of a query about one namespace.
pub async fn texts(database: &TestDatabase, sql: &'static str, namespace: &str) -> Vec<String> {
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    sqlx::query_scalar(sql)
        .bind(namespace)
        .fetch_all(&mut session)
        .await
        .unwrap()
}

/// The statuses of a namespace's snapshots, oldest first.
pub async fn statuses(database: &TestDatabase, namespace: &str) -> Vec<String> {
    let sql = "select status from inventory.snapshots where namespace_id = $1 order by snapshot_id";
    texts(database, sql, namespace).await
}
