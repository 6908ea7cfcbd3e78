//! What a person sees at a terminal: tables and bars that fit it, colours, names, and each problem once.

use std::process::Command;

use cloudflare_simulator::{Answer, Fault, Simulator, When};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, program, run, simulator};
use crate::support::terminal::{lines, output_of, screen_of};

const WIDTHS: [u16; 3] = [60, 80, 200];
const PRODUCTION: &str = "collab-editor-production_DocumentRoomDurableObject";
const STAGING: &str = "collab-editor-staging_DocumentRoomDurableObject-eu";

struct Bench {
    simulator: Simulator,
    database: TestDatabase,
    namespaces: [String; 2],
}

/// Two namespaces with names of 50 characters.
async fn bench() -> Bench {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespaces = [PRODUCTION, STAGING].map(|name| {
        let namespace = simulator.add_namespace(ACCOUNT, name);
        simulator.seed(&namespace, 2_500, name.len() as u64);
        namespace
    });
    Bench {
        simulator,
        database,
        namespaces,
    }
}

impl Bench {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = program(&self.simulator, &self.database, args);
        command.env("TERM", "xterm").env("LANG", "C.UTF-8");
        command
    }

    fn sync(&self, more: &[&str]) -> Command {
        self.command(&[&["sync", "--quota", "1000000/1s", "--cursors", "1"], more].concat())
    }
}

