//! Datasets and `export verify`.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::broken::files;
use super::*;

fn text(folder: &TempDir) -> &str {
    folder.path().to_str().unwrap()
}

fn manifest(folder: &TempDir) -> Value {
    serde_json::from_slice(&fs::read(folder.path().join("manifest.json")).unwrap()).unwrap()
}

#[tokio::test]
async fn a_dataset_is_what_its_manifest_says_in_every_format() {
    let recorded = recorded().await;
    for (name, format) in [
        ("parquet", Format::Parquet),
        ("csv", Format::Csv),
        ("jsonl", Format::Jsonl),
    ] {
        let folder = tempfile::tempdir().unwrap();
        recorded.exported(&[
            "objects",
            "--as-of",
            "latest~1",
            "--format",
            name,
            "--output",
            text(&folder),
        ]);
        let part = format!(
            "account_id={ACCOUNT}/namespace_id={}/snapshot={}/part-0000.{name}",
            recorded.namespace, recorded.first.snapshot
        );
        assert_eq!(files(folder.path()), [part.as_str(), "manifest.json"]);
        assert_eq!(objects(format, &folder.path().join(&part)), recorded.first.truth);
        let manifest = manifest(&folder);
        assert_eq!(manifest["format_version"], 1);
        assert_eq!(manifest["files"][0]["path"], part.as_str());
        assert_eq!(manifest["files"][0]["rows"], recorded.first.truth.len());
        assert_eq!(
            manifest["namespaces"][0]["snapshot_id"].to_string(),
            recorded.first.snapshot
        );
        let verified = recorded.exported(&["verify", text(&folder)]);
        assert!(verified.contains("the digests match the rows"), "{verified}");
        assert!(verified.contains("the snapshots match the database"), "{verified}");
    }
    for table in ["changes", "history"] {
        let folder = tempfile::tempdir().unwrap();
        recorded.exported(&[table, "--output", text(&folder)]);
        let verified = recorded.exported(&["verify", text(&folder)]);
        assert!(verified.contains("sizes, checksums and rows"), "{verified}");
    }
}

#[tokio::test]
async fn what_was_tampered_with_is_found() {
    let recorded = recorded().await;
    let folder = tempfile::tempdir().unwrap();
    let fresh = || {
        recorded.exported(&["objects", "--format", "csv", "--output", text(&folder)]);
        let manifest = manifest(&folder);
        folder.path().join(manifest["files"][0]["path"].as_str().unwrap())
    };
    let problem = |expected: &str| {
        let ended = recorded.export(&["verify", text(&folder)]);
        assert_eq!(ended.code, Some(1), "{expected}: {ended:#?}");
        assert!(ended.stdout.contains(expected), "{expected}: {ended:#?}");
    };

    let part = fresh();
    let csv = fs::read_to_string(&part).unwrap();
    let other = csv.replacen(",false,", ",true,", 1);
    fs::write(&part, &other).unwrap();
    problem("bytes, but the manifest says");
    fs::write(&part, csv.replacen('Z', "z", 1)).unwrap();
    problem("its SHA-256 differs from the manifest");

    // A forged file with matching size and checksum still fails on the digest.
    fs::write(&part, &other).unwrap();
    let mut forged = manifest(&folder);
    forged["files"][0]["bytes"] = other.len().into();
    forged["files"][0]["sha256"] = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&other)).into();
    fs::write(folder.path().join("manifest.json"), forged.to_string()).unwrap();
    problem("the digest of its rows differs from the manifest");

    fs::remove_file(&part).unwrap();
    problem("it is missing");

    let part = fresh();
    fs::copy(&part, part.with_file_name("part-0007.csv")).unwrap();
    problem("part-0007.csv: it is not in the manifest");
    fs::remove_file(part.with_file_name("part-0007.csv")).unwrap();

    let mut forged = manifest(&folder);
    forged["files"][0]["path"] = "../../etc/passwd".into();
    fs::write(folder.path().join("manifest.json"), forged.to_string()).unwrap();
    problem("its path leads out of the dataset");

    fs::remove_file(folder.path().join("manifest.json")).unwrap();
    let ended = recorded.export(&["verify", text(&folder)]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("manifest.json is missing"), "{}", ended.stderr);
}

/// A dataset may be consistent in itself and still contradict the database.
#[tokio::test]
async fn a_dataset_of_another_record_is_found() {
    let recorded = recorded().await;
    let folder = tempfile::tempdir().unwrap();
    recorded.exported(&["objects", "--output", text(&folder)]);
    let other = fresh_database().await;
    walk(&recorded.simulator, &other, &recorded.namespace);
    let ended = run(program(
        &recorded.simulator,
        &other,
        &["export", "verify", text(&folder)],
    ));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stdout.contains("is not in the database"), "{ended:#?}");
}

#[tokio::test]
async fn a_dataset_is_replaced_by_the_next() {
    let recorded = recorded().await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    for moment in ["latest~1", "latest", "latest", "latest~1"] {
        recorded.exported(&["objects", "--as-of", moment, "--output", text(&folder)]);
        assert_eq!(files(folder.path()).len(), 3, "{moment}: {:?}", files(folder.path()));
        recorded.exported(&["verify", text(&folder)]);
    }
    fs::write(folder.path().join("manifest.json"), "{}").unwrap();
    let foreign = recorded.export(&["objects", "--output", text(&folder)]);
    assert_eq!(foreign.code, Some(1), "{foreign:#?}");
    assert!(
        foreign.stderr.contains("was not written by durable-inventory"),
        "{}",
        foreign.stderr
    );
}

#[tokio::test]
async fn sync_exports_what_it_published() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let [good, empty, bad] = ["a_Room", "b_Room", "c_Room"].map(|name| simulator.add_namespace(ACCOUNT, name));
    simulator.seed(&good, 250, 1);
    simulator.seed(&bad, 10, 2);
    simulator.fault(
        &bad,
        cloudflare_simulator::When::Always,
        cloudflare_simulator::Fault::cursors_differ(),
    );
    let folder = tempfile::tempdir().unwrap();
    let ended = run(sync(
        &simulator,
        &database,
        &["--limit", "100", "--export", text(&folder)],
    ));
    assert_eq!(ended.code, Some(3), "one namespace failed: {ended:#?}");
    let walked = simulator.requests().len();
    let manifest = manifest(&folder);
    let namespaces = manifest["namespaces"].as_array().unwrap();
    let mut named: Vec<_> = namespaces.iter().map(|n| n["namespace_id"].as_str().unwrap()).collect();
    named.sort();
    let mut published = [good.as_str(), empty.as_str()];
    published.sort();
    assert_eq!(named, published);
    let verified = run(program(&simulator, &database, &["export", "verify", text(&folder)]));
    assert_eq!(verified.code, Some(0), "{verified:#?}");
    assert!(
        verified.stdout.contains("250 rows of 2 namespaces in 2 files"),
        "{verified:#?}"
    );
    assert_eq!(simulator.requests().len(), walked);
}

/// The error comes before the walk, which may take hours.
#[tokio::test]
async fn sync_refuses_a_place_that_it_cannot_export_to() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let inside = folder.path().join("file/out");
    let ended = run(sync(&simulator, &database, &["--export", inside.to_str().unwrap()]));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("could not be written"), "{}", ended.stderr);
    assert_eq!(simulator.requests().len(), 0);
}
