//! `HTTPS_PROXY` and its relatives.

use std::net::TcpListener;

use super::{Service, fails_at_once, failure, refused};
use crate::support::ledger::{objects, truth};
use crate::support::network::Proxy;
use crate::support::program::{program, run};
use cloudflare_simulator::{Fault, When};

/// The token must not go out past a proxy that can't be used.
#[tokio::test]
async fn what_is_no_proxy_is_refused_before_anything_is_sent() {
    let service = Service::start().await;
    for (variable, value, problem) in [
        ("HTTPS_PROXY", "http://[bad", "not the URL of a proxy"),
        ("https_proxy", "http://user:s3cr3t", "not the URL of a proxy"),
        ("ALL_PROXY", "socks6://127.0.0.1:1080", "socks5h://"),
        ("all_proxy", "ftp://127.0.0.1", "http://, https://"),
        ("HTTPS_PROXY", "http://u:s3cr3t#x@127.0.0.1:3128", "'#' as %23"),
        ("HTTPS_PROXY", "http://u:s3cr3t/x@127.0.0.1:3128", "'/' as %2F"),
    ] {
        let mut command = service.sync(&[]);
        command.env(variable, value);
        let error = refused(&service.simulator, command);
        assert!(
            error.contains(&format!("{variable}: ")) && error.contains(problem),
            "{error}"
        );
        assert!(!error.contains("s3cr3t"), "{error}");
    }
}

/// Neither the credentials of an object store nor the address of a monitor or a chat.
#[tokio::test]
async fn other_services_are_not_reached_past_a_proxy_either() {
    let service = Service::start().await;
    let plain = service.simulator.base_url();
    let monitor = format!("{}/ping", service.url);
    let commands: [&[&str]; 6] = [
        &["sync", "--ping-url", &monitor],
        &["sync", "--notify-url", &monitor],
        &["sync", "--export", "s3://bucket/a"],
        &["export", "objects", "--output", "s3://bucket/a/"],
        &["export", "verify", "s3://bucket/a"],
        &["diff", "s3://bucket/a", "s3://bucket/b"],
    ];
    for args in commands {
        let mut command = program(&service.simulator, &service.database, args);
        command
            .env("CLOUDFLARE_API_BASE_URL", &plain)
            .env("HTTPS_PROXY", "ftp://127.0.0.1");
        let error = refused(&service.simulator, command);
        assert!(
            error.contains("HTTPS_PROXY: unsupported proxy scheme"),
            "{args:?}: {error}"
        );
    }
}

