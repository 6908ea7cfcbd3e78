//! Mistakes in the settings of this machine fail at once: exit code 2, the variable's name, and no request that can't
//! help.

mod ids;
mod proxies;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cloudflare_simulator::Simulator;

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::network::{CA, address, tls};
use crate::support::program::{ACCOUNT, Ended, TOKEN, bare, program, run, simulator, sync};
use crate::support::terminal::Terminal;

/// Retrying would take as long.
const PATIENCE: [&str; 2] = ["--retry-for", "60s"];
/// All of these are decided by then.
const AT_ONCE: Duration = Duration::from_secs(20);

/// An API with TLS in front, and a database.
struct Service {
    simulator: Simulator,
    database: TestDatabase,
    namespace: String,
    url: String,
}

impl Service {
    async fn start() -> Self {
        let simulator = simulator().await;
        let namespace = simulator.add_namespace(ACCOUNT, "room");
        simulator.seed(&namespace, 25, 1);
        Self {
            url: format!("https://{}/client/v4", tls(&simulator)),
            database: fresh_database().await,
            simulator,
            namespace,
        }
    }

    fn sync(&self, more: &[&str]) -> Command {
        let mut command = sync(&self.simulator, &self.database, &[&["--limit", "10"], more].concat());
        command
            .env("CLOUDFLARE_API_BASE_URL", &self.url)
            .env("SSL_CERT_FILE", CA);
        command
    }
}

/// Asserts that nothing was sent or printed to stdout, and returns the error.
fn refused(simulator: &Simulator, command: Command) -> String {
    let ended = run(command);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:#?}");
    assert!(simulator.requests().is_empty(), "{ended:#?}");
    ended.stderr
}

/// Why the only account failed.
fn failure(ended: &Ended) -> String {
    ended.json()["accounts_failed"][0]["error"].as_str().unwrap().to_owned()
}

fn fails_at_once(mut command: Command, code: i32) -> Ended {
    command.args(PATIENCE);
    let begun = Instant::now();
    let ended = run(command);
    assert!(begun.elapsed() < AT_ONCE, "{:?}: {ended:#?}", begun.elapsed());
    assert_eq!(ended.code, Some(code), "{ended:#?}");
    ended
}

#[tokio::test]
async fn a_token_that_no_token_looks_like_is_not_sent() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    for (value, what) in [
        ("\"abc123\"", "quotation marks"),
        ("'abc123'", "quotation marks"),
        ("${CLOUDFLARE_API_TOKEN}", "a '$'"),
        ("***", "a '*'"),
        ("abc123\\n", "a backslash"),
        ("CLOUDFLARE_API_TOKEN=abc123", "a '='"),
        ("Bearer abc123", "\"Bearer\""),
    ] {
        for command in ["sync", "check"] {
            let mut by_variable = program(&simulator, &database, &[command]);
            by_variable.env("CLOUDFLARE_API_TOKEN", value);
            fs::write(&file, value).unwrap();
            let mut by_file = program(&simulator, &database, &[command]);
            by_file
                .env_remove("CLOUDFLARE_API_TOKEN")
                .env("CLOUDFLARE_API_TOKEN_FILE", &file);
            for (command, origin) in [
                (by_variable, "CLOUDFLARE_API_TOKEN: "),
                (by_file, "CLOUDFLARE_API_TOKEN_FILE: "),
            ] {
                let ended = run(command);
                assert_eq!(ended.code, Some(2), "{value}: {ended:#?}");
                let told = format!("{}{}", ended.stdout, ended.stderr);
                assert!(told.contains(origin) && told.contains(what), "{value}: {told}");
                assert!(!told.contains("abc123"), "{told}");
            }
        }
    }
    assert!(simulator.requests().is_empty());
}

#[tokio::test]
async fn a_line_end_after_a_variable_is_dropped() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let mut command = program(&simulator, &database, &["sync"]);
    command
        .env("CLOUDFLARE_API_TOKEN", format!("{TOKEN}\r\n"))
        .env("CLOUDFLARE_ACCOUNT_ID", format!("{ACCOUNT}\n"))
        .env("DATABASE_URL", format!("{}\n", database.url()));
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

