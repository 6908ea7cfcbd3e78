//! The exact output of each command, in success and failure. After an intended change, update the files with
//! `INSTA_UPDATE=always cargo test --test it output::` and review the difference.
//!
//! All output goes through a pipe, so it has no colours and no progress bar. A few tests simulate a terminal.

use std::process::{Command, Stdio};

use cloudflare_simulator::{Fault, Simulator, When, hex};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, Ended, bare, program, run, simulator};

struct Bench {
    simulator: Simulator,
    database: TestDatabase,
    namespace: String,
    folder: tempfile::TempDir,
}

/// Two namespaces, one of which changed between two runs.
async fn bench() -> Bench {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "chat_Room");
    let empty = simulator.add_namespace(ACCOUNT, "chat_Archive");
    simulator.seed(&namespace, 250, 1);
    simulator.seed(&empty, 0, 1);
    Bench {
        simulator,
        database,
        namespace,
        folder: tempfile::tempdir().unwrap(),
    }
}

impl Bench {
    fn change(&self) {
        let ids: Vec<_> = self.simulator.truth(&self.namespace).into_keys().collect();
        self.simulator.remove_object(&self.namespace, &ids[0]);
        self.simulator.put_object(&self.namespace, [7; 32], Some(true));
    }

    fn command(&self, args: &[&str]) -> Command {
        program(&self.simulator, &self.database, args)
    }

    /// The output as a user sees it, with everything that varies between runs replaced.
    fn says(&self, args: &[&str]) -> String {
        self.told(args, self.command(args))
    }

    fn told(&self, args: &[&str], command: Command) -> String {
        let ended = run(command);
        for text in [&ended.stdout, &ended.stderr] {
            assert!(!text.contains('\u{1b}'), "no colours and no progress in a pipe: {text}");
        }
        let code = ended.code.unwrap();
        let text = format!(
            "$ durable-inventory {}\n{}[stderr]\n{}[exit code {code}]\n",
            args.join(" "),
            ended.stdout,
            ended.stderr
        );
        text.replace(self.folder.path().to_str().unwrap(), "[folder]")
            .replace(&self.database.options.get_database().unwrap().to_owned(), "[database]")
    }
}

