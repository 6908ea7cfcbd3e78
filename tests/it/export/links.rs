//! Links in a dataset's folder may have been placed by other people. No command on a dataset follows them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::broken::files;
use super::*;

/// A dataset's folder, and another folder that must stay untouched.
struct Folders {
    _parent: tempfile::TempDir,
    dataset: PathBuf,
    outside: PathBuf,
}

impl Folders {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let (dataset, outside) = (parent.path().join("out"), parent.path().join("etc"));
        fs::create_dir(&dataset).unwrap();
        fs::create_dir(&outside).unwrap();
        for name in ["crontab", "passwd"] {
            fs::write(outside.join(name), name).unwrap();
        }
        Self {
            _parent: parent,
            dataset,
            outside,
        }
    }

    fn place(&self) -> &str {
        self.dataset.to_str().unwrap()
    }

    fn untouched(&self) {
        assert_eq!(files(&self.outside), ["crontab", "passwd"]);
        for name in ["crontab", "passwd"] {
            assert_eq!(fs::read_to_string(self.outside.join(name)).unwrap(), name);
        }
    }
}

fn refused(ended: &Ended, link: &str) {
    assert!(matches!(ended.code, Some(1..=3)), "{ended:#?}");
    let all = ended.stdout.clone() + &ended.stderr;
    for told in [link, "is a symbolic link"] {
        assert!(all.contains(told), "{told}: {ended:#?}");
    }
}

#[tokio::test]
async fn nothing_is_written_through_a_link() {
    let recorded = recorded().await;
    let snapshot = format!(
        "account_id={ACCOUNT}/namespace_id={}/snapshot={}",
        recorded.namespace, recorded.second.snapshot
    );
    let part = format!("{snapshot}/part-0000.csv");
    // Each folder on the way to a part, the part itself, and the manifest.
    let steps: Vec<_> = part.match_indices('/').map(|(at, _)| &part[..at]).collect();
    for link in steps.into_iter().chain([part.as_str(), "manifest.json"]) {
        for target in ["crontab", "passwd", "missing", ""] {
            let folders = Folders::new();
            let place = folders.dataset.join(link);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            symlink(folders.outside.join(target), &place).unwrap();
            let ended = recorded.export(&["objects", "--format", "csv", "--output", folders.place()]);
            refused(&ended, link);
            folders.untouched();
        }
    }
    let folders = Folders::new();
    let account = format!("account_id={ACCOUNT}");
    symlink(&folders.outside, folders.dataset.join(&account)).unwrap();
    let to = ["--export", folders.place()];
    let walked = run(sync(&recorded.simulator, &recorded.database, &to));
    assert_eq!(walked.code, Some(3), "the run is recorded: {walked:#?}");
    refused(&walked, &account);
    folders.untouched();
}

#[tokio::test]
async fn nothing_is_removed_through_a_link() {
    let recorded = recorded().await;
    let folders = Folders::new();
    symlink(&folders.outside, folders.dataset.join("account_id=x")).unwrap();
    let forged = r#"{"format_version":1,"created_by":"x","created_at":"x","table":"objects","format":"csv","complete":true,
        "columns":[],"namespaces":[],"files":[{"path":"account_id=x/passwd","rows":0,"bytes":0,"sha256":""}]}"#;
    fs::write(folders.dataset.join("manifest.json"), forged).unwrap();
    let ended = recorded.export(&["objects", "--format", "csv", "--output", folders.place()]);
    refused(&ended, "account_id=x");
    folders.untouched();
}

/// Rows that someone else can exchange don't belong to the dataset, even while they are identical.
#[tokio::test]
async fn nothing_is_read_through_a_link() {
    let recorded = recorded().await;
    let whole = tempfile::tempdir().unwrap();
    let exported = |folders: &Folders| {
        recorded.exported(&["objects", "--format", "csv", "--output", folders.place()]);
        let mut names = files(&folders.dataset);
        names.retain(|name| name.ends_with(".csv"));
        names.remove(0)
    };
    recorded.exported(&[
        "objects",
        "--as-of",
        "latest~1",
        "--output",
        whole.path().to_str().unwrap(),
    ]);
    let part = exported(&Folders::new());
    let steps: Vec<_> = part.match_indices('/').map(|(at, _)| &part[..at]).collect();
    for link in steps.into_iter().chain([part.as_str(), "manifest.json"]) {
        let folders = Folders::new();
        exported(&folders);
        let (place, moved) = (folders.dataset.join(link), folders.dataset.with_file_name("moved"));
        fs::rename(&place, &moved).unwrap();
        symlink(&moved, &place).unwrap();
        let name = link.rsplit('/').next().unwrap();
        refused(&recorded.export(&["verify", folders.place()]), name);
        let sides = ["diff", folders.place(), whole.path().to_str().unwrap()];
        refused(&run(program(&recorded.simulator, &recorded.database, &sides)), name);
    }
    // A link that the manifest does not name, but that an engine would read.
    let folders = Folders::new();
    exported(&folders);
    symlink(&folders.outside, folders.dataset.join("account_id=x")).unwrap();
    refused(&recorded.export(&["verify", folders.place()]), "account_id=x");
}

/// The user who names the folder vouches for it.
#[tokio::test]
async fn the_folder_itself_may_be_a_link() {
    let recorded = recorded().await;
    let folders = Folders::new();
    let link = folders.dataset.with_file_name("link");
    symlink(&folders.dataset, &link).unwrap();
    let link = link.to_str().unwrap();
    for moment in ["latest", "latest~1"] {
        recorded.exported(&["objects", "--as-of", moment, "--output", link]);
        recorded.exported(&["verify", link]);
        assert_eq!(files(&folders.dataset).len(), 2);
    }
    let same = run(program(
        &recorded.simulator,
        &recorded.database,
        &["diff", link, "latest~1", "--exit-code"],
    ));
    assert_eq!(same.code, Some(0), "{same:#?}");
}

/// The program does not wait for a special file.
#[tokio::test]
async fn a_pipe_in_the_place_of_a_part_is_an_error() {
    let recorded = recorded().await;
    let folders = Folders::new();
    recorded.exported(&["objects", "--output", folders.place()]);
    let names = files(&folders.dataset);
    for name in names {
        let (place, moved) = (folders.dataset.join(&name), folders.dataset.with_file_name("moved"));
        fs::rename(&place, &moved).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &place,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        for args in [
            &["export", "verify", folders.place()][..],
            &["diff", folders.place(), "latest~1"],
        ] {
            let ended = run(program(&recorded.simulator, &recorded.database, args));
            assert!(matches!(ended.code, Some(1 | 2)), "{name}: {ended:#?}");
            let all = ended.stdout + &ended.stderr;
            assert!(all.contains("is not a plain file"), "{name}: {all}");
        }
        fs::remove_file(&place).unwrap();
        fs::rename(&moved, &place).unwrap();
    }
}
