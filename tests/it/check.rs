//! `check`: one line for each requirement of a sync, a few requests, and no writes.

mod database;

use cloudflare_simulator::{Answer, Fault, Simulator, When};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::texts;
use crate::support::program::{ACCOUNT, Ended, bare, program, run, simulator, sync};

async fn service() -> (Simulator, TestDatabase, String) {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 250, 1);
    (simulator, database, namespace)
}

/// The subject of each line, with its status.
fn lines(ended: &Ended) -> Vec<&str> {
    ended
        .stdout
        .lines()
        .map(|line| line.split(':').next().unwrap())
        .collect()
}

#[tokio::test]
async fn where_all_is_right_it_says_so_and_writes_nothing() {
    let (simulator, database, _) = service().await;
    let check = || run(program(&simulator, &database, &["check"]));
    let ended = check();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
    let all = [
        "ok     configuration",
        "ok     database",
        "ok     migrations",
        "ok     token",
        "ok     permission",
        "ok     namespaces",
        "-      quota",
        "ok     clock",
    ];
    assert_eq!(lines(&ended), all);
    assert!(
        ended.stdout.contains("the first sync will create the schema"),
        "{ended:#?}"
    );
    let schemas = "select nspname::text from pg_namespace where nspname = 'inventory' and $1 = ''";
    assert_eq!(texts(&database, schemas, "").await, [""; 0]);
    assert!(simulator.requests().len() <= 2);

    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    let before = simulator.requests().len();
    let ended = check();
    assert_eq!((ended.code, lines(&ended)), (Some(0), all.to_vec()), "{ended:#?}");
    assert!(simulator.requests().len() <= before + 2);
    let runs = "select run_id::text from inventory.runs where $1 = ''";
    assert_eq!(texts(&database, runs, "").await, ["1"]);
}

#[tokio::test]
async fn a_private_server_that_is_not_there_is_not_made() {
    let (simulator, database, _) = service().await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let ended = run(program(
        &simulator,
        &database,
        &["check", "--data-dir", data.to_str().unwrap()],
    ));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stdout.contains("will create a private PostgreSQL"), "{ended:#?}");
    assert!(!data.exists());
}

/// The problem and its remedy come last in a message and are never cut, however long the name before them is.
#[tokio::test]
async fn a_finding_is_told_to_its_end() {
    let (simulator, database, _) = service().await;
    let mut command = program(&simulator, &database, &["check"]);
    command
        .env_remove("CLOUDFLARE_API_TOKEN")
        .env("CLOUDFLARE_API_TOKEN_FILE", format!("/{}", "nowhere/".repeat(50)));
    let ended = run(command);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    let mut lines = ended.stdout.lines();
    let line = lines.find(|line| line.starts_with("WRONG  configuration")).unwrap();
    assert!(line.ends_with("No such file or directory (os error 2)"), "{line}");
}

