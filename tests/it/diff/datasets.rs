//! Datasets: comparisons that need only the manifests, and comparisons that need the rows.

use std::fs;

use super::*;
use crate::export::broken::files;
use crate::export::{recorded, walk};
use crate::support::program::ACCOUNT;

/// Removes every file but the manifest.
fn without_rows(folder: &Path) {
    for name in files(folder).iter().filter(|name| *name != "manifest.json") {
        fs::remove_file(folder.join(name)).unwrap();
    }
}

#[tokio::test]
async fn equal_digests_are_answered_without_the_rows() {
    let recorded = recorded().await;
    let [one, other, before] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    recorded.exported(&["objects", "--output", text(one.path())]);
    recorded.exported(&["objects", "--format", "csv", "--output", text(other.path())]);
    recorded.exported(&["objects", "--as-of", "latest~1", "--output", text(before.path())]);
    let objects = recorded.second.truth.len();
    for folder in [&one, &other] {
        without_rows(folder.path());
    }
    for args in [
        [text(one.path()), text(other.path())],
        [text(one.path()), "latest"],
        ["latest", text(other.path())],
    ] {
        let ended = recorded.diff(&[&args[..], &["--exit-code", "--format", "csv"]].concat());
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:#?}");
        assert_eq!(changes(&ended.stdout).len(), 0);
        let told = format!("no difference: {objects} objects are identical");
        assert!(ended.stderr.contains(&told), "{args:?}: {}", ended.stderr);
    }
    // `--combined` needs every object, and the changes between different datasets need their rows.
    for (args, missing) in [
        ([text(one.path()), text(other.path()), "--combined"], "part-0000"),
        ([text(before.path()), text(other.path()), "--summary"], "part-0000.csv"),
    ] {
        let ended = recorded.diff(&args);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{args:?}: {ended:#?}"
        );
        assert!(ended.stderr.contains(missing), "{}", ended.stderr);
        assert!(ended.stderr.contains("could not be read"), "{}", ended.stderr);
    }
}

/// The snapshot's digest proves nothing about a selection from it.
#[tokio::test]
async fn the_digest_of_a_snapshot_is_not_that_of_a_selection() {
    let recorded = recorded().await;
    let [all, some, ids] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    recorded.exported(&["objects", "--output", text(all.path())]);
    recorded.exported(&["objects", "--has-data", "true", "--output", text(some.path())]);
    recorded.exported(&["objects", "--columns", "object_id", "--output", text(ids.path())]);
    let truth = &recorded.second.truth;
    let with_data = truth.iter().filter(|(_, flag)| **flag == Some(true));
    let with_data = with_data.map(|(id, flag)| (*id, *flag)).collect();
    let ended = recorded.diff(&[text(all.path()), text(some.path()), "--combined"]);
    assert_eq!(ended.stdout, combined(truth, &with_data));
    let ended = recorded.diff(&[text(all.path()), text(some.path()), "--exit-code"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let ended = recorded.diff(&[text(all.path()), text(ids.path()), "--combined"]);
    assert_eq!(ended.stdout.matches("! ").count(), truth.len());
}

#[tokio::test]
async fn only_the_namespaces_that_differ_are_read() {
    let recorded = recorded().await;
    let other = recorded.simulator.add_namespace(ACCOUNT, "other_Room");
    recorded.simulator.seed(&other, 10, 3);
    walk(&recorded.simulator, &recorded.database, &other);
    let [before, after] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    recorded.exported(&["objects", "--output", text(before.path())]);
    let id = [0xcd; 32];
    recorded.simulator.put_object(&other, id, Some(true));
    walk(&recorded.simulator, &recorded.database, &other);
    recorded.exported(&["objects", "--format", "jsonl", "--output", text(after.path())]);
    for folder in [&before, &after] {
        let of = format!("account_id={ACCOUNT}/namespace_id={}", recorded.namespace);
        fs::remove_dir_all(folder.path().join(of)).unwrap();
    }
    let ended = recorded.diff(&[text(before.path()), text(after.path()), "--exit-code"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(
        ended.stdout,
        format!("created       {}  absent -> with_data        other_Room\n", hex(&id))
    );
    let same = recorded.second.truth.len() + 10;
    assert!(
        ended.stderr.contains(&format!("; {same} objects are identical")),
        "{}",
        ended.stderr
    );
}

/// A dataset names the namespaces that it covers. The absence of one does not mean that it is empty.
#[tokio::test]
async fn a_namespace_that_one_side_does_not_speak_of_is_not_compared() {
    let recorded = recorded().await;
    let other = recorded.simulator.add_namespace(ACCOUNT, "other_Room");
    recorded.simulator.seed(&other, 10, 3);
    walk(&recorded.simulator, &recorded.database, &other);
    let [all, one] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let file = one.path().join("all.csv");
    recorded.exported(&["objects", "--output", text(all.path())]);
    recorded.exported(&["objects", "--output", text(&file)]);
    recorded.exported(&["objects", "--namespace", "chat_*", "--output", text(one.path())]);
    for from in [text(all.path()), "latest", text(&file)] {
        let ended = recorded.diff(&[from, text(one.path()), "--exit-code"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{from}: {ended:#?}");
        let told = format!("is not compared: it has 10 objects in {from}");
        assert!(ended.stderr.contains(&told), "{told}: {}", ended.stderr);
        // A file has no names, but the dataset does.
        for namespace in [recorded.namespace.as_str(), "chat_*"] {
            let ended = recorded.diff(&[from, text(one.path()), "--namespace", namespace, "--exit-code"]);
            assert_eq!(ended.code, Some(0), "{from}: {ended:#?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_sound_dataset_is_refused() {
    let recorded = recorded().await;
    let [sound, folder] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    recorded.exported(&["objects", "--as-of", "latest~1", "--output", text(sound.path())]);
    let refused = |expected: &str| {
        let ended = recorded.diff(&[text(sound.path()), text(folder.path())]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{expected}: {ended:#?}"
        );
        assert!(ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    };
    refused("manifest.json is missing");
    recorded.exported(&["changes", "--output", text(folder.path())]);
    refused("is an export of changes");
    recorded.exported(&[
        "objects",
        "--columns",
        "namespace_id",
        "--replace",
        "--output",
        text(folder.path()),
    ]);
    refused("has no column object_id");

    recorded.exported(&["objects", "--format", "csv", "--output", text(folder.path())]);
    let names = files(folder.path());
    let part = folder
        .path()
        .join(names.iter().find(|name| name.ends_with(".csv")).unwrap());
    let rows = fs::read_to_string(&part).unwrap();
    let cut = rows[..rows.len() - 1].rfind('\n').unwrap() + 1;
    fs::write(&part, &rows[..cut]).unwrap();
    refused("rows, but its manifest says");
    let manifest = folder.path().join("manifest.json");
    let forged = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, forged.replace("\"path\": \"", "\"path\": \"../")).unwrap();
    refused("its path leads out of the dataset");
}
