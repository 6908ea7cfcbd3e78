//! Cloudflare's own runtime as the service: everything that it lists is recorded exactly, with any page size.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, TOKEN, bare, run};

#[tokio::test]
#[ignore = "needs Node: scripts/test --all"]
async fn what_cloudflares_runtime_lists_is_recorded_exactly() {
    let server = Workerd::start();
    let mut rooms = server.ids("seed", json!({"class": "Room", "count": 2_000})).await;
    let counters = server.ids("seed", json!({"class": "Counter", "count": 100})).await;
    assert_eq!((rooms.len(), counters.len()), (2_000, 100));

    let mut database = fresh_database().await;
    for limit in ["10", "100", "1000", "10000"] {
        database = fresh_database().await;
        server.sync(&database, limit);
        assert_eq!(present(&database, &server.room).await, rooms, "limit {limit}");
        assert_eq!(present(&database, &server.counter).await, counters, "limit {limit}");
        assert!(
            changes(&database, "created").await.is_empty(),
            "a baseline creates nothing"
        );
    }

    let added = server
        .ids("seed", json!({"class": "Room", "count": 50, "prefix": "later-"}))
        .await;
    let gone: BTreeSet<_> = rooms.iter().step_by(67).take(30).cloned().collect();
    let removed = server.ids("remove", json!({"class": "Room", "ids": gone})).await;
    assert_eq!(removed, gone);
    rooms.extend(added.iter().cloned());
    rooms.retain(|id| !gone.contains(id));

    let told = server.sync(&database, "100");
    let told = told["namespaces"].as_array().unwrap();
    let room = told.iter().find(|n| n["namespace_id"] == server.room.as_str()).unwrap();
    assert_eq!((&room["created"], &room["removed"]), (&json!(50), &json!(30)));
    assert_eq!(present(&database, &server.room).await, rooms);
    assert_eq!(present(&database, &server.counter).await, counters);
    assert_eq!(changes(&database, "created").await, of(&server.room, &added));
    assert_eq!(changes(&database, "removed").await, of(&server.room, &gone));
    let more = "select count(*) from inventory.changes where change not in ('created', 'removed')";
    assert_eq!(number(&database, more).await, 0);
    server.stop().await;
}

fn of(namespace: &str, ids: &BTreeSet<String>) -> BTreeSet<(String, String)> {
    ids.iter().map(|id| (namespace.to_owned(), id.clone())).collect()
}

/// All recorded objects of a namespace; each must have data.
async fn present(database: &TestDatabase, namespace: &str) -> BTreeSet<String> {
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    let rows: Vec<(String, Option<bool>)> =
        sqlx::query_as("select object_id, has_stored_data from inventory.objects where namespace_id = $1")
            .bind(namespace)
            .fetch_all(&mut session)
            .await
            .unwrap();
    session.close().await.unwrap();
    // The local server reports data for every object.
    assert!(rows.iter().all(|(_, flag)| *flag == Some(true)));
    rows.into_iter().map(|(id, _)| id).collect()
}

/// (namespace, object) of each change of this kind.
async fn changes(database: &TestDatabase, change: &str) -> BTreeSet<(String, String)> {
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    let rows: Vec<(String, String)> =
        sqlx::query_as("select namespace_id, object_id from inventory.changes where change = $1")
            .bind(change)
            .fetch_all(&mut session)
            .await
            .unwrap();
    session.close().await.unwrap();
    rows.into_iter().collect()
}

async fn number(database: &TestDatabase, sql: &'static str) -> i64 {
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    let number = sqlx::query_scalar(sql).fetch_one(&mut session).await.unwrap();
    session.close().await.unwrap();
    number
}

/// `tests/workerd/server.mjs`, which ends when its standard input does.
struct Workerd {
    child: Child,
    base_url: String,
    room: String,
    counter: String,
    http: reqwest::Client,
}

impl Workerd {
    fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workerd");
        assert!(
            folder.join("node_modules/miniflare").exists(),
            "miniflare is missing: npm ci --prefix tests/workerd --ignore-scripts"
        );
        let mut child = Command::new("node")
            .arg("server.mjs")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let id_of = |class: &str| {
            let namespaces = ready["namespaces"].as_array().unwrap();
            let namespace = namespaces.iter().find(|n| n["class"] == class).unwrap();
            namespace["id"].as_str().unwrap().to_owned()
        };
        // The HTTP client requires a crypto provider, although nothing here is encrypted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            base_url: ready["base_url"].as_str().unwrap().to_owned(),
            room: id_of("Room"),
            counter: id_of("Counter"),
            child,
            http: reqwest::Client::builder()
                .no_proxy()
                .tls_certs_only([])
                .build()
                .unwrap(),
        }
    }

    /// The ids that a control operation affected.
    async fn ids(&self, operation: &str, body: Value) -> BTreeSet<String> {
        let answer = self.control(operation, body).await;
        serde_json::from_value(answer["ids"].clone()).unwrap()
    }

    async fn control(&self, operation: &str, body: Value) -> Value {
        let origin = self.base_url.strip_suffix("/client/v4").unwrap();
        let request = self.http.post(format!("{origin}/control/{operation}"));
        let answer = request.body(body.to_string()).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{operation}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    fn sync(&self, database: &TestDatabase, limit: &str) -> Value {
        let mut command = bare(&["sync", "--output", "json", "--quota", "100000/1s", "--limit", limit]);
        command
            .env("CLOUDFLARE_API_BASE_URL", &self.base_url)
            .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
            .env("CLOUDFLARE_API_TOKEN", TOKEN)
            .env("DATABASE_URL", database.url());
        let ended = run(command);
        assert_eq!(ended.code, Some(0), "limit {limit}: {ended:#?}");
        ended.json()
    }

    async fn stop(mut self) {
        self.control("stop", json!({})).await;
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Workerd {
    /// Needed after a failure. The server ends by itself when its standard input closes, and takes workerd with it.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}
