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
        refusal(400, 10013, "An unknown error has occurred"),
        refusal(200, 10013, "workers.api.error.unknown"),
        refusal(403, 10001, "We encountered an internal error. Please try again."),
        refusal(425, 1, "too early"),
        refusal(499, 1, "the client left"),
        reply(200, ROWS),
    ])
    .await;
    assert_eq!((page.rows.len(), page.requests), (1, 16));
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
    ];
    are_retried_once_the_api_responded(answers).await;
}

/// The API responds, then these responses come from elsewhere, then the API responds again.
async fn are_retried_once_the_api_responded(answers: impl IntoIterator<Item = Response>) {
    let mut all = vec![reply(200, ROWS)];
    all.extend(answers);
    all.push(reply(200, ROWS));
    let expected = all.len() as u32 - 1;
    let (_server, url) = Server::start(all).await;
    let client = client(url);
    assert_eq!(list(&client, None).await.unwrap().requests, 1);
    assert_eq!(list(&client, Some("c")).await.unwrap().requests, expected);
}

/// Only the API's envelope is the API's: the statuses of all others say nothing about the request.
#[tokio::test]
async fn responses_from_elsewhere_are_retried() {
    let page = "<!DOCTYPE html>\n<title>Attention Required!</title>";
    are_retried_once_the_api_responded([
        reply(200, page),
        reply(200, "[]"),
        reply(200, "null"),
        reply(200, r#"{"message":"no"}"#),
        reply(200, r#"{"success":"true","result":[]}"#),
        reply(200, r#"{"result":[],"result_info":{}}"#),
        reply(400, page),
        reply(401, "Unauthorized"),
        reply(403, "error code: 1010"),
        reply(403, r#"{"success":null,"errors":[{"code":10000,"message":"m"}]}"#),
        reply(404, "404 page not found"),
        reply(407, ""),
        reply(410, page),
        reply(418, "teapot"),
        reply(422, ""),
        reply(425, ""),
        reply(499, ""),
        reply(451, page),
        with(reply(302, ""), "location", "https://login.example/"),
        with(refusal(302, 1, "moved"), "location", "https://login.example/"),
        reply(304, ""),
        reply(520, page),
        with(reply(200, ROWS), "content-encoding", "x-gzip"),
        with(reply(200, ROWS), "content-encoding", "gzip"),
    ])
    .await;
}

/// Until the API responds, the base URL may be wrong.
#[tokio::test]
async fn three_responses_from_elsewhere_are_final_before_the_api_responded() {
    let challenge = || {
        with(
            reply(403, "<title>Just a moment...</title>"),
            "cf-mitigated",
            "challenge",
        )
    };
    let ray = || with(challenge(), "cf-ray", "8f1e2d3c4b5a6978-FRA");
    type Elsewhere = fn() -> Response;
    let table: [(Elsewhere, &str); 9] = [
        (
            || with(reply(200, "<!doctype html>\n<p>"), "content-type", "text/html"),
            "something in between responded, not the API: HTTP 200, text/html: \"<!doctype html>\"",
        ),
        (
            || reply(418, "\n\x1b[2Jteapot\nmore"),
            "HTTP 418, no content type: \"\\u{1b}[2Jteapot\"",
        ),
        (
            || with(reply(302, ""), "location", "https://login.example/secret?x=y"),
            "not the API: HTTP 302 redirects to login.example, which is not followed",
        ),
        (|| reply(304, ""), "HTTP 304 redirects to an unknown host"),
        (
            || reply(403, format!("no token {TOKEN} here")),
            "a firewall or proxy responded, not the API: HTTP 403, no content type: \"no token [redacted] here\"",
        ),
        (
            || reply(403, "error code: 1010"),
            "a firewall blocks this program by its signature (error 1010), and the API did not respond: HTTP 403",
        ),
        (|| reply(404, "404 page not found"), "\"404 page not found\""),
        (|| reply(200, ""), "the response is empty: HTTP 200"),
        (|| reply(200, "[]"), "something in between responded, not the API"),
    ];
    for (answer, expected) in table {
        let (kind, requests, words) = error_of([answer(), answer(), answer(), reply(200, ROWS)], Some("c")).await;
        assert_eq!((kind, requests), (ErrorKind::Exhausted, 3), "{words}");
        assert!(words.contains(expected), "{words}\n  {expected}");
        assert!(
            words.ends_with("the API did not respond in 3 attempts: check the API base URL, the proxy and the certificates of this machine"),
            "{words}"
        );
    }
    let (.., words) = error_of([ray(), ray(), ray()], None).await;
    assert!(
        words.contains(
            "a firewall requires a browser check, so the request did not reach the API: HTTP 403, no content type: \
             \"Just a moment...\", CF-RAY 8f1e2d3c4b5a6978-FRA: "
        ),
        "{words}"
    );
}

/// The rate limit in front of the API has a page of its own, whatever its status.
#[tokio::test]
async fn the_page_of_a_rate_limit_pauses_the_token() {
    for status in [403, 429, 503] {
        let limited = || with(reply(status, "error code: 1015"), "retry-after", "1");
        let (server, url) = Server::start([limited(), limited(), limited(), limited(), reply(200, ROWS)]).await;
        let limiter = Arc::new(Limiter::new(quick()));
        list(&client_with(url, limiter.clone(), patient()), None).await.unwrap();
        assert_eq!(limiter.stats().throttled, 4, "{status}");
        let asked = server.asked.lock().unwrap();
        assert!(asked[1].2 - asked[0].2 >= Duration::from_secs(1));
    }
}

#[tokio::test]
async fn what_can_be_read_safely_is_read() {
    let page = page_of([reply(200, format!("\u{feff}{ROWS}"))]).await;
    assert_eq!((page.rows.len(), page.requests), (1, 1));
    let page = page_of([with(gzipped(ROWS.as_bytes()), "content-encoding", "X-GZIP")]).await;
    assert_eq!((page.rows.len(), page.requests), (1, 1));
}

/// A token that was accepted is sometimes refused for a moment.
#[tokio::test]
async fn refused_credentials_are_tried_again_if_they_were_accepted() {
    for (status, code, kind) in [
        (401, 10000, ErrorKind::Unauthorized),
        (403, 10000, ErrorKind::Forbidden),
        (400, 6003, ErrorKind::Unauthorized),
    ] {
        let refused = || refusal(status, code, "no");
        let answers = [
            refused(),
            reply(200, ROWS),
            refused(),
            refused(),
            refused(),
            reply(200, ROWS),
        ];
        let (server, url) = Server::start(answers.into_iter().chain((0..9).map(|_| refused()))).await;
        let client = client(url);
        let error = list(&client, None).await.unwrap_err();
        assert_eq!((error.kind(), error.requests()), (kind, 1), "{error}");
        assert_eq!(list(&client, None).await.unwrap().requests, 1);
        assert_eq!(list(&client, None).await.unwrap().requests, 4);
        let error = list(&client, None).await.unwrap_err();
        assert_eq!((error.kind(), error.requests()), (kind, 4), "{error}");
        assert_eq!(server.paths().len(), 10);
    }
}

/// The caller can ask for smaller pages, but not for fewer than 100 objects.
#[tokio::test]
async fn a_page_that_is_too_slow_is_reported_at_the_third_time() {
    let slow = [
        || reply(504, "<html>"),
        || reply(524, "error code: 524"),
        || refusal(504, 1, "later"),
        stuck,
    ];
    for answer in slow {
        let answers = [
            reply(200, ROWS),
            answer(),
            answer(),
            reply(503, ""),
            answer(),
            answer(),
            answer(),
        ];
        let (_server, url) = Server::start(answers.into_iter().chain([reply(200, ROWS)])).await;
        let client = client(url);
        let page = |limit| {
            let client = &client;
            async move {
                client
                    .list_objects(&"acc".parse().unwrap(), &"ns".parse().unwrap(), limit, None)
                    .await
            }
        };
        assert_eq!(page(101).await.unwrap().requests, 1);
        let error = page(101).await.unwrap_err();
        assert_eq!((error.kind(), error.requests()), (ErrorKind::PageTooSlow, 6), "{error}");
        assert_eq!(page(101).await.unwrap().requests, 1);
    }
    let answers = (0..5).map(|_| reply(504, "")).chain([reply(200, ROWS)]);
    assert_eq!(page_of(answers).await.requests, 6);
}

/// A gzip header.
const ZIPPED_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

#[tokio::test]
async fn permanent_errors_are_not_retried() {
    use ErrorKind::{Contradictory, CursorRefused, Forbidden, NotFound, Unauthorized, Wrong};
    const PERMISSION: &str = ": the token needs the permission \"Content Read-Only\" for the Workers product (older tokens: \
        \"Workers Scripts Read\") in this account";
    let chain = r#"{"success":false,"errors":[{"code":6003,"message":"Invalid request headers",
        "error_chain":[{"code":6111,"message":"Invalid format for Authorization header"}]}]}"#;
    let differing = ROWS.replace(r#""cursor":"""#, r#""cursor":"a","cursors":{"after":"b"}"#);
    let table = [
        (
            refusal(401, 10000, "Authentication error"),
            None,
            Unauthorized,
            format!("HTTP 401: Authentication error (code 10000){PERMISSION}, and must not have expired"),
        ),
        (
            with(refusal(403, 9109, "Unauthorized"), "cf-ray", "8f1e2d3c4b5a6978-FRA"),
            Some("c"),
            Forbidden,
            format!("HTTP 403: Unauthorized (code 9109), CF-RAY 8f1e2d3c4b5a6978-FRA{PERMISSION}; to skip a namespace"),
        ),
        (
            refusal(403, 9109, "Cannot use the access token from location: 203.0.113.7"),
            None,
            Forbidden,
            "203.0.113.7 (code 9109): the token may only be used from other IP addresses: change its client IP address filter"
                .into(),
        ),
        (
            refusal(403, 9103, "Unknown X-Auth-Key or X-Auth-Email"),
            None,
            Forbidden,
            "(code 9103): the email address or the API key is wrong; an API token belongs in CLOUDFLARE_API_TOKEN".into(),
        ),
        (
            reply(400, chain),
            Some("c"),
            Unauthorized,
            "HTTP 400: Invalid request headers (code 6003): Invalid format for Authorization header (code 6111): the API \
             can't read the credentials"
                .into(),
        ),
        (
            refusal(404, 10066, "not found"),
            Some("c"),
            NotFound,
            "HTTP 404: not found (code 10066): it was deleted, or the token can't see it".into(),
        ),
        (
            refusal(400, 10001, "bad cursor"),
            Some("c"),
            CursorRefused,
            "HTTP 400: bad cursor (code 10001): the listing can't be resumed".into(),
        ),
        (refusal(410, 1, "expired"), Some("c"), CursorRefused, "HTTP 410: expired".into()),
        (refusal(422, 1, "expired"), Some("c"), CursorRefused, "HTTP 422: expired".into()),
        (refusal(422, 1, "bad"), None, Wrong, "HTTP 422: bad".into()),
        (
            refusal(400, 10001, "bad limit"),
            None,
            Wrong,
            "HTTP 400: bad limit (code 10001)".into(),
        ),
        (refusal(418, 1, "teapot"), None, Wrong, "HTTP 418: teapot (code 1)".into()),
        (
            refusal(200, 9109, "Unauthorized to access requested resource"),
            Some("c"),
            Forbidden,
            format!("(success: false): Unauthorized to access requested resource (code 9109){PERMISSION}"),
        ),
        (
            refusal(200, 10000, "Authentication error"),
            None,
            Unauthorized,
            format!("Authentication error (code 10000){PERMISSION}"),
        ),
        (
            reply(200, chain),
            Some("c"),
            Unauthorized,
            "(code 6111): the API can't read the credentials".into(),
        ),
        (refusal(200, 7, "no"), None, Wrong, "(success: false): no (code 7)".into()),
        (reply(200, ROWS.replace("fe78", "zz")), None, Wrong, "row 1 of 1".into()),
        (
            reply(200, differing),
            None,
            Contradictory,
            "result_info.cursor is \"a\", but result_info.cursors.after is \"b\"".into(),
        ),
        (refusal(200, 7, TOKEN), None, Wrong, "[redacted] (code 7)".into()),
    ];
    for (answer, cursor, kind, expected) in table {
        let (actual, requests, words) = error_of([answer], cursor).await;
        assert_eq!((actual, requests), (kind, 1), "{words}");
        assert!(words.contains(&expected), "{words}\n  {expected}");
        let is_about_permission = expected.contains(PERMISSION);
        assert_eq!(words.contains("permission"), is_about_permission, "{words}");
        assert!(words.starts_with("objects of namespace ns in account acc: "), "{words}");
    }
}

/// An outage costs the budget once: a request that begins when others have failed for that long is sent once.
#[tokio::test]
async fn an_outage_costs_one_budget() {
    let answers = std::iter::once(reply(200, ROWS)).chain((0..500).map(|_| refusal(503, 1, "down")));
    let (server, url) = Server::start(answers).await;
    let client = client_with(url, Arc::new(Limiter::new(quick())), short());
    list(&client, None).await.unwrap();
    let error = list(&client, None).await.unwrap_err();
    assert!(error.requests() > 5, "{error}");
    tokio::time::sleep(short().max_delay).await;
    for _ in 0..20 {
        let error = list(&client, None).await.unwrap_err();
        assert_eq!((error.kind(), error.requests()), (ErrorKind::Exhausted, 1), "{error}");
    }
    tokio::time::sleep(short().budget * 2).await;
    let error = list(&client, None).await.unwrap_err();
    assert!(
        error.to_string().contains("no request to the API has succeeded for"),
        "{error}"
    );
    assert_harmless(&error);
    // A success ends the outage, and idle time is not one.
    *server.answers.lock().unwrap() = [reply(200, ROWS), reply(503, ""), reply(200, ROWS)].into();
    list(&client, None).await.unwrap();
    tokio::time::sleep(short().budget).await;
    assert_eq!(list(&client, None).await.unwrap().requests, 2);
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
    assert!(
        error.to_string().contains("gave up after 1 attempt: retry later"),
        "{error}"
    );
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
        error.requests() > 1 && error.to_string().contains("cannot connect to the API"),
        "{error}"
    );
    assert!(std::error::Error::source(&error).is_some());
}
