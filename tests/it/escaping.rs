//! Names come from other people. They can't move the terminal's cursor, fake a line or reverse the text around them.

use cloudflare_simulator::{Answer, Fault, Namespace, When};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, Ended, program, run, simulator};

const STEERING: &str = "n\u{1b}[2J\u{1b}]0;owned\u{7}\r\n2026 INFO faked\u{202e}drow\u{2066}\u{200b}\u{9b}31m\u{0085}\u{61c}\u{e0041}\u{3164}`run this`e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}nd";

/// Asserts that everything written to a terminal is plain lines.
fn is_tame(what: &str, ended: &Ended) {
    for (stream, text) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        let steers = |c: char| {
            (c.is_control() && c != '\n')
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
                || matches!(c, '\u{61c}' | '\u{3164}' | '\u{e0000}'..='\u{e007f}')
        };
        assert!(!text.contains(steers), "{what}, {stream}: {text:?}");
        assert!(!text.contains(&"\u{301}".repeat(5)), "{what}, {stream}: {text:?}");
        assert!(!text.contains("`run this`"), "{what}, {stream}: {text:?}");
        assert!(
            !text.lines().any(|line| line.starts_with("2026 INFO faked")),
            "{what}, {stream}: a faked line in {text:?}"
        );
    }
}

fn run_tame(mut command: std::process::Command, what: &str) -> Ended {
    // RUST_LOG at the most verbose level of this program's own logs.
    command.env("RUST_LOG", "durable_inventory=trace");
    let ended = run(command);
    is_tame(what, &ended);
    ended
}

async fn object_id(database: &TestDatabase) -> String {
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    sqlx::query_scalar("select object_id from inventory.objects order by id limit 1")
        .fetch_one(&mut session)
        .await
        .unwrap()
}

#[tokio::test]
async fn foreign_names_never_steer_the_terminal() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let mut namespace = Namespace::new(ACCOUNT, STEERING);
    namespace.script = Some(STEERING.to_owned());
    namespace.class = Some(STEERING.to_owned());
    namespace.preview = Some(json!({ "id": STEERING, "slug": STEERING, "name": STEERING }));
    let namespace = simulator.add(namespace);
    simulator.seed(&namespace, 3, 1);

    let synced = run_tame(program(&simulator, &database, &["sync"]), "sync");
    assert_eq!(synced.code, Some(0), "{synced:#?}");
    assert!(synced.stdout.contains(r"n\u{1b}[2J"), "shown, but escaped: {synced:#?}");
    run_tame(
        program(&simulator, &database, &["sync", "--log-format", "json"]),
        "json logs",
    );
    let object = object_id(&database).await;
    for args in [&["namespaces"][..], &["snapshots"], &["history", &object], &["report"]] {
        let ended = run_tame(program(&simulator, &database, args), args[0]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(ended.stdout.contains(r"n\u{1b}[2J"), "shown, but escaped: {ended:#?}");
    }
}

#[tokio::test]
async fn foreign_errors_never_steer_the_terminal() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, STEERING);
    let answers = [
        Answer::error(403, 1, STEERING),
        Answer::new(404, "text/plain", STEERING),
        Answer::new(200, "text/\u{9b}31m", STEERING),
        Answer::redirect("https://\u{202e}.example/"),
        Answer::json(200, json!({ "success": STEERING }).to_string()),
        Answer::json(
            200,
            json!({ "success": true, "result": [{ "id": STEERING }] }).to_string(),
        ),
    ];
    for answer in answers {
        simulator.with_namespace(&namespace, |n| n.faults.clear());
        simulator.fault(&namespace, When::Always, Fault::Answer(answer));
        for format in ["text", "json"] {
            let args = ["sync", "--log-format", format, "--retry-for", "1s"];
            let ended = run_tame(program(&simulator, &database, &args), "sync");
            assert_eq!(ended.code, Some(1), "{ended:#?}");
        }
    }
    // The recorded error is shown again from the record.
    for command in ["snapshots", "report"] {
        run_tame(program(&simulator, &database, &[command]), command);
    }
    // No words of theirs are a command to copy.
    let page = tempfile::NamedTempFile::new().unwrap();
    let html = ["report", "--html", page.path().to_str().unwrap()];
    assert_eq!(run(program(&simulator, &database, &html)).code, Some(0));
    let page = std::fs::read_to_string(page.path()).unwrap();
    assert!(page.contains("run this") && !page.contains("<code>run this"), "{page}");
}

/// The API's schema allows any text as an id. An id with control characters is refused or shown escaped.
#[tokio::test]
async fn foreign_ids_never_steer_the_terminal() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let row = json!({ "id": "n\u{202e}drow\u{2066}", "name": "n", "class": "C" });
    let body = json!({ "success": true, "errors": [], "messages": [], "result": [row] });
    let listed = Fault::Answer(Answer::json(200, body.to_string()));
    simulator.list_fault(ACCOUNT, When::Always, listed);
    for args in [
        &["sync"][..],
        &["sync", "--log-format", "json"],
        &["namespaces"],
        &["snapshots"],
    ] {
        run_tame(program(&simulator, &database, args), args[0]);
    }
}
