//! The job in its simplest form: fetch a page, upsert it with UNNEST and update `last_seen`, and at the end mark all
//! rows that were not updated. benches/sync.py compares it with the program.
//!
//! `naive-sync BASE_URL ACCOUNT NAMESPACE TOKEN DATABASE_URL`

use serde::Deserialize;
use sqlx::PgPool;

#[derive(Deserialize)]
struct Answer {
    result: Vec<Object>,
    result_info: Info,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    id: String,
    has_stored_data: Option<bool>,
}

#[derive(Deserialize)]
struct Info {
    cursor: Option<String>,
}

const TABLE: &str = "create table if not exists object (
    namespace_id text not null, id text not null, has_stored_data boolean,
    first_seen timestamptz not null, last_seen timestamptz not null, removed_at timestamptz,
    primary key (namespace_id, id))";

const UPSERT: &str = "insert into object (namespace_id, id, has_stored_data, first_seen, last_seen)
    select $1, row.id, row.flag, $4::timestamptz, $4::timestamptz
    from unnest($2::text[], $3::boolean[]) as row (id, flag)
    on conflict (namespace_id, id) do update
    set has_stored_data = excluded.has_stored_data, last_seen = excluded.last_seen, removed_at = null";

const REMOVED: &str = "update object set removed_at = $2::timestamptz
    where namespace_id = $1 and last_seen < $2::timestamptz and removed_at is null";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base_url, account, namespace, token, database] = &arguments[..] else {
        return Err("usage: naive-sync BASE_URL ACCOUNT NAMESPACE TOKEN DATABASE_URL".into());
    };
    let pool = PgPool::connect(database).await?;
    sqlx::query(TABLE).execute(&pool).await?;
    let started: String = sqlx::query_scalar("select clock_timestamp()::text").fetch_one(&pool).await?;
    let client = reqwest::Client::new();
    let url = format!("{base_url}/accounts/{account}/workers/durable_objects/namespaces/{namespace}/objects?limit=10000");
    let mut cursor = String::new();
    loop {
        let url = if cursor.is_empty() { url.clone() } else { format!("{url}&cursor={cursor}") };
        let answer = client.get(url).bearer_auth(token).send().await?.error_for_status()?;
        let page: Answer = answer.json().await?;
        let (ids, flags): (Vec<String>, Vec<Option<bool>>) =
            page.result.into_iter().map(|object| (object.id, object.has_stored_data)).unzip();
        sqlx::query(UPSERT).bind(namespace).bind(ids).bind(flags).bind(&started).execute(&pool).await?;
        cursor = page.result_info.cursor.unwrap_or_default();
        if cursor.is_empty() {
            break;
        }
    }
    sqlx::query(REMOVED).bind(namespace).bind(&started).execute(&pool).await?;
    Ok(())
}
