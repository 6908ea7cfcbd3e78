//! Broken connections, late responses, and temporary refusals.

use std::io::Write;
use std::net::{TcpListener, TcpStream as BlockingStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use cloudflare_simulator::{Answer, Fault, Simulator, When};
use flate2::Compression;
use flate2::write::GzEncoder;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{Case, case, check};
use crate::support::database::fresh_database;
use crate::support::program::{run, simulator, sync};

fn page_2(simulator: &Simulator, namespace: &str, fault: Fault) {
    simulator.fault(namespace, When::Nth(2), fault);
}

fn refused(simulator: &Simulator, namespace: &str, status: u16) {
    page_2(simulator, namespace, Fault::Answer(Answer::error(status, 1, "later")));
}

/// The walk requests one page twice.
fn is_retried(name: &'static str, odd: fn(&Simulator, &str)) -> Case {
    case(name, odd).in_requests(4).logs("retrying")
}

fn zip(answer: &mut Answer) {
    let mut zipped = GzEncoder::new(Vec::new(), Compression::default());
    zipped.write_all(&answer.body).unwrap();
    answer.body = zipped.finish().unwrap().into();
    answer.headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
}

#[tokio::test]
async fn connections_that_break_are_tried_again() {
    check([
        is_retried("reset", |s, n| page_2(s, n, Fault::Reset)),
        is_retried("cut", |s, n| page_2(s, n, Fault::CutBody(2_000))),
        is_retried("cut, and its length not told", |s, n| {
            page_2(
                s,
                n,
                Fault::rewrite(|answer| answer.body = answer.body.slice(..answer.body.len() / 2)),
            )
        }),
        is_retried("no answer", |s, n| page_2(s, n, Fault::Delay(Duration::from_secs(4))))
            .args(&["--read-timeout", "1s"])
            .logs("did not respond in time"),
        is_retried("the body stalls", |s, n| {
            page_2(s, n, Fault::SlowBody(5_000, Duration::from_secs(4)))
        })
        .args(&["--read-timeout", "1s"]),
        // About 10 kB, which takes longer than the timeout in total. The timeout applies to a single read.
        case("the body trickles", |s, n| {
            page_2(s, n, Fault::SlowBody(1_500, Duration::from_millis(300)))
        })
        .args(&["--read-timeout", "1500ms"])
        .in_requests(3),
        case("gzip", |s, n| s.fault(n, When::Always, Fault::rewrite(zip))).in_requests(3),
        is_retried("gzip, cut", |s, n| {
            page_2(
                s,
                n,
                Fault::rewrite(|answer| {
                    zip(answer);
                    answer.body = answer.body.slice(..answer.body.len() / 2);
                }),
            )
        }),
        is_retried("nothing", |s, n| page_2(s, n, Fault::body(""))).logs("the response is empty: HTTP 200"),
        is_retried("nothing but white space", |s, n| page_2(s, n, Fault::body(" \n"))),
        is_retried("no content", |s, n| page_2(s, n, Fault::status(204, "text/plain", ""))),
        case("nothing for ever", |s, n| s.fault(n, When::From(2), Fault::body("")))
            .args(&["--retry-for", "2s"])
            .ends_interrupted(&["page 2", "the response is empty", "gave up after"]),
        case("reset for ever", |s, n| s.fault(n, When::From(2), Fault::Reset))
            .args(&["--retry-for", "2s"])
            .ends_interrupted(&["page 2", "the connection to the API broke", "gave up after"]),
    ])
    .await;
}

#[tokio::test]
async fn refusals_that_pass_are_tried_again() {
    check([
        is_retried("408", |s, n| refused(s, n, 408)),
        is_retried("500", |s, n| refused(s, n, 500)),
        is_retried("503", |s, n| refused(s, n, 503)),
        is_retried("503 with Retry-After", |s, n| {
            let answer = Answer::error(503, 1, "later").header("retry-after", "1");
            page_2(s, n, Fault::Answer(answer));
        }),
        is_retried("429", |s, n| page_2(s, n, Fault::too_many(Some("1")))).logs("HTTP 429: Please wait"),
        is_retried("429 until a date", |s, n| {
            let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2));
            page_2(s, n, Fault::too_many(Some(&date)));
        }),
        is_retried("429 that does not say how long", |s, n| {
            page_2(s, n, Fault::too_many(None))
        })
        .args(&["--pause-without-retry-after", "1s"]),
        case("429 for longer than anyone waits", |s, n| {
            page_2(s, n, Fault::too_many(Some("3600")))
        })
        .args(&["--retry-for", "2s"])
        .ends_interrupted(&["page 2", "HTTP 429", "retry later"]),
    ])
    .await;
}

