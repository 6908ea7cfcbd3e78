//! The checkout's scripts, with stand-ins for the tools that they run.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::support::private::Data;
use crate::support::program::{ACCOUNT, Ended, run, simulator};

/// A folder of programs that precedes the machine's own in PATH.
struct Tools(TempDir);

impl Tools {
    fn new(tools: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, body) in tools {
            let path = folder.path().join(name);
            fs::write(&path, format!("#!/bin/bash\n{body}\n")).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        Self(folder)
    }

    fn path(&self) -> String {
        format!("{}:{}", self.0.path().display(), std::env::var("PATH").unwrap())
    }

    /// One of the checkout's scripts.
    fn script(&self, name: &str) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name));
        command
            .env_clear()
            .env("PATH", self.path())
            .env("CARGO_LOG", self.0.path().join("cargo.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// One line for each call of cargo.
    fn cargo_calls(&self) -> String {
        fs::read_to_string(self.0.path().join("cargo.log")).unwrap()
    }
}

/// The version in Cargo.toml.
fn checks_rust() -> &'static str {
    let (_, after) = include_str!("../../Cargo.toml")
        .split_once("\nchecks-rust = \"")
        .unwrap();
    after.split_once('"').unwrap().0
}

/// Runs `scripts/test` with this version of Rust. `fault` is a line of the stand-in for cargo.
fn tested(version: &str, fault: &str) -> (Ended, String) {
    let rustc = format!("echo 'rustc {version} (0123456789 2026-01-01)'");
    let cargo = format!("echo \"$* $RUSTDOCFLAGS\" >>\"$CARGO_LOG\"\n{fault}\nexit 0");
    let tools = Tools::new(&[("cc", ""), ("rustc", &rustc), ("cargo", &cargo)]);
    (run(tools.script("test")), tools.cargo_calls())
}

#[test]
fn formatting_lints_and_documentation_fail_with_the_version_that_is_named_only() {
    let faults = [
        r#"[[ $* = "fmt --all --check" ]] && exit 1"#,
        r#"[[ $1 = clippy && $* = *"-D warnings" ]] && exit 101"#,
        r#"[[ $1 = doc && $RUSTDOCFLAGS = "-D warnings" ]] && exit 101"#,
        // A lint that is an error by itself.
        "[[ $1 = clippy && $# -gt 2 ]] && exit 101",
    ];
    for fault in faults {
        let (ended, calls) = tested(checks_rust(), fault);
        assert_eq!(ended.code, Some(1), "{fault}: {ended:#?}");
        assert!(calls.contains("\ntest --workspace"), "{fault}: {calls}");
        for other in ["1.99.1", "1.94.0", "1.97.0-nightly"] {
            let (ended, calls) = tested(other, fault);
            assert_eq!(ended.code, Some(0), "{fault}: {ended:#?}");
            assert!(calls.contains("\ntest --workspace"), "{fault}: {calls}");
            let said = format!("are held to Rust {}, and this is {other}:", checks_rust());
            assert!(ended.stderr.contains(&said), "{ended:#?}");
        }
    }
}

#[test]
fn tests_that_fail_are_an_error_with_any_version() {
    for version in [checks_rust(), "1.99.1"] {
        let (ended, _) = tested(version, "[[ $1 = test ]] && exit 101");
        assert_eq!(ended.code, Some(101), "{ended:#?}");
        let (ended, _) = tested(version, "");
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
}

/// `scripts/demo` with a stand-in for its simulator, and with its record in `data`.
fn demo(simulator: &str, data: &mut Data) -> (Tools, Command) {
    // With root's id, the script would use and empty a folder outside the test.
    let tools = Tools::new(&[("cc", ""), ("cargo", ""), ("id", "echo 1000"), ("curl", "")]);
    let built = tools.0.path().join("release");
    fs::create_dir(&built).unwrap();
    symlink(env!("CARGO_BIN_EXE_durable-inventory"), built.join("durable-inventory")).unwrap();
    fs::write(
        built.join("cloudflare-simulator"),
        format!("#!/bin/bash\n{simulator}\n"),
    )
    .unwrap();
    fs::set_permissions(built.join("cloudflare-simulator"), Permissions::from_mode(0o755)).unwrap();
    data.dir = data.parent.path().join("durable-inventory-demo");
    let mut command = tools.script("demo");
    command
        .env("CARGO_TARGET_DIR", tools.0.path())
        .env("XDG_DATA_HOME", data.parent.path())
        .process_group(0);
    (tools, command)
}

#[tokio::test]
async fn a_demo_that_is_stopped_leaves_nothing_running() {
    let group = kill_process_group as fn(Pid, Signal) -> Result<(), Errno>;
    let ways = [
        (
            "kill",
            kill_process as fn(Pid, Signal) -> Result<(), Errno>,
            Signal::TERM,
            143,
        ),
        ("timeout", group, Signal::TERM, 143),
        ("a closed terminal", group, Signal::HUP, 129),
        ("Ctrl-C", group, Signal::INT, 130),
    ];
    for (way, kill, signal, code) in ways {
        let (simulator, mut data) = (simulator().await, Data::new());
        simulator.add_account(ACCOUNT, "demo-token");
        let namespace = simulator.add_namespace(ACCOUNT, "room");
        simulator.seed(&namespace, 100, 1);
        let hold = simulator.hold_at(&namespace, 1);
        let said = format!("listening on {}\naccount {ACCOUNT}", simulator.base_url());
        let (_tools, mut command) = demo(&format!("echo '{said}'; exec sleep 600"), &mut data);
        let child = command.spawn().unwrap();
        hold.wait_until_held().await;
        assert!(data.is_running());
        kill(Pid::from_child(&child), signal).unwrap();
        let ended = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
        let ended: Ended = ended.await.unwrap().into();
        assert_eq!(ended.code, Some(code), "{way}: {ended:#?}");
        assert!(!data.is_running(), "{way}: {ended:#?}");
        assert!(ended.stdout.contains("interrupted"), "{way}: {ended:#?}");
    }
}

/// The checkout and its build folder may belong to another user.
#[test]
fn a_demo_whose_simulator_does_not_start_says_why_and_writes_nothing_to_the_build() {
    let mut data = Data::new();
    let (tools, command) = demo("echo 'no port is free' >&2; exit 1", &mut data);
    let ended = run(command);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("did not start:\nno port is free"), "{ended:#?}");
    assert_eq!(fs::read_dir(tools.0.path().join("release")).unwrap().count(), 2);
}
