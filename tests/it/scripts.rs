//! The checkout's scripts, with stand-ins for the tools that they run.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cloudflare_simulator::{DEMO_ACCOUNT, DEMO_TOKEN, Hold, Simulator, State};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::support::private::Data;
use crate::support::program::{ACCOUNT, Ended, bare, run, simulator};

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
        self.tool(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name))
    }

    fn tool(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
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

/// `scripts/prerequisites` on a machine that has only these programs, and what the script itself needs.
fn prerequisites(tools: &[(&str, &str)], wanted: &str) -> Ended {
    let tools = Tools::new(tools);
    for name in ["bash", "sh", "cut", "dirname", "head", "sed", "sort"] {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|folder| folder.join(name))
            .find(|path| path.exists());
        symlink(found.unwrap(), tools.0.path().join(name)).unwrap();
    }
    let mut command = tools.script("prerequisites");
    command
        .arg(wanted)
        .env("PATH", tools.0.path())
        .env("HOME", tools.0.path());
    run(command)
}

#[test]
fn what_is_missing_is_said_with_what_was_found() {
    let old = [
        ("id", "echo 1000"),
        ("apt-get", ""),
        ("cargo", ""),
        ("rustc", "echo 'rustc 1.85.1 (4eb161250 2025-03-15)'"),
    ];
    let ended = prerequisites(&old, "rust");
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/prerequisites");
    let expected = format!(
        "Please install first:\n  \
         Rust 1.94 or newer (found 1.85.1): https://rustup.rs\n  \
         packages (names as on Debian and Ubuntu): gcc libc6-dev\n    \
         to install just these: sudo {} compiler\n",
        script.display()
    );
    assert_eq!(ended.stderr, expected);
    let elsewhere = prerequisites(&[("id", "echo 1000")], "compiler");
    assert!(!elsewhere.stderr.contains("sudo"), "{elsewhere:#?}");
}

#[test]
fn a_failed_download_of_rust_names_the_way_without_one() {
    let offline = [
        ("id", "echo 0"),
        ("apt-get", ""),
        ("cc", ""),
        ("curl", "echo 'curl: (7) no route' >&2; exit 7"),
    ];
    let ended = prerequisites(&offline, "rust");
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(
        ended.stderr.contains("curl: (7) no route\nRust could not be installed"),
        "{ended:#?}"
    );
    assert!(ended.stderr.contains("Any Rust from 1.94 on will do"), "{ended:#?}");
}

/// `scripts/demo` with a stand-in for its simulator, and with its record in `data`.
fn demo(simulator: &str, data: &mut Data) -> (Tools, Command) {
    // With root's id, the script would use and empty a folder outside the test.
    let tools = Tools::new(&[("cc", ""), ("cargo", ""), ("id", "echo 1000")]);
    let built = tools.0.path().join("debug");
    fs::create_dir(&built).unwrap();
    symlink(env!("CARGO_BIN_EXE_durable-inventory"), built.join("durable-inventory")).unwrap();
    fs::write(
        built.join("cloudflare-simulator"),
        format!("#!/bin/bash\n{simulator}\n"),
    )
    .unwrap();
    fs::set_permissions(built.join("cloudflare-simulator"), Permissions::from_mode(0o755)).unwrap();
    // The commands that the demo suggests must be quoted.
    let home = data.parent.path().join("a home");
    data.dir = home.join("durable-inventory-demo");
    let mut command = tools.script("demo");
    command
        .env("CARGO_TARGET_DIR", tools.0.path())
        .env("XDG_DATA_HOME", home)
        .process_group(0);
    (tools, command)
}

/// A stand-in that speaks for a simulator of this test.
fn stand_in(simulator: &Simulator, account: &str) -> String {
    format!(
        "echo 'listening on {}\naccount {account}'; exec cat",
        simulator.base_url()
    )
}

/// A simulator whose only namespace lets no walk end.
async fn endless() -> (Simulator, Hold) {
    let simulator = simulator().await;
    simulator.add_account(ACCOUNT, DEMO_TOKEN);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 100, 1);
    let hold = simulator.hold_at(&namespace, 1);
    (simulator, hold)
}

