//! Tests with a small local server. Real sockets don't work with a paused clock, so these tests take real time and keep
//! their budgets short.

mod connections;
mod faults;
mod namespaces;
mod pauses;
mod server;
mod setup;

use std::time::Instant;

use axum::response::Response;

use self::server::{Server, gzipped, reply};
use super::*;
use crate::cloudflare::{ErrorKind, Pace};
use crate::model::{Next, StoredData};
use crate::units::Quota;

const TOKEN: &str = "s3cr3t-t0ken-of-the-test";
const ROWS: &str = r#"{"success":true,"errors":[],"messages":[],"result":[{"id":"fe7803fc55b964e09d94666545aab688d360c6bda69ba349ced1e5f28d2fc2c8","hasStoredData":true}],"result_info":{"cursor":""}}"#;

fn quick() -> Pace {
    Pace {
        quota: Quota {
            requests: 100_000,
            window: Duration::from_secs(10),
        },
        share_percent: 100,
        pause_without_retry_after: Duration::from_millis(300),
    }
}

/// Long enough for a busy machine.
fn patient() -> RetryPolicy {
    RetryPolicy {
        budget: Duration::from_secs(30),
        ..short()
    }
}

fn short() -> RetryPolicy {
    RetryPolicy {
        budget: Duration::from_secs(1),
        first_delay: Duration::from_millis(10),
        max_delay: Duration::from_millis(100),
    }
}

fn client_with(base_url: Url, limiter: Arc<Limiter>, retry: RetryPolicy) -> Client {
    let endpoint = Endpoint {
        read_timeout: Duration::from_secs(1),
        ..Endpoint::new(base_url.as_str().parse().unwrap(), Credentials::Token(TOKEN.into()))
    };
    Client::new(endpoint, limiter, Arc::default(), retry).unwrap()
}

fn client(base_url: Url) -> Client {
    client_with(base_url, Arc::new(Limiter::new(quick())), patient())
}

async fn list(client: &Client, cursor: Option<&str>) -> Result<Page, Error> {
    let cursor = cursor.and_then(Cursor::new);
    client
        .list_objects(&"acc".parse().unwrap(), &"ns".parse().unwrap(), 100, cursor.as_ref())
        .await
}

async fn page_of(answers: impl IntoIterator<Item = Response>) -> Page {
    let (_server, url) = Server::start(answers).await;
    list(&client(url), None).await.unwrap()
}

/// Kind, requests and text of the error after these responses. Checks that it has no secret.
async fn error_of(answers: impl IntoIterator<Item = Response>, cursor: Option<&str>) -> (ErrorKind, u32, String) {
    let (_server, url) = Server::start(answers).await;
    let error = list(&client(url), cursor).await.unwrap_err();
    assert_harmless(&error);
    (error.kind(), error.requests(), error.to_string())
}

fn assert_harmless(error: &Error) {
    let mut all = format!("{error:?}");
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        let shown = error.to_string();
        assert!(!shown.contains(char::is_control), "{shown}");
        all.push_str(&shown);
        next = error.source();
    }
    assert!(!all.contains(TOKEN), "{all}");
}

#[tokio::test]
async fn a_page_is_requested_as_documented() {
    let (server, url) = Server::start([reply(200, ROWS), reply(200, ROWS)]).await;
    let client = client(url);
    let page = list(&client, Some("a b&c=/+ä")).await.unwrap();
    assert_eq!(
        (page.rows[0].data, page.next, page.requests),
        (StoredData::With, Next::End, 1)
    );
    client
        .list_objects(&"acc".parse().unwrap(), &"n/s ?#%ä".parse().unwrap(), 10_000, None)
        .await
        .unwrap();
    let root = "/client/v4/accounts/acc/workers/durable_objects/namespaces";
    assert_eq!(
        server.paths(),
        [
            format!("{root}/ns/objects?limit=100&cursor=a+b%26c%3D%2F%2B%C3%A4"),
            format!("{root}/n%2Fs%20%3F%23%25%C3%A4/objects?limit=10000"),
        ]
    );
    let headers = server.asked.lock().unwrap()[0].1.clone();
    assert_eq!(headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(headers["accept"], "application/json");
    assert_eq!(
        headers["user-agent"],
        concat!("durable-inventory/", env!("CARGO_PKG_VERSION"))
    );
    assert!(headers["accept-encoding"].to_str().unwrap().contains("gzip"));
}

#[tokio::test]
async fn the_older_pair_of_headers_is_sent_alone() {
    let (server, url) = Server::start([reply(200, ROWS)]).await;
    let credentials = Credentials::Key {
        email: "me@example.com".into(),
        key: TOKEN.into(),
    };
    let client = Client::new(
        Endpoint::new(url.as_str().parse().unwrap(), credentials),
        Arc::new(Limiter::new(quick())),
        Arc::default(),
        short(),
    )
    .unwrap();
    list(&client, None).await.unwrap();
    let headers = server.asked.lock().unwrap()[0].1.clone();
    assert_eq!(
        (&headers["x-auth-email"], &headers["x-auth-key"]),
        (&"me@example.com".parse().unwrap(), &TOKEN.parse().unwrap())
    );
    assert!(!headers.contains_key("authorization"));

    *server.answers.lock().unwrap() = (0..4)
        .map(|_| server::refusal(401, 10000, "Authentication error"))
        .collect();
    let error = list(&client, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(!error.to_string().contains("token"), "there is none: {error}");
}

#[tokio::test]
async fn a_compressed_body_is_read() {
    assert_eq!(page_of([gzipped(ROWS.as_bytes())]).await.rows.len(), 1);
}

#[tokio::test]
async fn a_decompression_bomb_is_refused() {
    let (kind, requests, words) = error_of([gzipped(&vec![b' '; 33 << 20])], None).await;
    assert_eq!((kind, requests), (ErrorKind::Wrong, 1));
    assert!(words.ends_with("the response is larger than 32 MiB"), "{words}");
}

#[tokio::test]
async fn a_namespace_id_does_not_change_the_path() {
    let (server, url) = Server::start([]).await;
    let error = client(url)
        .list_objects(&"acc".parse().unwrap(), &"..".parse().unwrap(), 100, None)
        .await
        .unwrap_err();
    assert_eq!((error.kind(), server.paths().len()), (ErrorKind::Wrong, 0));
}
