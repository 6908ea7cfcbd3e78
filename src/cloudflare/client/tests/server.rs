//! The server, and the responses that it can send.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use url::Url;

use super::ROWS;

/// Path and query, headers, and time of a request.
pub(super) type ReceivedRequest = (String, HeaderMap, Instant);

/// Sends the given responses in order, and keeps the requests.
#[derive(Clone, Default)]
pub(super) struct Server {
    pub(super) answers: Arc<Mutex<VecDeque<Response>>>,
    pub(super) asked: Arc<Mutex<Vec<ReceivedRequest>>>,
}

impl Server {
    pub(super) async fn start(answers: impl IntoIterator<Item = Response>) -> (Self, Url) {
        let server = Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            ..Self::default()
        };
        let app = Router::new().fallback(answer).with_state(server.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/client/v4/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        (server, url)
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .map(|(path, ..)| path.clone())
            .collect()
    }
}

async fn answer(State(server): State<Server>, request: Request) -> Response {
    let asked = (request.uri().to_string(), request.headers().clone(), Instant::now());
    server.asked.lock().unwrap().push(asked);
    let next = server.answers.lock().unwrap().pop_front();
    next.unwrap_or_else(|| reply(500, "the test has no more answers"))
}

pub(super) fn reply(status: u16, body: impl Into<Body>) -> Response {
    (StatusCode::from_u16(status).unwrap(), body.into()).into_response()
}

pub(super) fn with(mut response: Response, name: &'static str, value: &str) -> Response {
    response.headers_mut().insert(name, value.parse().unwrap());
    response
}

pub(super) fn refusal(status: u16, code: u32, message: &str) -> Response {
    let body = serde_json::json!({
        "success": false, "errors": [{"code": code, "message": message}], "messages": [], "result": null
    });
    reply(status, body.to_string())
}

/// A response whose connection breaks within the body.
pub(super) fn broken() -> Response {
    let chunks = [
        Ok(Bytes::from(&ROWS[..50])),
        Err(std::io::Error::other("broken on purpose")),
    ];
    // The pause lets the first bytes get through, so that it is the body that breaks.
    let chunks = stream::iter(chunks).then(async |chunk| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        chunk
    });
    reply(200, Body::from_stream(chunks))
}

/// A body that stops in the middle and keeps the connection.
pub(super) fn stuck() -> Response {
    let start = stream::iter([Ok::<_, std::io::Error>(Bytes::from(&ROWS[..50]))]);
    reply(200, Body::from_stream(start.chain(stream::pending())))
}

pub(super) fn gzipped(body: &[u8]) -> Response {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    with(reply(200, encoder.finish().unwrap()), "content-encoding", "gzip")
}