#[tokio::test]
async fn a_file_that_is_not_utf8_is_called_so() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let utf16 = format!("\u{feff}{TOKEN}\r\n");
    let utf16: Vec<u8> = utf16.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(&file, utf16).unwrap();
    let mut command = program(&simulator, &database, &["sync"]);
    command
        .env_remove("CLOUDFLARE_API_TOKEN")
        .env("CLOUDFLARE_API_TOKEN_FILE", &file);
    let error = refused(&simulator, command);
    assert!(
        error.contains("CLOUDFLARE_API_TOKEN_FILE") && error.contains("is UTF-16"),
        "{error}"
    );
}

#[test]
fn cloudflare_has_no_account_of_another_form() {
    let mut command = bare(&["sync"]);
    command
        .env("CLOUDFLARE_ACCOUNT_ID", "my-company")
        .env("CLOUDFLARE_API_TOKEN", TOKEN)
        .env("DATABASE_URL", "postgres://localhost:1/d");
    let ended = run(command);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains("CLOUDFLARE_ACCOUNT_ID: not the id of an account at Cloudflare")
    );
}

#[tokio::test]
async fn ca_certificates_that_cannot_be_used_are_named() {
    let service = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    fs::write(&text, "no certificate").unwrap();
    let gone = folder.path().join("gone");
    for (variable, path, problem) in [
        ("SSL_CERT_FILE", gone.as_path(), "cannot read"),
        ("SSL_CERT_FILE", folder.path(), "cannot read"),
        ("SSL_CERT_FILE", text.as_path(), "has no CA certificate"),
        ("SSL_CERT_DIR", gone.as_path(), "cannot read"),
        ("SSL_CERT_DIR", folder.path(), "has no CA certificate"),
    ] {
        let mut command = service.sync(&[]);
        command.env_remove("SSL_CERT_FILE").env(variable, path);
        let error = refused(&service.simulator, command);
        assert!(
            error.contains(&format!("{variable}: ")) && error.contains(problem),
            "{error}"
        );
    }
    let mut check = program(&service.simulator, &service.database, &["check"]);
    check
        .env("CLOUDFLARE_API_BASE_URL", &service.url)
        .env("SSL_CERT_FILE", &gone);
    let ended = run(check);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(
        ended
            .stdout
            .contains("WRONG  configuration: SSL_CERT_FILE: cannot read"),
        "{ended:#?}"
    );

    let ended = run(service.sync(&[]));
    assert_eq!(ended.code, Some(0), "the right file: {ended:#?}");
}

#[tokio::test]
async fn https_to_a_port_for_plain_http_is_a_mistake() {
    let service = Service::start().await;
    let port = address(&service.simulator);
    let mut command = service.sync(&[]);
    command.env("CLOUDFLARE_API_BASE_URL", format!("https://{port}/client/v4"));
    let ended = fails_at_once(command, 2);
    let why = failure(&ended);
    assert!(
        why.contains(&format!("{port} does not speak TLS")) && why.contains("CLOUDFLARE_API_BASE_URL"),
        "{why}"
    );
    let mut check = program(&service.simulator, &service.database, &["check"]);
    check.env("CLOUDFLARE_API_BASE_URL", format!("https://{port}/client/v4"));
    let ended = run(check);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(
        ended.stdout.contains("WRONG  API: ") && ended.stdout.contains("does not speak TLS"),
        "{ended:#?}"
    );
}

/// `invalid` is reserved: it never resolves.
#[tokio::test]
async fn a_name_that_does_not_resolve_is_final_only_on_a_terminal() {
    let service = Service::start().await;
    let command = |retry_for: &str| {
        let mut command = service.sync(&["--retry-for", retry_for]);
        command.env("CLOUDFLARE_API_BASE_URL", "https://api.invalid/client/v4");
        command
    };
    let words = "the name api.invalid does not resolve: check CLOUDFLARE_API_BASE_URL";
    let terminal = Terminal::open();
    let mut attended = command("60s");
    attended.stderr(terminal.end()).stdout(Stdio::piped());
    let begun = Instant::now();
    let ended = run(attended);
    assert!(begun.elapsed() < Duration::from_secs(10), "{ended:#?}");
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(failure(&ended).contains(words), "{ended:#?}");

    let ended = run(command("3s"));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let why = failure(&ended);
    assert!(why.contains(words) && why.contains("gave up after"), "{why}");
    assert!(ended.stderr.contains("retrying"), "{ended:#?}");
}
