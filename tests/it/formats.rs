//! The same options and names in every command: `--format` and `--json`, aliases, names of files, and the exit code of
//! a selection that selects nothing.

use std::process::Command;

use cloudflare_simulator::Simulator;

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, Ended, program, run, simulator, sync};

struct Recorded {
    simulator: Simulator,
    database: TestDatabase,
    folder: tempfile::TempDir,
}

async fn recorded() -> Recorded {
    let (simulator, database) = (simulator().await, fresh_database().await);
    for name in ["chat_Room", "shop_Cart"] {
        let namespace = simulator.add_namespace(ACCOUNT, name);
        simulator.seed(&namespace, 5, 1);
    }
    assert_eq!(run(sync(&simulator, &database, &[])).code, Some(0));
    Recorded {
        simulator,
        database,
        folder: tempfile::tempdir().unwrap(),
    }
}

impl Recorded {
    /// The program, run in the test's folder.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = program(&self.simulator, &self.database, args);
        command.current_dir(self.folder.path());
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        run(self.command(args))
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.folder.path()).unwrap().count()
    }
}

#[tokio::test]
async fn json_is_chosen_by_three_names() {
    let recorded = recorded().await;
    let ids = recorded.run(&["export", "objects", "--ids-only"]).stdout;
    let object = ids.lines().next().unwrap().to_owned();
    for args in [
        &["namespaces"][..],
        &["snapshots"],
        &["history", &object],
        &["prune", "--older-than", "1d", "--dry-run"],
    ] {
        let by_format = recorded.run(&[args, &["--format", "json"]].concat());
        assert!(
            by_format.code == Some(0) && by_format.stdout.starts_with('{'),
            "{by_format:#?}"
        );
        for same in [&["--output", "json"][..], &["--json"], &["--output=json"]] {
            assert_eq!(
                recorded.run(&[args, same].concat()).stdout,
                by_format.stdout,
                "{args:?} {same:?}"
            );
        }
    }
    for args in [&["report"][..], &["sync", "--quiet"]] {
        for same in [&["--format", "json"][..], &["--output", "json"], &["--json"]] {
            assert_eq!(
                recorded.run(&[args, same].concat()).json()["version"],
                1,
                "{args:?} {same:?}"
            );
        }
    }
    let lines = |args: &[&str]| recorded.run(&[&["export", "objects"], args].concat()).stdout;
    assert!(lines(&["--json"]).starts_with('{'));
    assert_eq!(lines(&["--json"]), lines(&["--format", "jsonl"]));
    let both = ["diff", "latest", "latest", "--summary"];
    let by_format = recorded.run(&[&both[..], &["--format", "jsonl"]].concat()).stdout;
    assert!(by_format.starts_with('{'), "{by_format}");
    assert_eq!(recorded.run(&[&both[..], &["--json"]].concat()).stdout, by_format);
}

#[tokio::test]
async fn two_formats_are_a_usage_error() {
    let recorded = recorded().await;
    for args in [
        &["report", "--json", "--format", "text"][..],
        &["report", "--json", "--output", "text"],
        &["report", "--html", "-", "--json"],
        &["namespaces", "--format", "json", "--json"],
        &["export", "objects", "--json", "--format", "csv"],
        &["export", "objects", "--json", "--ids-only"],
        &["diff", "latest", "latest", "--json", "--combined"],
        &["namespaces", "--format", "csv"],
    ] {
        let ended = recorded.run(args);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{args:?}: {ended:#?}"
        );
    }
}

#[tokio::test]
async fn names_that_people_type_first_are_commands() {
    let recorded = recorded().await;
    let namespaces = recorded.run(&["namespaces"]).stdout;
    assert!(namespaces.contains("chat_Room"), "{namespaces}");
    for name in ["ls", "list"] {
        assert_eq!(recorded.run(&[name]).stdout, namespaces);
    }
    let ended = recorded.run(&["status"]);
    assert!(
        ended.code == Some(0) && ended.stdout.contains("chat_Room"),
        "{ended:#?}"
    );
    let help = recorded.run(&["--help"]).stdout;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        help.contains("[aliases: ls, list]") && help.contains("[alias: status]"),
        "{help}"
    );
    assert!(
        recorded
            .run(&["completions", "bash"])
            .stdout
            .contains("durable__inventory,ls)")
    );
}

