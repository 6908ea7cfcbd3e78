//! `--notify-url`: what needs attention at the end of a run, posted to a chat.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use cloudflare_simulator::{Namespace, Simulator};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, Ended, program, run, simulator, sync};

/// A chat that answers the requests with these statuses in turn, and the last one again and again. It returns what was
/// posted. An empty status stands for no answer.
fn chat(statuses: &'static [&'static str]) -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/services/s3cretmark", listener.local_addr().unwrap());
    let (posted, documents) = channel();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for (index, stream) in listener.incoming().enumerate() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                reader.read_line(&mut head).unwrap();
            }
            let head = head.to_lowercase();
            assert!(head.starts_with("post /services/s3cretmark "), "{head}");
            assert!(head.contains("content-type: application/json\r\n"), "{head}");
            let (_, length) = head.split_once("content-length: ").unwrap();
            let mut body = vec![0; length.split("\r\n").next().unwrap().parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            let mut stream = reader.into_inner();
            let status = statuses[index.min(statuses.len() - 1)];
            if !status.is_empty() {
                let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(text.as_bytes()).unwrap();
            }
            // A server that does not respond keeps the connection open.
            open.push(stream);
            if posted.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (url, documents)
}

/// A recorded namespace that has since lost most of its objects, beside one that has not.
async fn with_mass_removal() -> (Simulator, TestDatabase) {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "chat_Room");
    simulator.add_namespace(ACCOUNT, "kept");
    simulator.seed(&namespace, 2_000, 1);
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    let lost: Vec<_> = simulator.truth(&namespace).into_keys().take(1_950).collect();
    lost.iter().for_each(|id| simulator.remove_object(&namespace, id));
    (simulator, database)
}

#[tokio::test]
async fn what_waits_for_a_decision_is_posted_until_it_is_decided() {
    let (simulator, database) = with_mass_removal().await;
    let (url, documents) = chat(&["200 OK"]);
    let notified = |more: &[&str]| run(sync(&simulator, &database, &[&["--notify-url", &url], more].concat()));
    let ended = notified(&[]);
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    let posted: Vec<_> = documents.try_iter().collect();
    let [posted] = posted.as_slice() else {
        panic!("{posted:#?}")
    };
    let report = run(program(&simulator, &database, &["report", "--output", "json"])).json();
    let summary = ended.json();
    let id = &summary["namespaces"][0]["snapshot_id"];
    assert_eq!(
        posted,
        &json!({
            "version": 1,
            "text": format!(
                "durable-inventory run 2: held, exit code 5\n\
                 \u{2022} held chat_Room: This snapshot would remove 1,950 of 2,000 objects. \
                 Publish it: `durable-inventory snapshots accept {id}` \
                 Drop it: `durable-inventory snapshots discard {id}`"
            ),
            "run_id": summary["run_id"],
            "outcome": "held",
            "exit_code": 5,
            "attention": report["attention"],
        })
    );

    // It waits on, whatever else a run does.
    assert_eq!(notified(&["--namespace", "kept"]).code, Some(0));
    let posted: Vec<_> = documents.try_iter().collect();
    assert_eq!((posted.len(), &posted[0]["attention"]), (1, &report["attention"]));
    assert_eq!(posted[0]["outcome"], "done");
    let accept = ["snapshots", "accept", &id.to_string()];
    assert_eq!(run(program(&simulator, &database, &accept)).code, Some(0));
    assert_eq!(notified(&[]).code, Some(0));
    assert_eq!(documents.try_iter().count(), 0, "nothing needs attention");
}

#[tokio::test]
async fn a_namespace_that_went_missing_is_posted_once() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let odd = "<!channel> @everyone \u{1b}[2J";
    let namespace = simulator.add(Namespace::new(ACCOUNT, odd));
    simulator.add_namespace(ACCOUNT, "kept");
    simulator.seed(&namespace, 20, 1);
    let (url, documents) = chat(&["204 No Content"]);
    let notified = || run(sync(&simulator, &database, &["--notify-url", &url]));
    assert_eq!(notified().code, Some(0));
    simulator.remove_namespace(&namespace);
    assert_eq!(notified().code, Some(0));
    let posted: Vec<_> = documents.try_iter().collect();
    let [posted] = posted.as_slice() else {
        panic!("{posted:#?}")
    };
    let entry = &posted["attention"][0];
    assert_eq!(
        (&entry["trouble"], &entry["namespace_id"]),
        (&json!("missing"), &json!(namespace))
    );
    let text = posted["text"].as_str().unwrap();
    assert!(
        text.contains("missing &lt;!channel&gt; @\u{200b}everyone \\u{1b}[2J: "),
        "{text}"
    );
    assert!(text.contains(&format!("namespaces retire {namespace}`")), "{text}");
    assert_eq!(notified().code, Some(0));
    assert_eq!(documents.try_iter().count(), 0);
}

