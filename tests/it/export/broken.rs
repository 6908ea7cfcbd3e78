//! A failed export never leaves partial output under the requested name.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection};

use super::*;

#[tokio::test]
async fn whoever_reads_the_first_line_and_leaves_ends_the_export_quietly() {
    let recorded = recorded().await;
    // The output exceeds a pipe's buffer.
    recorded.simulator.seed(&recorded.namespace, 20_000, 3);
    let accepted = run(sync(&recorded.simulator, &recorded.database, &["--accept-removals"]));
    assert_eq!(accepted.code, Some(0), "{accepted:#?}");
    for format in ["csv", "jsonl", "parquet"] {
        let args = ["export", "objects", "--format", format, "--quiet"];
        let mut export = program(&recorded.simulator, &recorded.database, &args).spawn().unwrap();
        let mut line = Vec::new();
        let mut stdout = BufReader::with_capacity(16, export.stdout.take().unwrap());
        stdout.read_until(b'1', &mut line).unwrap();
        drop(stdout);
        let ended: Ended = export.wait_with_output().unwrap().into();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{format}");
    }
}

#[tokio::test]
async fn a_file_is_replaced_whole_or_not_at_all() {
    let recorded = recorded().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ids.txt");
    std::fs::write(&path, "before").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();

    // The error about the point in time comes before any output.
    let to = ["--output", path.to_str().unwrap()];
    let failed = recorded.export(&[&["objects", "--ids-only", "--as-of", "2020-01-01"][..], &to].concat());
    assert_eq!(failed.code, Some(1), "{failed:#?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");

    recorded.exported(&["objects", "--ids-only", "--output", link.to_str().unwrap()]);
    let ids = std::fs::read_to_string(&path).unwrap();
    assert_eq!(ids.lines().count(), recorded.second.truth.len());
    assert!(link.is_symlink(), "the link still means the file");
}

#[tokio::test]
async fn a_full_disk_is_told_and_leaves_nothing() {
    let recorded = recorded().await;
    let full = recorded.export(&["objects", "--output", "/dev/full"]);
    assert_eq!(full.code, Some(1), "{full:#?}");
    assert!(
        full.stderr.contains("/dev/full could not be written"),
        "{}",
        full.stderr
    );
    assert!(full.stderr.contains("No space left on device"), "{}", full.stderr);

    // A limit on the size of files simulates a disk that fills up in the middle.
    let folder = tempfile::tempdir().unwrap();
    let to = format!("{}/", folder.path().join("out").display());
    let program = program(&recorded.simulator, &recorded.database, &[]);
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$@\"", "sh"])
        .arg(program.get_program())
        .args(["export", "objects", "--format", "csv", "--output", &to])
        .env_clear()
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let limited: Ended = limited.output().unwrap().into();
    assert_eq!(limited.code, Some(1), "{limited:#?}");
    assert!(limited.stderr.contains("could not be written"), "{}", limited.stderr);
    assert_eq!(files(&folder.path().join("out")), Vec::<String>::new());
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_to_is_told() {
    let recorded = recorded().await;
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing/ids.csv");
    let ended = recorded.export(&["objects", "--output", missing.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("No such file or directory"), "{}", ended.stderr);
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    if File::create(folder.path().join("probe")).is_ok() {
        return; // root can write everywhere
    }
    let ended = recorded.export(&["objects", "--output", folder.path().to_str().unwrap()]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("Permission denied"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_signal_ends_an_export_and_nothing_is_left() {
    let recorded = recorded().await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // This lock blocks rows but not snapshots: the export has begun and waits.
    let mut owner = PgConnection::connect_with(&recorded.database.options).await.unwrap();
    let mut holding = owner.begin().await.unwrap();
    sqlx::query("lock table inventory.closed_interval in access exclusive mode")
        .execute(&mut *holding)
        .await
        .unwrap();
    let args = ["export", "objects", "--output", &format!("{}/", out.display())];
    let mut export = program(&recorded.simulator, &recorded.database, &args).spawn().unwrap();
    while !out.exists() || files(&out).is_empty() {
        assert_eq!(export.try_wait().unwrap(), None, "it did not wait");
        tokio::task::yield_now().await;
    }
    let process = Pid::from_raw(export.id() as i32).unwrap();
    kill_process(process, Signal::TERM).unwrap();
    let ended: Ended = export.wait_with_output().unwrap().into();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0);
}

/// Relative names of all files below a folder.
pub fn files(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                names.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    names.sort();
    names
}
