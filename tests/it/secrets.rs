//! Every command, with every kind of failure and with a mark in each secret. The mark must not appear in any output, in
//! the database or in any command line.
//!
//! Logs are at their most verbose, including those of the libraries.

mod argv;
mod database;
mod inputs;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use cloudflare_simulator::{Answer, Fault, Simulator, When};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, Ended, bare, run};

/// Part of every secret below. Only lower-case letters and digits, so that neither an encoding nor a change of case
/// hides it.
const MARK: &str = "s3cretmark";
const API_TOKEN: &str = "tok3n-s3cretmark_0123456789abcdefghijkLM";
const API_KEY: &str = "144c9defac04s3cretmark969c7bfa8e";
const PASSWORD: &str = "pass-s3cretmark";
const EMAIL: &str = "who@example.com";

/// Fails if the output contains a secret.
#[track_caller]
fn search(ended: &Ended) {
    for (stream, text) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        if let Some(line) = text.lines().find(|line| line.to_lowercase().contains(MARK)) {
            panic!("a secret in {stream}: {line}");
        }
    }
}

#[track_caller]
fn searched(mut command: Command) -> Ended {
    command.env("RUST_LOG", "trace");
    let ended = run(command);
    search(&ended);
    ended
}

fn with_password(database: &TestDatabase) -> String {
    let user = database.options.get_username();
    let with_it = format!("{user}:{PASSWORD}@");
    database.url().replacen(&format!("{user}@"), &with_it, 1)
}

/// A sync that fails fast, so that every failure can be tried.
fn sync(simulator: &Simulator, url: &str) -> Command {
    let mut command = bare(&[
        "sync",
        "--retry-for",
        "1ms",
        "--pause-without-retry-after",
        "1ms",
        "--quota",
        "100000/1s",
    ]);
    command
        .env("CLOUDFLARE_API_BASE_URL", simulator.base_url())
        .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
        .env("CLOUDFLARE_API_TOKEN", API_TOKEN)
        .env("DATABASE_URL", url);
    command
}

async fn simulator() -> Simulator {
    let simulator = Simulator::start().await;
    simulator.add_account(ACCOUNT, API_TOKEN);
    simulator.add_key(ACCOUNT, EMAIL, API_KEY);
    simulator
}