#[tokio::test]
async fn proxies_of_every_kind_lead_to_the_api() {
    let (http, https, socks) = (Proxy::http(|_| None), Proxy::https(|_| None), Proxy::socks(0));
    for (variable, scheme, proxy) in [
        ("HTTPS_PROXY", "http://user:p%23%2F@", &http),
        ("https_proxy", "", &http),
        ("all_proxy", "https://", &https),
        ("ALL_PROXY", "socks5://", &socks),
        ("HTTPS_PROXY", "socks5h://", &socks),
    ] {
        let service = Service::start().await;
        let before = proxy.heads().len();
        let mut command = service.sync(&[]);
        command
            .env(variable, format!("{scheme}{}", proxy.address))
            .env("NO_PROXY", "elsewhere.example");
        let ended = run(command);
        assert_eq!(ended.code, Some(0), "{variable} {scheme}: {ended:#?}");
        assert!(proxy.heads().len() > before, "{variable} {scheme}");
        assert_eq!(
            objects(&service.database, &service.namespace).await,
            truth(&service.simulator, &service.namespace)
        );
    }
    // user:p#/
    assert!(http.heads()[0].contains("Basic dXNlcjpwIy8="), "{:?}", http.heads());

    let service = Service::start().await;
    let before = http.heads().len();
    let mut direct = service.sync(&[]);
    direct
        .env("HTTPS_PROXY", format!("http://{}", http.address))
        .env("NO_PROXY", "127.0.0.0/8");
    assert_eq!(run(direct).code, Some(0));
    assert_eq!(http.heads().len(), before);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_final_and_named() {
    let service = Service::start().await;
    let cases: [(&str, Proxy, &str); 9] = [
        (
            "http",
            Proxy::http(|_| Some("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")),
            "refuses the connection (it wants other credentials, or none)",
        ),
        (
            "https",
            Proxy::https(|_| Some("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")),
            "refuses the connection (it wants other credentials, or none)",
        ),
        (
            "http",
            Proxy::http(|_| Some("HTTP/1.1 403 Not Today\r\n\r\n")),
            "HTTP 403 Not Today: allow it there, or add the host to NO_PROXY",
        ),
        ("http", Proxy::http(|_| Some("HTTP/1.1 405 No\r\n\r\n")), "HTTP 405 No"),
        (
            "http",
            Proxy::http(|_| Some("HTTP/1.1 302 Found\r\nLocation: http://portal\r\n\r\n")),
            "HTTP 302 Found",
        ),
        (
            "http",
            Proxy::http(|_| Some("SSH-2.0-OpenSSH_9.2\r\n")),
            "does not respond like an HTTP proxy",
        ),
        ("socks5h", Proxy::socks(2), "refuses a connection"),
        ("socks5", Proxy::socks(0), "(it wants other credentials, or none)"),
        (
            "https",
            Proxy::http(|_| None),
            "does not speak TLS: begin its URL with http://",
        ),
    ];
    for (scheme, proxy, problem) in cases {
        let mut command = service.sync(&[]);
        // A plain-text server waits for the end of a line, which a TLS greeting need not have.
        let address = match (scheme, problem.contains("TLS")) {
            ("https", true) => crate::support::network::address(&service.simulator),
            _ => proxy.address,
        };
        let credentials = if scheme == "socks5h" { "" } else { "user:s3cr3t@" };
        command.env("HTTPS_PROXY", format!("{scheme}://{credentials}{address}"));
        let ended = fails_at_once(command, 2);
        let why = failure(&ended);
        let named = format!("the proxy of HTTPS_PROXY ({address})");
        assert!(why.contains(&named) && why.contains(problem), "{problem}: {why}");
        assert!(!format!("{ended:?}").contains("s3cr3t"));
    }
    assert!(service.simulator.requests().is_empty());
}

#[tokio::test]
async fn a_proxy_that_may_recover_is_retried_and_named() {
    let service = Service::start().await;
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let down = Proxy::http(|_| Some("HTTP/1.1 503 Service Unavailable\r\n\r\n"));
    let unreachable = Proxy::socks(4);
    for (scheme, address, problem) in [
        ("http", gone, "no connection to the proxy of ALL_PROXY"),
        ("socks5", gone, "no connection to the proxy of ALL_PROXY"),
        ("http", down.address, "HTTP 503 Service Unavailable"),
        ("socks5h", unreachable.address, "does not connect to 127.0.0.1"),
    ] {
        let mut command = service.sync(&["--retry-for", "2s"]);
        command.env("ALL_PROXY", format!("{scheme}://{address}"));
        let ended = run(command);
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        let why = failure(&ended);
        assert!(why.contains(&format!("the proxy of ALL_PROXY ({address})")), "{why}");
        assert!(why.contains(problem) && why.contains("gave up after"), "{why}");
    }
}

#[tokio::test]
async fn a_proxy_whose_name_does_not_resolve_is_named() {
    let service = Service::start().await;
    let mut command = service.sync(&["--retry-for", "1s"]);
    command.env("https_proxy", "http://proxy.invalid:3128");
    let ended = run(command);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let why = failure(&ended);
    let words = "the name of the proxy of https_proxy (proxy.invalid:3128) does not resolve";
    assert!(why.contains(words) && why.contains("gave up after"), "{why}");
}

/// Without the proxy's CA, its certificate in place of the API's is final.
#[tokio::test]
async fn a_certificate_that_is_not_trusted_names_the_variable_and_the_proxy() {
    let service = Service::start().await;
    let proxy = Proxy::http(|_| None);
    let mut command = service.sync(&[]);
    command
        .env_remove("SSL_CERT_FILE")
        .env("HTTPS_PROXY", format!("http://{}", proxy.address));
    let why = failure(&fails_at_once(command, 1));
    for part in ["SSL_CERT_FILE", "through the proxy of HTTPS_PROXY"] {
        assert!(why.contains(part), "{why}");
    }
}

/// A proxy that let a request through is set up well. What it refuses later may pass.
#[tokio::test]
async fn a_refusal_in_mid_run_is_retried() {
    let service = Service::start().await;
    let refusal = |request| (request == 2).then_some("HTTP/1.1 403 Forbidden\r\n\r\n");
    let proxy = Proxy::http(refusal);
    // The next page needs a new connection.
    service.simulator.fault(&service.namespace, When::Nth(2), Fault::Reset);
    let mut command = service.sync(&[]);
    command.env("HTTPS_PROXY", format!("http://{}", proxy.address));
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("retrying"), "{ended:#?}");
    assert!(proxy.heads().len() >= 3, "{:?}", proxy.heads());
}