/// Compares the joined outputs with one snapshot file.
macro_rules! assert_said {
    ($($said:expr),+ $(,)?) => {
        insta::with_settings!({
            prepend_module_to_snapshot => false,
            omit_expression => true,
            filters => [
                // The replacement has the same width, so that columns stay aligned.
                (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "YYYY-MM-DD hh:mm:ssZ"),
                (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
                (r"\d+\.\d s\b", "0.0 s"),
                (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:[port]"),
                (r"\b0\.1\.0( \([0-9a-f]{12}\))?", "[version]"),
            ],
        }, { insta::assert_snapshot!([$($said),+].join("\n")) });
    };
}

#[tokio::test]
async fn what_sync_says() {
    let bench = bench().await;
    let full = ["sync", "--concurrency", "1", "--limit", "100"];
    let sync = |more: &[&str]| bench.says(&[&full, more].concat());
    let first = sync(&["--log-format", "text"]);
    bench.change();
    let second = sync(&["--quiet"]);
    let typo = sync(&["--namespace", "chat_Rom"]);
    let usage = bench.says(&["sync", "--limit", "9"]);
    bench
        .simulator
        .fault(&bench.namespace, When::Always, Fault::cursors_differ());
    let failed = sync(&["--quiet"]);
    assert_said!(first, second, typo, usage, failed);
}

#[tokio::test]
async fn what_sync_says_of_a_mass_removal() {
    let bench = bench().await;
    let sync = |more: &[&str]| bench.says(&[&["sync", "--concurrency", "1", "--quiet"], more].concat());
    let _first = sync(&[]);
    bench.simulator.seed(&bench.namespace, 100, 1);
    let held = sync(&[]);
    let list = bench.says(&["snapshots", "--status", "held"]);
    let accepted = bench.says(&["snapshots", "accept", "4"]);
    let again = bench.says(&["snapshots", "accept", "4"]);
    let none = bench.says(&["snapshots", "discard", "99"]);
    assert_said!(held, list, accepted, again, none);
}

#[tokio::test]
async fn what_the_lists_say() {
    let bench = bench().await;
    let lists = [&["namespaces"][..], &["snapshots"], &["export", "objects"]];
    let nothing = lists.map(|args| bench.says(args)).join("\n");
    let _first = bench.says(&["sync", "--concurrency", "1"]);
    bench.change();
    let _second = bench.says(&["sync", "--concurrency", "1"]);
    let object = hex(&[7; 32]);
    assert_said!(
        nothing,
        bench.says(&["namespaces"]),
        bench.says(&["namespaces", "--namespace", "game_*"]),
        bench.says(&["snapshots"]),
        bench.says(&["snapshots", "--limit", "1"]),
        bench.says(&["history", &object]),
        bench.says(&["history", &object, "--namespace", "chat_Archive"]),
        bench.says(&["history", &object, "--namespace", "game_*"]),
        bench.says(&["history", &hex(&[8; 32])]),
        bench.says(&["history", "07"]),
        bench.says(&["namespaces", "retire", &bench.namespace]),
        bench.says(&["psql", "-Atc", "select count(*) from inventory.objects"]),
        bench.says(&["migrate"]),
    );
}

#[tokio::test]
async fn what_export_and_prune_say() {
    let bench = bench().await;
    let _first = bench.says(&["sync", "--concurrency", "1"]);
    bench.change();
    let _second = bench.says(&["sync", "--concurrency", "1"]);
    let file = bench.folder.path().join("objects.csv");
    let file = file.to_str().unwrap();
    let tree = format!("{}/dataset/", bench.folder.path().display());
    assert_said!(
        bench.says(&["export", "objects", "--has-data", "true", "--output", file]),
        bench.says(&["export", "changes", "--columns", "change,object_id"]),
        bench.says(&["export", "objects", "--output", &tree]),
        bench.says(&["export", "verify", &tree]),
        bench.says(&["export", "verify", "/no/such/place"]),
        bench.says(&["export", "objects", "--as-of", "yesterday"]),
        bench.says(&["export", "objects", "--as-of", "2020-01-01"]),
        bench.says(&["prune", "--older-than", "1ms", "--dry-run"]),
        bench.says(&["prune", "--older-than", "1ms"]),
        bench.says(&["prune", "--older-than", "1ms"]),
        bench.says(&["prune", "--older-than", "1ms", "--namespace", "game_*"]),
        bench.says(&["prune", "--older-than", "soon"]),
        bench.says(&["export", "objects", "--as-of", "latest~1"]),
        bench.says(&["export", "changes"]),
    );
}

#[tokio::test]
async fn what_check_says() {
    let bench = bench().await;
    let fresh = bench.says(&["check"]);
    let _first = bench.says(&["sync", "--concurrency", "1"]);
    let mut refused = bench.command(&["check"]);
    refused.env("CLOUDFLARE_API_TOKEN", "another");
    let mut nowhere = bench.command(&["check"]);
    nowhere.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere?sslmode=disable");
    assert_said!(
        fresh,
        bench.says(&["check", "--deep"]),
        bench.told(&["check"], refused),
        bench.told(&["check"], nowhere),
        bench.told(
            &["check"],
            bare(&["check", "--data-dir", bench.folder.path().to_str().unwrap()])
        ),
        bench.says(&["--version"]),
        bench.says(&["completions", "csh"]),
        bench.says(&["man", "/no/such/folder"]),
        bench.says(&["snyc"]),
    );
}

/// util-linux' `script` provides a terminal. Log lines on it have colours unless NO_COLOR is set.
#[tokio::test]
async fn no_color_is_kept_to_on_a_terminal() {
    let bench = bench().await;
    let _first = bench.says(&["sync", "--concurrency", "1"]);
    let on_a_terminal = |no_color: Option<&str>| {
        let line = concat!(env!("CARGO_BIN_EXE_durable-inventory"), " snapshots --limit 1");
        let mut command = bench.command(&[]);
        let environment: Vec<_> = command
            .get_envs()
            .map(|(k, v)| (k.to_owned(), v.unwrap().to_owned()))
            .collect();
        command = Command::new("script");
        command.args(["--quiet", "--return", "--command", line, "/dev/null"]);
        command
            .env_clear()
            .envs(environment)
            .env("TERM", "xterm")
            .envs(no_color.map(|value| ("NO_COLOR", value)));
        command.stdin(Stdio::null());
        let ended: Ended = command.output().unwrap().into();
        assert!(ended.stdout.contains("the newest 1 of 2 snapshots"), "{ended:#?}");
        ended.stdout
    };
    assert!(on_a_terminal(None).contains("\u{1b}["));
    assert!(on_a_terminal(Some("")).contains("\u{1b}["), "empty counts as not set");
    assert!(!on_a_terminal(Some("1")).contains('\u{1b}'));
}