/// Waits for the end of all programs that have this text among their arguments.
fn wait_until_none_has(argument: &Path) {
    let argument = argument.to_str().unwrap();
    let has_it = |process: &fs::DirEntry| {
        let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
        arguments
            .split(|byte| *byte == 0)
            .any(|word| word == argument.as_bytes())
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::read_dir("/proc").unwrap().flatten().any(|process| has_it(&process)) {
        assert!(Instant::now() < deadline, "a program with {argument} is still running");
        sleep(Duration::from_millis(50));
    }
}

/// The record of the demo is one that the program could have made in these weeks, and the commands that the demo
/// suggests can be typed.
#[tokio::test(flavor = "multi_thread")]
async fn the_demo_has_a_month_of_history_that_the_next_run_continues() {
    let (simulator, mut data) = (Simulator::serve(State::demo_month(), 0).await.unwrap(), Data::new());
    let (tools, command) = demo(&stand_in(&simulator, DEMO_ACCOUNT), &mut data);
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(!data.is_running());
    let retire = format!(
        "`durable-inventory --data-dir '{}' namespaces retire ",
        data.dir.display()
    );
    assert!(ended.stdout.contains(&retire), "{ended:#?}");

    let program = |args: &[&str]| {
        let mut command = bare(&[&["--quiet", "--data-dir", data.dir.to_str().unwrap()], args].concat());
        command
            .env("CLOUDFLARE_API_BASE_URL", simulator.base_url())
            .env("CLOUDFLARE_ACCOUNT_ID", DEMO_ACCOUNT)
            .env("CLOUDFLARE_API_TOKEN", DEMO_TOKEN);
        run(command)
    };
    let asked = |sql: &str| program(&["psql", "-AtXc", sql]).stdout;
    let gaps = "select count(*), min(gap) >= interval '24 hours', max(gap) < interval '26 hours' from \
                (select started_at - lag(started_at) over (order by run_id) as gap from inventory.runs) runs";
    assert_eq!(asked(gaps), "32|t|t\n");
    // What a table holds about one run is of one day.
    let whole = "select bool_and(s.recorded_at between r.started_at and r.finished_at) from inventory.snapshots s \
                 join inventory.runs r using (run_id) where s.status = 'complete'";
    assert_eq!(asked(whole), "t\n");
    let checked = program(&["check", "--deep"]);
    assert_eq!(checked.code, Some(0), "{checked:#?}");
    // Nothing has changed since.
    let synced = program(&["sync", "--quota", "10000/1s", "--output", "json"]);
    assert_eq!(synced.code, Some(0), "{synced:#?}");
    for change in ["created", "removed", "data_gained", "data_lost"] {
        assert!(synced.stdout.contains(&format!("\"{change}\":0")), "{synced:#?}");
        assert!(!synced.stdout.contains(&format!("\"{change}\":1")), "{synced:#?}");
    }

    let (_, suggested) = ended.stdout.split_once("What to type next").unwrap();
    let suggested: Vec<_> = suggested.lines().filter(|line| line.contains("--data-dir")).collect();
    assert_eq!(suggested.len(), 6, "{ended:#?}");
    for line in suggested {
        let mut shell = tools.tool("bash");
        shell.args(["-c", line]).current_dir(tools.0.path());
        let typed = run(shell);
        assert_eq!(typed.code, Some(0), "{line}: {typed:#?}");
        // The demo's last preview is younger than two weeks.
        let warnings = typed.stderr.lines().filter(|line| line.contains("WARN"));
        assert_eq!(
            warnings
                .filter(|line| !line.contains("shop_Cart_pr-4") && line.contains("14d ago"))
                .count(),
            0,
            "{line}: {typed:#?}"
        );
    }
    let page = fs::read_to_string(tools.0.path().join("report.html")).unwrap();
    assert!(page.contains("notes_Document"));
}

#[tokio::test]
async fn a_second_demo_leaves_the_first_one_alone() {
    let ((simulator, hold), mut data) = (endless().await, Data::new());
    let (_tools, mut command) = demo(&stand_in(&simulator, ACCOUNT), &mut data);
    let first = command.spawn().unwrap();
    hold.wait_until_held().await;
    let (_tools, second) = demo("exit 1", &mut data);
    let refused = run(second);
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("Another demo is running"), "{refused:#?}");
    assert!(data.is_running());
    kill_process(Pid::from_child(&first), Signal::TERM).unwrap();
    let ended: Ended = first.wait_with_output().unwrap().into();
    assert_eq!(ended.code, Some(143), "{ended:#?}");
}

/// Only the run is left, which its simulator will never answer; the next demo ends it.
#[tokio::test]
async fn a_killed_demo_is_tidied_up_by_the_next_one() {
    let ((simulator, hold), mut data) = (endless().await, Data::new());
    let (tools, mut command) = demo(&stand_in(&simulator, ACCOUNT), &mut data);
    let mut killed = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    hold.wait_until_held().await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    wait_until_none_has(&tools.0.path().join("debug/cloudflare-simulator"));
    assert!(data.is_running());
    let (_tools, command) = demo("echo 'no port is free' >&2; exit 1", &mut data);
    let next = run(command);
    assert!(next.stderr.contains("no port is free"), "{next:#?}");
    wait_until_none_has(&data.dir);
    assert!(!data.dir.exists());
}

#[test]
fn a_demo_says_where_it_may_not_write() {
    let mut data = Data::new();
    let (_tools, mut command) = demo("exit 1", &mut data);
    // A file is in the way, because root may write to every folder.
    let home = data.parent.path().join("a file");
    fs::write(&home, "").unwrap();
    command.env("XDG_DATA_HOME", home);
    let ended = run(command);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.starts_with("The demo needs the folder "), "{ended:#?}");
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
        let ((simulator, hold), mut data) = (endless().await, Data::new());
        let (_tools, mut command) = demo(&stand_in(&simulator, ACCOUNT), &mut data);
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
    assert_eq!(fs::read_dir(tools.0.path().join("debug")).unwrap().count(), 2);
}