#[tokio::test]
async fn the_name_of_an_exports_file_says_its_format() {
    let recorded = recorded().await;
    let export = |args: &[&str]| recorded.run(&[&["export", "objects"], args].concat());
    for (name, said) in [
        ("json", "choose it with --format, or name the file ./json"),
        ("csv", "choose it with --format, or name the file ./csv"),
        ("out.json", "does not write .json files"),
        (
            "out.xlsx",
            "end the name in .csv, .parquet or .jsonl, or choose a format with --format",
        ),
        ("out.csv.gz", "does not write .gz files"),
        ("ids.txt", "add --ids-only"),
        ("s3://bucket/out.csv", "end it with a /"),
        ("s3://bucket/out.xlsx", "end it with a /"),
    ] {
        let ended = export(&["--output", name]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{name}: {ended:#?}");
        assert!(ended.stderr.contains(said), "{name}: {ended:#?}");
    }
    assert_eq!(recorded.files(), 0);
    for (args, begins) in [
        (&["--output", "ids.txt", "--ids-only"][..], ""),
        (&["--output", "ids.csv", "--ids-only"], ""),
        (&["--output", "out.xlsx", "--format", "csv"], "account_id,"),
        (&["--output", "out.parquet", "--format", "csv"], "account_id,"),
        (&["--output", "out.json", "--json"], "{"),
        (&["--output", "./json"], "account_id,"),
        (&["--output", "out"], "account_id,"),
        (&["--output", "out.2026-11-27"], "account_id,"),
        (&["--output", "out.ndjson"], "{"),
    ] {
        let ended = export(args);
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:#?}");
        let written = std::fs::read_to_string(recorded.folder.path().join(args[1])).unwrap();
        assert!(written.starts_with(begins), "{args:?}: {written}");
    }
    // A folder may be called anything.
    let ended = export(&["--output", "out.table/"]);
    assert!(
        ended.code == Some(0) && recorded.folder.path().join("out.table/manifest.json").exists(),
        "{ended:#?}"
    );

    let ended = recorded.run(&["sync", "--export", "all.csv"]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(
        ended.stderr.contains("a dataset is a folder of Parquet files"),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn a_selection_of_nothing_is_2_in_every_command() {
    let recorded = recorded().await;
    let id = "0".repeat(64);
    for args in [
        &["report"][..],
        &["report", "--html", "-"],
        &["namespaces"],
        &["snapshots"],
        &["history", &id],
        &["prune", "--older-than", "1d"],
        &["prune", "--older-than", "1d", "--dry-run"],
        &["export", "objects"],
        &["export", "changes"],
        &["export", "history"],
        &["diff", "latest", "latest"],
        &["sync"],
    ] {
        let ended = recorded.run(&[args, &["--namespace", "chat_Rom"]].concat());
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:#?}");
        assert!(
            ended
                .stderr
                .contains("matches chat_Rom (did you mean chat_Room?); `durable-inventory namespaces`"),
            "{ended:#?}"
        );
        if args[0] == "sync" {
            continue;
        }
        assert_eq!(ended.stdout, "", "{args:?}");
        let ended = recorded.run(&[args, &["--account", "another"]].concat());
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{args:?}: {ended:#?}"
        );
        let told = format!("error: account another is not recorded; the recorded accounts are {ACCOUNT}\n");
        assert_eq!(ended.stderr, told);
    }
}

/// A preview may be gone; a name beside it that matches is no mistake.
#[tokio::test]
async fn one_of_several_patterns_that_matches_nothing_is_a_warning() {
    let recorded = recorded().await;
    let ended = recorded.run(&["namespaces", "--namespace", "chat_*", "--namespace", "game_*"]);
    assert!(
        ended.code == Some(0) && ended.stdout.contains("chat_Room"),
        "{ended:#?}"
    );
    assert!(
        ended.stderr.contains("WARN no recorded namespace matches game_*"),
        "{ended:#?}"
    );
}

/// People grep our CSV for its last column.
#[tokio::test]
async fn each_line_of_csv_ends_in_a_line_feed_alone() {
    let recorded = recorded().await;
    let columns = ["--columns", "object_id,has_stored_data"];
    let whole = recorded.run(&["export", "objects"]).stdout;
    let two = recorded.run(&[&["export", "objects"][..], &columns].concat()).stdout;
    let with_data = recorded
        .run(&["export", "objects", "--ids-only", "--has-data", "true"])
        .stdout;
    let gone = recorded.folder.path().join("gone.csv");
    std::fs::write(&gone, "object_id,has_stored_data\n").unwrap();
    let diff = [
        "diff",
        "gone.csv",
        "latest",
        "--namespace",
        "chat_Room",
        "--format",
        "csv",
    ];
    let differences = recorded.run(&diff).stdout;
    for text in [&whole, &two, &differences] {
        assert!(
            text.lines().count() > 5 && text.ends_with('\n') && !text.contains('\r'),
            "{text}"
        );
    }
    let found = two.lines().filter(|line| line.ends_with(",true")).count();
    assert_eq!(found, with_data.lines().count(), "{two}");
    assert!(found > 0, "{two}");
}
