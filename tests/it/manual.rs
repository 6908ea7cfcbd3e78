//! The program's description of itself: version, completions and manual pages. None of them needs a configuration.

use std::process::Command;

use crate::support::program::{Ended, bare, run};

fn said(args: &[&str]) -> String {
    let mut command = bare(args);
    command.env("DURABLE_INVENTORY_CONFIG", "/no/such/file");
    let ended = run(command);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "{args:?}: {ended:#?}"
    );
    ended.stdout
}

#[test]
fn the_version_names_the_commit() {
    let version = said(&["--version"]);
    let begin = concat!("durable-inventory ", env!("CARGO_PKG_VERSION"));
    let head = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let in_checkout = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.git")).exists();
    match head {
        Ok(head) if in_checkout && head.status.success() => {
            let head = String::from_utf8(head.stdout).unwrap();
            assert_eq!(version, format!("{begin} ({})\n", &head[..12]));
        }
        _ => assert!(version.starts_with(begin), "{version}"),
    }
}

#[test]
fn completions_are_what_the_shell_reads() {
    for (shell, checked_by) in [
        ("bash", Some("bash")),
        ("zsh", None),
        ("fish", None),
        ("elvish", None),
        ("powershell", None),
    ] {
        let script = said(&["completions", shell]);
        assert!(script.contains("older-than") && script.contains("retire"), "{shell}");
        if let Some(program) = checked_by {
            let read: Ended = Command::new(program)
                .args(["-n", "-c", &script])
                .output()
                .unwrap()
                .into();
            assert_eq!((read.code, read.stderr.as_str()), (Some(0), ""), "{shell}");
        }
    }
    assert_eq!(run(bare(&["completions", "csh"])).code, Some(2));
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let page = said(&["man"]);
    assert!(page.contains(".TH durable-inventory 1"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(said(&["man", folder.path().to_str().unwrap()]), "");
    for command in ["", "-sync", "-prune", "-snapshots-accept", "-export-objects", "-man"] {
        let page = std::fs::read_to_string(folder.path().join(format!("durable-inventory{command}.1"))).unwrap();
        assert!(page.contains("Examples:"), "{command}: {page}");
    }
    let diff = std::fs::read_to_string(folder.path().join("durable-inventory-diff.1")).unwrap();
    let (_, symbols) = diff
        .split_once("(whose source is TO):\n.nf\n")
        .expect("the table is not filled");
    assert_eq!(
        symbols.split(".fi").next().unwrap().trim_end().lines().count(),
        5,
        "{diff}"
    );
    let ended = run(bare(&["man", "/no/such/folder"]));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(
        ended.stderr.contains("/no/such/folder: could not write the manual"),
        "{ended:#?}"
    );
}
