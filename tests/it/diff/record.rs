//! Points in time of the record, compared with each other and with files.

use std::fs;

use super::*;
use crate::export::{recorded, walk};
use crate::support::program::{ACCOUNT, sync};

#[tokio::test]
async fn two_moments_differ_as_their_walks_did() {
    let recorded = recorded().await;
    let (first, second) = (&recorded.first, &recorded.second);
    for (from, to, old, new) in [
        ("latest~1", "latest", first, second),
        ("latest", "latest~1", second, first),
        (first.snapshot.as_str(), "1ms ago", first, second),
        ("latest", second.snapshot.as_str(), second, second),
        ("latest~1", "latest~1", first, first),
    ] {
        let ended = recorded.diff(&[from, to, "--combined"]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(ended.stdout, combined(&old.truth, &new.truth), "{from} {to}");
        let expected = expected_changes(&old.truth, &new.truth);
        let ended = recorded.diff(&[from, to, "--format", "csv", "--exit-code"]);
        assert_eq!(ended.code, Some(i32::from(!expected.is_empty())), "{ended:#?}");
        assert_eq!(changes(&ended.stdout), expected, "{from} {to}");
        let same = old.truth.iter().filter(|(id, flag)| new.truth.get(*id) == Some(flag));
        let told = format!("{} objects are identical", same.count());
        assert!(ended.stderr.contains(&told), "{told}: {}", ended.stderr);
    }
}

/// An object that was removed and came back unchanged, with a snapshot in between that lacks it.
#[tokio::test]
async fn what_came_back_as_it_was_is_the_same() {
    let recorded = recorded().await;
    let (id, flag) = recorded.second.truth.first_key_value().unwrap();
    recorded.simulator.remove_object(&recorded.namespace, id);
    walk(&recorded.simulator, &recorded.database, &recorded.namespace);
    recorded.simulator.put_object(&recorded.namespace, *id, *flag);
    walk(&recorded.simulator, &recorded.database, &recorded.namespace);
    let ended = recorded.diff(&["latest~2", "latest", "--exit-code"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:#?}");
    let there = recorded.diff(&["latest~1", "latest", "--format", "jsonl", "--quiet"]);
    assert_eq!(there.stderr, "");
    let line: serde_json::Value = serde_json::from_str(&there.stdout).unwrap();
    assert_eq!(line["account_id"], ACCOUNT);
    assert_eq!(line["namespace_id"], recorded.namespace);
    assert_eq!(
        (&line["change"], &line["object_id"]),
        (&"created".into(), &hex(id).into())
    );
}

#[tokio::test]
async fn a_moment_before_the_record_is_no_empty_list() {
    let recorded = recorded().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("now.csv");
    recorded.exported(&["objects", "--output", text(&file)]);
    for args in [
        ["2020-01-01", "latest"],
        ["latest", "latest~2"],
        ["2020-01-01", text(&file)],
        [text(&file), "latest~2"],
    ] {
        let ended = recorded.diff(&args);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{args:?}: {ended:#?}"
        );
        let told = match args.contains(&"latest~2") {
            true => "namespace chat_Room has fewer than 3 snapshots, so none is latest~2",
            false => "namespace chat_Room was not recorded at 2020-01-01",
        };
        assert!(ended.stderr.contains(told), "{args:?}: {}", ended.stderr);
    }

    // The newer of several namespaces is skipped, which counts as a difference.
    let younger = recorded.simulator.add_namespace(ACCOUNT, "young_Room");
    recorded.simulator.seed(&younger, 20, 2);
    walk(&recorded.simulator, &recorded.database, &younger);
    recorded.exported(&["objects", "--output", text(&file)]);
    for args in [["latest~1", "latest"], ["latest~1", text(&file)]] {
        let ended = recorded.diff(&[&args[..], &["--exit-code"]].concat());
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), ""),
            "{args:?}: {ended:#?}"
        );
        let told = "namespace young_Room has fewer than 2 snapshots, so none is latest~1";
        assert!(ended.stderr.contains(told), "{args:?}: {}", ended.stderr);
    }
    let ended = recorded.diff(&["latest~1", text(&file)]);
    let told = format!("is not compared: it has 20 objects in {}", text(&file));
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);
    // With only the other namespace selected, nothing is missing.
    let ended = recorded.diff(&["latest~1", "latest", "--namespace", "chat_*", "--exit-code"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(!ended.stderr.contains("young_Room"), "{}", ended.stderr);
}

#[tokio::test]
async fn namespaces_are_chosen_on_both_sides() {
    let recorded = recorded().await;
    let other = recorded.simulator.add_namespace(ACCOUNT, "other_Room");
    recorded.simulator.seed(&other, 10, 3);
    let walked = walk(&recorded.simulator, &recorded.database, &other);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.jsonl");
    recorded.exported(&["objects", "--as-of", "latest", "--output", text(&file)]);
    let ended = recorded.diff(&[
        text(&file),
        "latest",
        "--namespace",
        "chat_*",
        "--summary",
        "--format",
        "jsonl",
    ]);
    let told: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(told["namespace_id"], recorded.namespace);
    assert_eq!(told["same"], recorded.second.truth.len());

    // A snapshot selects its namespace among the file's rows, too.
    let ended = recorded.diff(&[&walked.snapshot, text(&file), "--combined", "--exit-code"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.stdout, combined(&walked.truth, &walked.truth));
    let ended = recorded.diff(&[&walked.snapshot, &recorded.second.snapshot]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stderr.contains("no namespace in common"), "{}", ended.stderr);
    let summary = recorded.diff(&["latest", text(&file), "--summary"]);
    let lines: Vec<_> = summary.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}", summary.stdout);
    assert!(
        lines[3].starts_with("all ") && lines[3].contains(" 0 "),
        "{}",
        summary.stdout
    );
}

/// Ids of all namespaces, unordered and without their namespaces. The record is sorted to match them.
#[tokio::test]
async fn a_list_of_ids_is_compared_with_the_record() {
    let recorded = recorded().await;
    let other = recorded.simulator.add_namespace(ACCOUNT, "a_Room");
    recorded.simulator.seed(&other, 50, 3);
    let other = walk(&recorded.simulator, &recorded.database, &other);
    let mut truth = recorded.second.truth.clone();
    truth.extend(other.truth);
    let mut ids: Vec<_> = truth.keys().rev().map(|id| hex(id) + "\n").collect();
    let gone = ids.remove(7);
    ids.push(format!("{}\n", "0".repeat(64)));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ids.txt");
    fs::write(&file, ids.concat()).unwrap();
    let ended = recorded.diff(&["latest", text(&file), "--combined", "--exit-code"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), truth.len() + 1);
    assert!(lines.is_sorted_by_key(|line| &line[2..]));
    assert_eq!(lines[0], format!("+ {}", "0".repeat(64)));
    let others: Vec<_> = lines[1..].iter().filter(|line| !line.starts_with('!')).collect();
    assert_eq!(others, [&format!("- {}", gone.trim_end()).as_str()]);
    assert!(ended.stderr.contains("compared by id alone"), "{}", ended.stderr);
}

/// The database is not needed if neither side is a point in time.
#[tokio::test]
async fn trouble_with_the_record_is_trouble() {
    let recorded = recorded().await;
    let unreachable = |args: &[&str]| {
        let mut command = bare(&[&["diff"], args].concat());
        command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
        run(command)
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("now.csv");
    recorded.exported(&["objects", "--output", text(&file)]);
    assert_eq!(unreachable(&[text(&file), text(&file)]).code, Some(0));
    let ended = unreachable(&[text(&file), "latest"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:#?}");
    let future = recorded.diff(&["latest", "2999-01-01"]);
    assert_eq!(future.code, Some(2), "{future:#?}");
    assert!(future.stderr.contains("is in the future"), "{}", future.stderr);
    let nothing = recorded.diff(&["999", "latest"]);
    assert!(nothing.stderr.contains("snapshot 999"), "{}", nothing.stderr);
    let ended = run(sync(&recorded.simulator, &recorded.database, &[]));
    assert_eq!(ended.code, Some(0));
}