#[tokio::test]
async fn a_refused_cursor_ends_no_walk() {
    check([
        case("once", |s, n| page_2(s, n, Fault::RefuseCursor))
            .in_requests(4)
            .logs("continuing after the last id"),
        case("and the cursor before the last id, too", |s, n| {
            s.fault(n, When::Nth(2), Fault::RefuseCursor);
            s.fault(n, When::Nth(3), Fault::RefuseCursor);
        })
        .in_requests(3)
        .logs("starting over"),
        case("always", |s, n| s.fault(n, When::Always, Fault::RefuseCursor)).ends_interrupted(&[
            "page 2",
            "does not resume at the checkpoint",
            "Invalid cursor",
        ]),
        case("400 without a cursor", |s, n| {
            s.fault(
                n,
                When::Nth(1),
                Fault::Answer(Answer::error(400, 10001, "limit is too low")),
            )
        })
        .ends_interrupted(&["page 1", "HTTP 400: limit is too low (code 10001)"]),
    ])
    .await;
}

/// A server with a full queue of connections neither accepts nor refuses.
#[tokio::test]
async fn a_connection_that_never_comes_about_is_given_up() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connection) = timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
        waiting.push(connection.unwrap());
    }
    let args = ["--connect-timeout", "300ms", "--retry-for", "1s"];
    let mut command = sync(&simulator, &database, &args);
    command.env("CLOUDFLARE_API_BASE_URL", format!("http://{address}/client/v4"));
    let begun = Instant::now();
    let ended = run(command);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let why = ended.json()["accounts_failed"][0]["error"].as_str().unwrap().to_owned();
    assert!(
        why.contains("did not respond in time") && why.contains("gave up after"),
        "{why}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "the default of 10 s an attempt"
    );
}

/// Accepts one TLS greeting and returns the protocols that it offers (ALPN).
fn offered(listener: TcpListener) -> JoinHandle<Vec<String>> {
    let protocols = move |mut socket: BlockingStream| {
        let mut greeting = rustls::server::Acceptor::default();
        loop {
            assert_ne!(greeting.read_tls(&mut socket).unwrap(), 0, "the greeting is cut short");
            if let Some(accepted) = greeting.accept().map_err(|(error, _)| error).unwrap() {
                let hello = accepted.client_hello();
                let offered = hello.alpn().into_iter().flatten();
                return offered.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            }
        }
    };
    std::thread::spawn(move || protocols(listener.accept().unwrap().0))
}

/// A timeout ends a request in HTTP/2 but keeps its connection, so the program would send every later request to the
/// same silent peer.
#[tokio::test]
async fn http_2_is_not_offered() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let [api, watcher] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let url = |listener: &TcpListener| format!("https://{}/client/v4", listener.local_addr().unwrap());
    let (api_url, watcher_url) = (url(&api), url(&watcher));
    let heard = [offered(api), offered(watcher)];
    let mut command = sync(
        &simulator,
        &database,
        &["--retry-for", "1ms", "--ping-url", &watcher_url],
    );
    command.env("CLOUDFLARE_API_BASE_URL", api_url);
    let ended = run(command);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    for heard in heard {
        let protocols = heard.join().unwrap();
        assert!(!protocols.iter().any(|name| name == "h2"), "{protocols:?}");
    }
}
