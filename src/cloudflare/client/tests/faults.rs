//! Which errors are retried, which are not, and their messages.

use axum::body::Body;

use super::server::{broken, gzipped, refusal, reply, stuck, with};
use super::*;

#[tokio::test]
async fn transient_errors_are_retried() {
    let mut cut_gzip = gzipped(ROWS.as_bytes());
    let short = axum::body::to_bytes(std::mem::take(cut_gzip.body_mut()), 10_000)
        .await
        .unwrap();
    *cut_gzip.body_mut() = Body::from(short.slice(..short.len() - 20));
    cut_gzip.headers_mut().remove("content-length");
    let page = page_of([
        reply(500, "x"),
        reply(502, "<html>"),
        refusal(503, 1, "busy"),
        reply(504, ""),
        reply(408, ""),
        refusal(429, 971, "Please wait"),
        broken(),
        stuck(),
        cut_gzip,
        reply(200, &ROWS[..60]),
        reply(200, ROWS),
    ])
    .await;
    assert_eq!((page.rows.len(), page.requests), (1, 11));
}

/// The shortest truncated responses, with every way to mark their end.
#[tokio::test]
async fn an_empty_response_is_retried() {
    let zipped = |bytes: usize| {
        let body = if bytes == 0 {
            Body::empty()
        } else {
            Body::from(ZIPPED_HEAD[..bytes].to_vec())
        };
        with(reply(200, body), "content-encoding", "gzip")
    };
    let answers = [
        reply(200, ""),
        with(reply(200, ""), "content-type", "text/html"),
        reply(
            200,
            Body::from_stream(futures_util::stream::empty::<std::io::Result<Vec<u8>>>()),
        ),
        reply(200, " \r\n\t\n"),
        reply(200, "{"),
        reply(204, ""),
        zipped(0),
        zipped(1),
        zipped(ZIPPED_HEAD.len()),
        gzipped(b""),
        gzipped(b"\n"),
        reply(200, ROWS),
    ];
    let sent = answers.len();
    let page = page_of(answers).await;
    assert_eq!((page.rows.len(), page.requests as usize), (1, sent));
}

/// A gzip header.
const ZIPPED_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

#[tokio::test]
async fn permanent_errors_are_not_retried() {
    use ErrorKind::{CursorRefused, Forbidden, NotFound, Unauthorized, Wrong};
    let table = [
        (
            refusal(401, 10000, "Authentication error"),
            None,
            Unauthorized,
            "HTTP 401: Authentication error (code 10000): the token needs the permission \"Workers Scripts Read\"",
        ),
        (
            refusal(403, 9109, "Unauthorized"),
            Some("c"),
            Forbidden,
            "HTTP 403: Unauthorized (code 9109): the token needs the permission \"Workers Scripts Read\" for this account; to skip a namespace",
        ),
        (
            refusal(400, 6003, "Invalid request headers"),
            Some("c"),
            Unauthorized,
            "the token needs",
        ),
        (
            refusal(404, 10066, "not found"),
            Some("c"),
            NotFound,
            "HTTP 404: not found (code 10066): check the account",
        ),
        (
            refusal(400, 10001, "bad cursor"),
            Some("c"),
            CursorRefused,
            "HTTP 400: bad cursor (code 10001): the listing can't go on",
        ),
        (
            refusal(400, 10001, "bad limit"),
            None,
            Wrong,
            "HTTP 400: bad limit (code 10001)",
        ),
        (
            reply(418, "\n\x1b[2Jteapot\nmore"),
            None,
            Wrong,
            "HTTP 418, no content type: \"\\u{1b}[2Jteapot\"",
        ),
        (
            with(reply(200, "<!doctype html>\n<p>"), "content-type", "text/html"),
            None,
            Wrong,
            "the answer is not JSON: HTTP 200, text/html: \"<!doctype html>\"",
        ),
        (refusal(200, 7, "no"), None, Wrong, "(success: false): no (code 7)"),
        (reply(200, "[]"), None, Wrong, "unexpected shape"),
        (
            with(reply(302, ""), "location", "https://login.example/secret?x=y"),
            None,
            Wrong,
            "HTTP 302 redirects to login.example, which is not followed",
        ),
        (reply(304, ""), None, Wrong, "HTTP 304 redirects to an unknown host"),
        (
            reply(403, format!("no token {TOKEN} here")),
            None,
            Forbidden,
            "no token [redacted] here",
        ),
        (refusal(200, 7, TOKEN), None, Wrong, "[redacted] (code 7)"),
    ];
    for (answer, cursor, kind, expected) in table {
        let (actual, requests, words) = error_of([answer], cursor).await;
        assert_eq!((actual, requests), (kind, 1), "{words}");
        assert!(words.contains(expected), "{words}\n  {expected}");
        assert!(words.starts_with("objects of namespace ns in account acc: "), "{words}");
    }
}

#[tokio::test]
async fn giving_up_reports_the_attempts() {
    let (_server, url) = Server::start((0..200).map(|_| refusal(502, 1, "bad gateway"))).await;
    let start = Instant::now();
    let error = list(&client_with(url, Arc::new(Limiter::new(quick())), short()), None)
        .await
        .unwrap_err();
    assert!(start.elapsed() < short().budget + Duration::from_secs(1));
    assert_harmless(&error);
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    let (requests, words) = (error.requests(), error.to_string());
    assert!(requests > 5, "{requests}");
    assert!(
        words.contains(&format!(
            "HTTP 502: bad gateway (code 1): gave up after {requests} attempts in "
        )),
        "{words}"
    );
}

#[tokio::test]
async fn without_a_budget_it_is_one_attempt() {
    let (server, url) = Server::start([reply(500, ""), reply(200, ROWS)]).await;
    let retry = RetryPolicy {
        budget: Duration::ZERO,
        ..short()
    };
    let error = list(&client_with(url, Arc::new(Limiter::new(quick())), retry), None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.requests(), server.paths().len()),
        (ErrorKind::Exhausted, 1, 1)
    );
    assert!(error.to_string().contains("gave up after 1 attempt in"), "{error}");
}

#[tokio::test]
async fn a_refused_connection_is_transient() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let retry = RetryPolicy {
        budget: Duration::from_millis(300),
        ..short()
    };
    let error = list(&client_with(url, Arc::new(Limiter::new(quick())), retry), None)
        .await
        .unwrap_err();
    assert_harmless(&error);
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert!(
        error.requests() > 1 && error.to_string().contains("no connection to the API"),
        "{error}"
    );
    assert!(std::error::Error::source(&error).is_some());
}