#[track_caller]
fn assert_fits(screen: &str, columns: u16, what: &[&str]) {
    for line in lines(screen) {
        assert!(
            line.chars().count() <= usize::from(columns),
            "{what:?} at {columns}: {line}\n{screen}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_fits_and_keeps_names_and_ids() {
    let bench = bench().await;
    assert_eq!(run(bench.sync(&[])).code, Some(0));
    let object = bench.simulator.truth(&bench.namespaces[0]).into_keys().next().unwrap();
    bench.simulator.remove_object(&bench.namespaces[0], &object);
    assert_eq!(run(bench.sync(&[])).code, Some(0));
    let object = cloudflare_simulator::hex(&object);
    let commands: [&[&str]; 7] = [
        &["sync"],
        &["report"],
        &["namespaces"],
        &["snapshots"],
        &["history", &object],
        &["diff", "latest~1", "latest", "--summary"],
        &["prune", "--older-than", "1ms", "--dry-run"],
    ];
    for what in commands {
        for columns in WIDTHS {
            let (code, screen) = output_of(bench.command(what), columns);
            assert_eq!(code, Some(0), "{screen}");
            assert_fits(&screen, columns, what);
            let lines = lines(&screen);
            let named = lines.iter().filter(|line| line.contains("col"));
            let rows = if what[0] == "snapshots" { 4 } else { 1 };
            assert!(named.count() >= rows, "{what:?} at {columns}: {screen}");
            if what[0] == "namespaces" {
                for id in &bench.namespaces {
                    assert!(screen.contains(id.as_str()), "ids are copied: {screen}");
                }
            }
            if columns == 200 {
                assert!(screen.contains(PRODUCTION), "{what:?}: {screen}");
            }
        }
    }
    let mut narrow = bench.command(&["snapshots"]);
    narrow.env("COLUMNS", "60");
    let piped = run(narrow).stdout;
    assert!(
        piped.contains(PRODUCTION) && piped.contains("started at"),
        "a pipe has no width: {piped}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_terminals_that_want_them() {
    let bench = bench().await;
    assert_eq!(run(bench.sync(&[])).code, Some(0));
    bench.simulator.seed(&bench.namespaces[0], 10, 7);
    let (code, screen) = screen_of(bench.sync(&[]), 200);
    assert_eq!(code, Some(5), "{screen}");
    assert!(screen.contains("\u{1b}[1mnamespace\u{1b}[0m"), "{screen}");
    assert!(screen.contains("\u{1b}[31mheld\u{1b}[0m"), "{screen}");
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb"), ("CLICOLOR", "0")] {
        let mut command = bench.command(&["snapshots"]);
        command.env(name, value);
        let (_, screen) = screen_of(command, 80);
        assert!(
            screen.contains("held") && !screen.contains('\u{1b}'),
            "{name}: {screen}"
        );
    }
    assert!(!run(bench.command(&["snapshots"])).stdout.contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_utf8_everything_is_ascii() {
    let bench = bench().await;
    for (locale, is_ascii) in [("C", true), ("C.UTF-8", false)] {
        for what in [&["sync"][..], &["report"]] {
            let mut command = bench.command(what);
            command.env("LC_ALL", locale);
            let (code, screen) = screen_of(command, 200);
            assert_eq!((code, screen.is_ascii()), (Some(0), is_ascii), "{what:?}: {screen}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_is_shown_once_and_at_the_end() {
    let bench = bench().await;
    assert_eq!(run(bench.sync(&[])).code, Some(0));
    bench.simulator.seed(&bench.namespaces[0], 10, 7);
    let (code, screen) = screen_of(bench.sync(&[]), 80);
    assert_eq!(code, Some(5), "{screen}");
    let lines = lines(&screen);
    assert_eq!(screen.matches("would").count(), 1, "{screen}");
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("! collab") && line.ends_with("  held")),
        "{screen}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("✓ collab") && line.ends_with("  2,500 objects")),
        "{screen}"
    );
    assert!(!screen.contains(&bench.namespaces[0]), "names, not ids: {screen}");
    assert!(
        lines
            .last()
            .unwrap()
            .ends_with("1 namespace synced (2,500 objects), 1 held for review"),
        "{screen}"
    );

    // With --quiet there is no list of problems, so the warning is whole.
    bench.simulator.seed(&bench.namespaces[0], 11, 8);
    let (_, screen) = screen_of(bench.sync(&["--quiet"]), 80);
    assert_eq!(screen.matches("would").count(), 1, "{screen}");
    assert!(
        screen.contains(&format!("warning: {PRODUCTION}: held")) || screen.contains("warning"),
        "{screen}"
    );

    // One cause for all namespaces.
    let refused = Fault::Answer(Answer::error(401, 10_000, "Authentication error"));
    bench.simulator.list_fault(ACCOUNT, When::Always, refused);
    let (code, screen) = screen_of(bench.sync(&[]), 80);
    assert_eq!(code, Some(1), "{screen}");
    assert_eq!(screen.matches("Authentication error").count(), 1, "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bars_fit_and_the_last_line_is_the_whole_run() {
    for columns in [60, 80] {
        let bench = bench().await;
        let holds = bench
            .namespaces
            .each_ref()
            .map(|namespace| bench.simulator.hold_at(namespace, 3));
        let command = bench.sync(&["--limit", "1000"]);
        let shown = tokio::task::spawn_blocking(move || screen_of(command, columns));
        for hold in &holds {
            hold.wait_until_held().await;
        }
        // Some drawings, with two pages of each.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        holds.iter().for_each(|hold| hold.release());
        let (code, screen) = shown.await.unwrap();
        assert_eq!(code, Some(0), "{screen}");
        // Each line of the drawing is filled up to the width, so that the next one begins below it.
        let drawn = lines(&screen).into_iter().map(|line| line.chars().collect::<Vec<_>>());
        let drawings: Vec<Vec<String>> = drawn
            .map(|line| line.chunks(usize::from(columns)).map(String::from_iter).collect())
            .collect();
        let total = "0 of 2 namespaces, ";
        let is_whole = |drawing: &Vec<String>| match drawing.as_slice() {
            [one, other, whole] => {
                let is_bar = |line: &str| line.starts_with("colla") && line.contains("/s") && line.contains('█');
                let name = |line: &str| line.split(" [").next().map(str::to_owned);
                is_bar(one) && is_bar(other) && name(one) != name(other) && whole.starts_with(total)
            }
            _ => false,
        };
        assert!(drawings.iter().any(is_whole), "{drawings:#?}");
    }
}
