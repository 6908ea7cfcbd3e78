//! Runs each benchmark on a small input and checks that it completes and measures what it names. The times themselves
//! are not checked.

use std::path::Path;
use std::process::Command;

/// Runs a benchmark on the programs of this build and returns its output.
fn bench(name: &str, arguments: &[&str]) -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_durable-inventory")).parent().unwrap();
    let simulator = programs.join("cloudflare-simulator");
    assert!(
        simulator.exists(),
        "`cargo test --workspace` builds {}",
        simulator.display()
    );
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("benches");
    let done = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join(name))
        .args(arguments)
        .env("BENCH_PROGRAMS", programs)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{name}: {told}");
    String::from_utf8(done.stdout).unwrap()
}

/// The cells of the table row that begins with `begins`.
fn row(table: &str, begins: &[&str]) -> Vec<String> {
    let rows = table
        .lines()
        .map(|line| -> Vec<_> { line.trim_matches('|').split('|').map(str::trim).collect() });
    let mut found: Vec<_> = rows.filter(|row| row.starts_with(begins)).collect();
    assert_eq!(found.len(), 1, "{begins:?} in {table}");
    found.remove(0).into_iter().map(str::to_owned).collect()
}

#[test]
#[ignore = "needs Python; scripts/test --all"]
fn a_sync_is_measured_in_all_its_phases() {
    let without = [
        "--without",
        "naive Rust",
        "--without",
        "dlt scd2",
        "--without",
        "Python SDK",
    ];
    let table = bench(
        "sync.py",
        &[&["--objects", "30000", "--rounds", "1"], &without[..]].concat(),
    );
    row(&table, &["first sync", "raw COPY BINARY"]);
    for phase in ["first sync", "unchanged", "3 % changed"] {
        row(&table, &[phase, "durable-inventory"]);
    }
    let wal = |phase| row(&table, &[phase, "durable-inventory"])[6].parse::<f64>().unwrap();
    assert!(wal("unchanged") < 0.1 && wal("first sync") > 1.0, "{table}");
}

#[test]
#[ignore = "needs Python; scripts/test --all"]
fn growth_is_measured_by_size_share_and_history() {
    let small = [
        "--sizes",
        "10000",
        "--shares",
        "3",
        "--snapshots",
        "2",
        "--objects",
        "20000",
        "--rounds",
        "1",
    ];
    let table = bench("growth.py", &small);
    row(&table, &["10,000"]);
    row(&table, &["3 %"]);
    assert!(table.contains("after five unchanged syncs"), "{table}");
    assert_eq!(row(&table, &["objects at the end"])[1], "20,000");
}

#[test]
#[ignore = "needs Python; scripts/test --all"]
fn the_budget_is_measured_without_a_429() {
    let table = bench(
        "budget.py",
        &["--objects", "60000", "--latency", "20ms", "--cursors", "1"],
    );
    let walk = row(&table, &["20ms", "1", "first", "60,000"]);
    assert_eq!(walk[8], "0", "{table}");
}

#[test]
#[ignore = "needs Python and packages of PyPI; scripts/test --all"]
fn exports_and_diffs_are_measured_beside_duckdb() {
    let table = bench("exports.py", &["--objects", "20000", "--rounds", "1"]);
    for group in ["CSV", "Parquet"] {
        row(&table, &[group, "durable-inventory export"]);
    }
    let lines = bench("diff.py", &["30000"]);
    assert!(
        lines.contains("300 changes") && lines.contains("duckdb, full join"),
        "{lines}"
    );
}

#[test]
#[ignore = "needs Python; scripts/test --all"]
fn the_questions_of_the_sql_page_are_measured() {
    let table = bench("record.py", &["--objects", "20000", "--rounds", "1"]);
    row(&table, &["count(*) of inventory.objects"]);
}