#[tokio::test]
async fn each_thing_that_is_not_right_is_told_with_what_to_do() {
    let (simulator, database, namespace) = service().await;
    for room in 0..120 {
        simulator.add_namespace(ACCOUNT, &format!("more_{room}"));
    }
    // A transient fault is reported as well, without waiting for it to pass.
    let not_read = Fault::Answer(Answer::error(403, 9109, "Unauthorized to access requested resource"));
    type Change = fn(&mut std::process::Command);
    let error = |status, code, message| Some(Fault::Answer(Answer::error(status, code, message)));
    let page = Answer::new(403, "text/html", "<!DOCTYPE html>\n<title>Attention Required!</title>");
    let cases: [(&str, Option<Fault>, Change, &str); 10] = [
        (
            "token",
            error(403, 10000, "Authentication error"),
            |_| {},
            "\"Content Read-Only\" for the Workers product",
        ),
        (
            "token",
            error(403, 9109, "Cannot use the access token from location: 203.0.113.7"),
            |_| {},
            "203.0.113.7 (code 9109): the token may only be used from other IP addresses: change its client IP address filter",
        ),
        (
            "token",
            error(403, 9103, "Unknown X-Auth-Key or X-Auth-Email"),
            |_| {},
            "(code 9103): the email address or the API key is wrong",
        ),
        (
            "API",
            Some(Fault::Answer(page.header("cf-ray", "8f1e2d3c4b5a6978-FRA"))),
            |_| {},
            "not the API: HTTP 403, text/html: \"Attention Required!\", CF-RAY 8f1e2d3c4b5a6978-FRA: the API did not respond \
             in 1 attempt: check the API base URL",
        ),
        (
            "API",
            Some(Fault::Answer(Answer::new(403, "text/plain", "error code: 1010"))),
            |_| {},
            "by its signature (error 1010)",
        ),
        (
            "token",
            None,
            |c| _ = c.env("CLOUDFLARE_API_TOKEN", "another"),
            "Workers Scripts Read",
        ),
        (
            "configuration",
            None,
            |c| _ = c.env_remove("CLOUDFLARE_API_TOKEN"),
            "set CLOUDFLARE_API_TOKEN",
        ),
        ("API", Some(Fault::Answer(Answer::html(503))), |_| {}, "retry later"),
        (
            "quota",
            Some(Fault::Answer(Answer::too_many_requests(None))),
            |_| {},
            "used up",
        ),
        (
            "quota",
            Some(Fault::Answer(Answer::new(403, "text/plain", "error code: 1015"))),
            |_| {},
            "the API is limiting requests",
        ),
    ];
    for (what, fault, change, advice) in cases {
        if let Some(fault) = fault {
            simulator.list_fault(ACCOUNT, When::Nth(1), fault);
        }
        let before = simulator.requests().len();
        let mut command = program(&simulator, &database, &["check"]);
        change(&mut command);
        let ended = run(command);
        assert_eq!(ended.code, Some(2), "{what}: {ended:#?}");
        let told = ended
            .stdout
            .lines()
            .find(|line| line.starts_with(&format!("WRONG  {what}: ")));
        assert!(told.is_some_and(|line| line.contains(advice)), "{what}: {ended:#?}");
        assert!(simulator.requests().len() <= before + 2, "{what}");
    }
    simulator.fault(&namespace, When::Always, not_read);
    let ended = run(program(&simulator, &database, &["check"]));
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stdout.contains("WRONG  permission: "), "{ended:#?}");
    assert!(ended.stdout.contains("121 of 121 listed would be synced"), "{ended:#?}");
}

#[tokio::test]
async fn a_clock_that_is_far_off_is_told() {
    let (simulator, database, namespace) = service().await;
    let late = || {
        Fault::rewrite(|answer| {
            let there = std::mem::replace(answer, Answer::empty_list());
            *answer = there.header("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        })
    };
    simulator.list_fault(ACCOUNT, When::Always, late());
    simulator.fault(&namespace, When::Always, late());
    let ended = run(program(&simulator, &database, &["check"]));
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    let told = ended.stdout.lines().last().unwrap();
    assert!(
        told.starts_with("WRONG  clock: this machine's clock is ") && told.contains("NTP"),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn a_database_that_is_not_there_hides_nothing_else() {
    let (simulator, database, _) = service().await;
    let mut command = program(&simulator, &database, &["check"]);
    command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere?sslmode=disable");
    let ended = run(command);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert_eq!(
        lines(&ended)[1..4],
        ["WRONG  database", "-      migrations", "ok     token"],
        "{ended:#?}"
    );
    let ended = run(bare(&["check", "--data-dir", "/no/such/place"]));
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(
        ended.stdout.contains("WRONG  configuration: no credentials"),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn a_token_that_others_can_read_is_noted() {
    use std::os::unix::fs::PermissionsExt;

    let (simulator, database, _) = service().await;
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, crate::support::program::TOKEN).unwrap();
    for path in [folder.path(), &token] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let with_file = |args: &[&str]| {
        let mut command = program(&simulator, &database, args);
        command
            .env_remove("CLOUDFLARE_API_TOKEN")
            .env("CLOUDFLARE_API_TOKEN_FILE", &token);
        run(command)
    };
    let told = "CLOUDFLARE_API_TOKEN_FILE: other users can read or write the secret's file";
    let ended = with_file(&["check"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
    assert!(ended.stdout.contains(&format!("\nNOTE   files: {told}")), "{ended:#?}");
    let ended = with_file(&["sync", "--quiet"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains(told), "{ended:#?}");
}