#[tokio::test]
async fn a_run_that_fails_is_posted_however_early_it_fails() {
    let (simulator, database) = with_mass_removal().await;
    let (url, documents) = chat(&["200 OK"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    std::fs::write(&file, format!("{url}\n")).unwrap();
    let nowhere = "postgres://nobody@127.0.0.1:1/nowhere?sslmode=disable";
    for (variable, value, code, label, why) in [
        (
            "CLOUDFLARE_API_TOKEN",
            "with space",
            2,
            "run".to_owned(),
            "CLOUDFLARE_API_TOKEN",
        ),
        (
            "CLOUDFLARE_API_TOKEN",
            "refused",
            1,
            format!("account {ACCOUNT}"),
            "401",
        ),
        ("DATABASE_URL", nowhere, 1, "run".to_owned(), "127.0.0.1:1"),
    ] {
        let mut command = sync(&simulator, &database, &["--retry-for", "1ms"]);
        command
            .env("DURABLE_INVENTORY_NOTIFY_URL_FILE", &file)
            .env(variable, value);
        let ended = run(command);
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        let posted: Vec<_> = documents.try_iter().collect();
        let [posted] = posted.as_slice() else {
            panic!("{value}: {posted:#?}")
        };
        assert_eq!(
            (&posted["outcome"], &posted["exit_code"]),
            (&json!("failed"), &json!(code))
        );
        assert_eq!(posted["run_id"].is_null(), label == "run", "{posted:#?}");
        let entries = posted["attention"].as_array().unwrap();
        assert_eq!(entries.len(), 1, "{posted:#?}");
        assert_eq!(
            (&entries[0]["trouble"], &entries[0]["label"]),
            (&json!("failed"), &json!(label))
        );
        assert!(entries[0]["why"].as_str().unwrap().contains(why), "{posted:#?}");
    }
}

#[tokio::test]
async fn a_run_that_a_person_stops_posts_nothing() {
    let (simulator, database) = with_mass_removal().await;
    let (url, documents) = chat(&["200 OK"]);
    let namespace = simulator.add_namespace(ACCOUNT, "large");
    simulator.seed(&namespace, 100, 2);
    let hold = simulator.hold_at(&namespace, 1);
    let child = sync(&simulator, &database, &["--notify-url", &url]).spawn().unwrap();
    hold.wait_until_held().await;
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    hold.release();
    let ended = tokio::task::spawn_blocking(|| Ended::from(child.wait_with_output().unwrap()));
    assert_eq!(ended.await.unwrap().code, Some(130));
    assert_eq!(documents.try_iter().count(), 0);
}

#[tokio::test]
async fn a_chat_that_is_broken_slow_or_gone_fails_nothing() {
    let (simulator, database) = with_mass_removal().await;
    // Nothing listens on port 1. A free port could be another test's by the time it is used.
    let gone = "http://127.0.0.1:1/services/s3cretmark".to_owned();
    let (broken, refused) = chat(&["404 Not Found"]);
    let (slow, _heard) = chat(&[""]);
    for (url, why) in [(&broken, "404"), (&gone, "refused"), (&slow, "no response within 5 s")] {
        let begun = Instant::now();
        let mut command = sync(&simulator, &database, &["--notify-url", url]);
        command.env("RUST_LOG", "trace");
        let ended = run(command);
        assert_eq!(ended.code, Some(5), "{ended:#?}");
        assert!(begun.elapsed() < Duration::from_secs(40), "{url}");
        let told: Vec<_> = ended
            .stderr
            .lines()
            .filter(|line| line.contains("--notify-url"))
            .collect();
        assert!(told.len() == 1 && told[0].contains(why), "{why}: {told:?}");
        assert!(!ended.stderr.contains("s3cretmark"), "{ended:#?}");
        assert!(!ended.stdout.contains("s3cretmark"), "{ended:#?}");
    }
    assert_eq!(refused.try_iter().count(), 3, "tried again");
    let (flaky, heard) = chat(&["503 Unavailable", "503 Unavailable", "200 OK"]);
    let ended = run(sync(&simulator, &database, &["--notify-url", &flaky]));
    assert!(!ended.stderr.contains("--notify-url"), "{ended:#?}");
    assert_eq!(heard.try_iter().count(), 3);
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_being_shown() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    for url in [
        "s3cretmark",
        "http://example.com/s3cretmark",
        "ftp://127.0.0.1/s3cretmark",
    ] {
        let ended = run(sync(&simulator, &database, &["--notify-url", url]));
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:#?}");
        assert!(
            ended.stderr.contains("--notify-url") && ended.stderr.contains("start with https://"),
            "{ended:#?}"
        );
        assert!(!ended.stderr.contains("s3cretmark"), "{ended:#?}");
    }
}
