//! Monitoring: the metrics file, the ping URL, and the single line that cron mails.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use cloudflare_simulator::{Answer, Fault, Simulator, When};
use serde_json::Value;

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, Ended, run, simulator, sync};
use crate::support::python::{python, readers};

async fn service() -> (Simulator, TestDatabase, String) {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 250, 1);
    (simulator, database, namespace)
}

/// The value of the only sample with this name and all of these labels.
#[track_caller]
fn sample(text: &str, name: &str, labels: &[&str]) -> f64 {
    let found: Vec<_> = text
        .lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(&format!("durable_inventory_{name}")))
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .collect();
    let [line] = found.as_slice() else {
        panic!("{name} {labels:?}: {found:?}\n{text}")
    };
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn metrics_tell_of_the_run_and_of_the_record() {
    let (simulator, database, namespace) = service().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inventory.prom");
    let sync = |more: &[&str]| {
        let metrics = ["--metrics-file", file.to_str().unwrap(), "--limit", "100"];
        let ended = run(sync(&simulator, &database, &[&metrics, more].concat()));
        (ended, std::fs::read_to_string(&file).unwrap())
    };
    let (ended, text) = sync(&[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(sample(&text, "namespace_objects", &["name=\"room\"", ACCOUNT]), 250.0);
    assert_eq!(
        sample(&text, "namespace_changes", &["change=\"created\""]),
        0.0,
        "a baseline"
    );
    assert_eq!(sample(&text, "run_outcome", &["outcome=\"done\""]), 1.0);
    assert_eq!(sample(&text, "run_requests", &[]), simulator.requests().len() as f64);
    assert_eq!(sample(&text, "namespace_requests", &[]), 3.0);
    let first = sample(&text, "namespace_last_success_timestamp_seconds", &[]);

    // After a walk that was not published, the time of the last success and the object count stay the same.
    simulator.fault(&namespace, When::Always, Fault::Answer(Answer::error(418, 1, "odd")));
    let other = simulator.add_namespace(ACCOUNT, "other");
    simulator.seed(&other, 10, 1);
    let (ended, text) = sync(&[]);
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(sample(&text, "run_exit_code", &[]), 3.0);
    assert_eq!(
        sample(
            &text,
            "namespace_outcome",
            &["name=\"room\"", "outcome=\"interrupted\""]
        ),
        1.0
    );
    assert_eq!(sample(&text, "namespace_objects", &["name=\"room\""]), 250.0);
    assert_eq!(
        sample(&text, "namespace_last_success_timestamp_seconds", &["name=\"room\""]),
        first
    );
    assert!(sample(&text, "namespace_last_success_timestamp_seconds", &["name=\"other\""]) > first);

    // After a run of one namespace, or without a database, the other namespaces' values stay the same, too.
    let (ended, text) = sync(&["--namespace", "other"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(sample(&text, "namespace_objects", &["name=\"room\""]), 250.0);
    let mut command = crate::support::program::sync(&simulator, &database, &["--metrics-file", file.to_str().unwrap()]);
    command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere?sslmode=disable");
    assert_eq!(run(command).code, Some(1));
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(sample(&text, "run_exit_code", &[]), 1.0);
    assert_eq!(
        sample(&text, "namespace_last_success_timestamp_seconds", &["name=\"room\""]),
        first
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing beside the file"
    );
}

/// A held snapshot is told of for as long as it waits, not only by the run that held it.
#[tokio::test]
async fn a_held_snapshot_is_told_of_until_it_is_decided_about() {
    let (simulator, database, namespace) = service().await;
    simulator.add_namespace(ACCOUNT, "other");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inventory.prom");
    let held = |code: i32, more: &[&str]| {
        let metrics = ["--metrics-file", file.to_str().unwrap()];
        let ended = run(sync(&simulator, &database, &[&metrics, more].concat()));
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        let text = std::fs::read_to_string(&file).unwrap();
        ["room", "other"].map(|name| sample(&text, "namespace_held", &[ACCOUNT, &format!("name=\"{name}\"")]))
    };
    assert_eq!(held(0, &[]), [0.0, 0.0]);
    simulator
        .truth(&namespace)
        .keys()
        .for_each(|id| simulator.remove_object(&namespace, id));
    assert_eq!(held(5, &[]), [1.0, 0.0]);
    assert_eq!(held(0, &["--namespace", "other"]), [1.0, 0.0]);
    // Without a database the file keeps it.
    let mut command = sync(&simulator, &database, &["--metrics-file", file.to_str().unwrap()]);
    command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere?sslmode=disable");
    assert_eq!(run(command).code, Some(1));
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(sample(&text, "namespace_held", &["name=\"room\""]), 1.0);
    assert_eq!(held(0, &["--accept-removals"]), [0.0, 0.0]);
}

#[tokio::test]
async fn metrics_that_cannot_be_written_fail_nothing() {
    let (simulator, database, _) = service().await;
    let ended = run(sync(
        &simulator,
        &database,
        &["--metrics-file", "/no-such-folder/a.prom"],
    ));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains("/no-such-folder/a.prom: could not write the file"),
        "{ended:#?}"
    );
}

/// Prometheus' own client parses the file.
#[tokio::test]
#[ignore = "needs Python: scripts/test --all"]
async fn prometheus_reads_the_metrics() {
    let (simulator, database, _) = service().await;
    let odd = "a\"b\\c\nd {é} #";
    simulator.add_namespace(ACCOUNT, odd);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inventory.prom");
    let ended = run(sync(&simulator, &database, &["--metrics-file", file.to_str().unwrap()]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let samples = parsed(&file);
    let objects: Vec<_> = samples
        .as_array()
        .unwrap()
        .iter()
        .filter(|sample| sample["name"] == "durable_inventory_namespace_objects")
        .map(|sample| {
            (
                sample["labels"]["name"].as_str().unwrap(),
                sample["value"].as_f64().unwrap(),
            )
        })
        .collect();
    assert_eq!(objects, [(odd, 0.0), ("room", 250.0)]);
}

fn parsed(file: &Path) -> Value {
    let mut read = Command::new(python("operations"));
    read.arg(readers().join("metrics.py")).arg(file);
    let read: Ended = read.output().unwrap().into();
    assert_eq!(read.code, Some(0), "{read:#?}");
    read.json()
}

/// A stand-in for healthchecks.io, which returns the requested paths.
fn watcher(answer: Option<&'static str>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/uuid-that-nobody-may-see/", listener.local_addr().unwrap());
    let (heard, paths) = channel();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            if let Some(status) = answer {
                let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(text.as_bytes()).unwrap();
            }
            // A server that does not respond keeps the connection open.
            open.push(stream);
            if heard.send(path).is_err() {
                return;
            }
        }
    });
    (url, paths)
}

#[tokio::test]
async fn a_watcher_is_told_of_the_start_and_of_the_exit_code() {
    let (simulator, database, namespace) = service().await;
    let (url, heard) = watcher(Some("200 OK"));
    let ended = run(sync(&simulator, &database, &["--ping-url", &url]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let told: Vec<_> = heard.try_iter().collect();
    assert_eq!(told, ["/uuid-that-nobody-may-see/start", "/uuid-that-nobody-may-see/0"]);

    // The URL from a file, for a run that fails and for one with an invalid configuration.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    std::fs::write(&file, format!("{url}\n")).unwrap();
    simulator.fault(&namespace, When::Always, Fault::cursors_differ());
    for (token, code) in [("test-token", 1), ("with space", 2)] {
        let mut command = sync(&simulator, &database, &[]);
        command.env("DURABLE_INVENTORY_PING_URL_FILE", &file);
        command.env("CLOUDFLARE_API_TOKEN", token);
        assert_eq!(run(command).code, Some(code));
        let told: Vec<_> = heard.try_iter().collect();
        assert_eq!(told[1..], [format!("/uuid-that-nobody-may-see/{code}")], "{told:?}");
    }
}

#[tokio::test]
async fn a_watcher_that_is_broken_slow_or_gone_changes_nothing() {
    let (simulator, database, _) = service().await;
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = format!("http://{gone}/uuid-that-nobody-may-see");
    let (broken, _heard) = watcher(Some("404 Not Found"));
    let (slow, _also_heard) = watcher(None);
    for (url, why) in [(&broken, "404"), (&gone, "refused"), (&slow, "no response within 5 s")] {
        let begun = Instant::now();
        let mut command = sync(&simulator, &database, &["--ping-url", url]);
        command.env("RUST_LOG", "trace");
        let ended = run(command);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(begun.elapsed() < Duration::from_secs(25), "{url}");
        let told = ended.stderr.lines().filter(|line| line.contains("to --ping-url"));
        assert!(
            told.clone().count() == 2 && told.clone().all(|line| line.contains(why)),
            "{why}: {ended:#?}"
        );
        assert!(!ended.stderr.contains("uuid-that-nobody-may-see"), "{ended:#?}");
        assert!(!ended.stdout.contains("uuid-that-nobody-may-see"), "{ended:#?}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_being_shown() {
    let (simulator, database, _) = service().await;
    for url in [
        "uuid-that-nobody-may-see",
        "http://example.com/uuid-that-nobody-may-see",
        "ftp://127.0.0.1/uuid-that-nobody-may-see",
    ] {
        let ended = run(sync(&simulator, &database, &["--ping-url", url]));
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:#?}");
        assert!(ended.stderr.contains("must start with https://"), "{ended:#?}");
        assert!(!ended.stderr.contains("nobody-may-see"), "{ended:#?}");
    }
}

#[tokio::test]
async fn quiet_leaves_one_line() {
    let (simulator, database, _) = service().await;
    let quiet = |more: &[&str]| {
        let args = [&["sync", "--quiet", "--quota", "1000000/1s"], more].concat();
        run(crate::support::program::program(&simulator, &database, &args))
    };
    let ended = quiet(&[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
    assert_eq!(ended.stdout, "run 1 done: 1 namespace synced (250 objects)\n");
    // A failure is logged on stderr, as JSON on request.
    simulator.list_fault(
        ACCOUNT,
        When::Always,
        Fault::Answer(Answer::error(404, 7003, "no route")),
    );
    let ended = quiet(&["--log-format", "json"]);
    assert_eq!((ended.code, ended.stdout.lines().count()), (Some(1), 1), "{ended:#?}");
    for line in ended.stderr.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["level"], "ERROR");
    }
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
}