/// Responses of a server that echoes a secret.
fn echoes(secret: &str) -> Vec<Fault> {
    let header = format!("Authorization: Bearer {secret}");
    // A JSON string may encode any letter as an escape.
    let escaped: String = secret.chars().map(|c| format!("\\u{:04x}", c as u32)).collect();
    let quoted = format!(r#"{{"success":false,"errors":[{{"code":1,"message":"bad {escaped}"}}],"result":null}}"#);
    let success = format!(
        r#"{{"success":true,"errors":[],"messages":[{{"code":1,"message":"hello {secret}"}}],"result":[],"result_info":{{"cursor":""}}}}"#
    );
    let mut answers = vec![
        Answer::error(400, 6003, &header),
        Answer::error(401, 10000, &header),
        Answer::error(403, 9109, &header),
        Answer::error(404, 10066, &header),
        Answer::error(429, 971, &header).header("retry-after", "0"),
        Answer::error(500, 1, &header),
        Answer::new(502, "text/html", format!("<html>{header}</html>")),
        Answer::new(200, "text/plain", header.clone()),
        Answer::new(200, &format!("text/{secret}"), "no JSON"),
        Answer::json(200, format!(r#"{{"success":"{secret}"}}"#)),
        Answer::json(200, format!(r#"{{"success":true,"result":"{secret}"}}"#)),
        Answer::json(200, format!(r#"{{"success":true,"result":[{{"id":"{secret}"}}]}}"#)),
        Answer::json(200, quoted.clone()),
        Answer::json(403, quoted),
        Answer::json(200, success),
        Answer::redirect(&format!("https://{secret}.example/{secret}?{secret}")),
        Answer::error(403, 1, &format!("{}{header}", "x".repeat(280))),
    ];
    answers
        .iter_mut()
        .for_each(|answer| *answer = answer.clone().header("x-echo", secret));
    answers.into_iter().map(Fault::Answer).collect()
}

#[tokio::test]
async fn a_server_that_echoes_secrets_is_not_quoted() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let chat = simulator.add_namespace(ACCOUNT, "chat");
    let url = with_password(&database);
    let as_token = || sync(&simulator, &url);
    let as_key = || {
        let mut command = sync(&simulator, &url);
        command
            .env_remove("CLOUDFLARE_API_TOKEN")
            .env("CLOUDFLARE_EMAIL", EMAIL)
            .env("CLOUDFLARE_API_KEY", API_KEY);
        command
    };
    for (secret, command) in [(API_TOKEN, &as_token as &dyn Fn() -> Command), (API_KEY, &as_key)] {
        for (number, fault) in echoes(secret).into_iter().enumerate() {
            // Every fault hits the object list, and every third one the namespace list, because the same code reads
            // both.
            simulator.with_namespace(&chat, |n| n.faults.clear());
            simulator.with(|state| state.accounts.get_mut(ACCOUNT).unwrap().faults.clear());
            simulator.fault(&chat, When::Always, fault.clone());
            searched(command());
            if number % 3 == 0 {
                simulator.list_fault(ACCOUNT, When::Always, fault);
                searched(command());
            }
        }
    }
    for name in ["namespaces", "snapshots"] {
        let mut command = bare(&[name]);
        command.env("DATABASE_URL", &url);
        searched(command);
    }
    database::is_searched(&database);
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let (simulator, other, database) = (simulator().await, simulator().await, fresh_database().await);
    let chat = simulator.add_namespace(ACCOUNT, "chat");
    let there = format!(
        "{}/accounts/{ACCOUNT}/workers/durable_objects/namespaces",
        other.base_url()
    );
    for status in [301, 302, 303, 307, 308] {
        let answer = Answer {
            status,
            ..Answer::redirect(&format!("{there}/{chat}/objects"))
        };
        simulator.with_namespace(&chat, |n| n.faults.clear());
        simulator.fault(&chat, When::Always, Fault::Answer(answer));
        let ended = searched(sync(&simulator, &with_password(&database)));
        assert_eq!(ended.code, Some(1), "{ended:#?}");
    }
    simulator.list_fault(ACCOUNT, When::Always, Fault::Answer(Answer::redirect(&there)));
    let ended = searched(sync(&simulator, &with_password(&database)));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(other.requests().is_empty(), "the other host was sent the secret");
}

/// A minimal database server that sends one fixed response after each message.
fn server(answers: &'static [&'static [u8]]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            for answer in answers {
                let mut asked = [0; 4096];
                if !matches!(stream.read(&mut asked), Ok(1..)) || stream.write_all(answer).is_err() {
                    break;
                }
            }
        }
    });
    port
}

/// Requests the password in clear text, then refuses it.
const REFUSES: &[&[u8]] = &[
    b"R\0\0\0\x08\0\0\0\x03",
    b"E\0\0\0\x3cSFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0",
];

#[tokio::test]
async fn a_database_that_fails_is_told_of_without_its_password() {
    let simulator = simulator().await;
    simulator.add_namespace(ACCOUNT, "chat");
    let (refuses, no_tls) = (server(REFUSES), server(&[b"N"]));
    let urls = [
        (
            "no server",
            format!("postgres://u:{PASSWORD}@127.0.0.1:1/d?sslmode=disable"),
        ),
        ("no host", format!("postgres://u:{PASSWORD}@host.invalid/d")),
        (
            "no socket",
            format!("postgres://u:{PASSWORD}@localhost/d?host=/nowhere"),
        ),
        (
            "bad password",
            format!("postgres://u:{PASSWORD}@127.0.0.1:{refuses}/d?sslmode=disable"),
        ),
        (
            "no TLS",
            format!("postgres://u:{PASSWORD}@127.0.0.1:{no_tls}/d?sslmode=require"),
        ),
        (
            "no CA",
            format!("postgres://u:{PASSWORD}@127.0.0.1:{no_tls}/d?sslmode=verify-full&sslrootcert=/no"),
        ),
        ("port", format!("postgres://u:{PASSWORD}@host:port/d")),
        ("host", format!("postgres://u:{PASSWORD}@[::1/d")),
        ("mode", format!("postgres://u:{PASSWORD}@host/d?sslmode={PASSWORD}")),
        (
            "parameter",
            format!("postgres://u@host:1/d?password={PASSWORD}&sslmode=perhaps"),
        ),
        ("scheme", format!("mysql://u:{PASSWORD}@host/d")),
        ("no scheme", format!("u:{PASSWORD}@host/d")),
        ("DSN", format!("host=localhost password={PASSWORD}")),
    ];
    let object = "0".repeat(64);
    let commands: [&[&str]; 6] = [
        &["sync"],
        &["namespaces"],
        &["snapshots"],
        &["history", &object],
        &["migrate"],
        &["psql", "-c", "select 1"],
    ];
    // In parallel, because some of them wait for the server to come up.
    thread::scope(|scope| {
        for args in commands {
            for (what, url) in &urls {
                let mut command = sync(&simulator, url);
                let own: Vec<_> = command
                    .get_envs()
                    .map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned)))
                    .collect();
                if args[0] != "sync" {
                    command = bare(args);
                    command.envs(own.into_iter().filter_map(|(k, v)| Some((k, v?))));
                }
                scope.spawn(move || {
                    let ended = searched(command);
                    assert_ne!(ended.code, Some(0), "{args:?} with {what}: {ended:#?}");
                });
            }
        }
    });
}

#[tokio::test]
async fn an_api_that_does_not_speak_tls_is_told_of_without_the_token() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let url = with_password(&database);
    for base_url in [
        simulator.base_url().replacen("http:", "https:", 1),
        "https://127.0.0.1:1/client/v4".to_owned(),
        "https://host.invalid/client/v4".to_owned(),
        format!("https://{PASSWORD}@127.0.0.1:1/client/v4"),
        format!("https://u:{PASSWORD}@127.0.0.1:1/client/v4"),
        format!("https://127.0.0.1:1/client/v4?token={API_TOKEN}"),
        format!("http://example.com/{API_TOKEN}"),
        format!("://{API_TOKEN}"),
    ] {
        let mut command = sync(&simulator, &url);
        command.env("CLOUDFLARE_API_BASE_URL", base_url);
        let ended = searched(command);
        assert!(matches!(ended.code, Some(1 | 2)), "{ended:#?}");
    }
    database::is_searched(&database);
}
