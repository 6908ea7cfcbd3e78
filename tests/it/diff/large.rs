//! Memory does not grow with rows.

use std::fs::File;
use std::io::{BufWriter, Write};

use super::*;
use crate::support::memory::run_measured;

/// The number of rows in a CI run. `DIFF_ROWS=10000000` sets the promised number.
const ROWS: u64 = 2_000_000;
const LIMIT_KIB: u64 = 100 * 1024;

fn rows() -> u64 {
    std::env::var("DIFF_ROWS").map_or(ROWS, |rows| rows.parse().unwrap())
}

/// In every hundred objects, one is removed, one loses its data, and one is new. Rows are sorted by their first bytes
/// or shuffled.
fn write(path: &Path, after: bool, ordered: bool) {
    let mut to = BufWriter::new(File::create(path).unwrap());
    writeln!(to, "object_id,has_stored_data").unwrap();
    for n in 0..rows() {
        if n % 100 == if after { 1 } else { 3 } {
            continue;
        }
        let flag = n % 2 == 0 && !(after && n % 100 == 2);
        // Multiplication by an odd factor permutes. The rest of each id is noise, as in real ids.
        let first = if ordered {
            n
        } else {
            n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        let rest = [n, n ^ 0x5555, n.rotate_left(13)].map(|n| n.wrapping_mul(0xd134_2543_de82_ef95));
        writeln!(
            to,
            "{first:016x}{:016x}{:016x}{:016x},{flag}",
            rest[0], rest[1], rest[2]
        )
        .unwrap();
    }
    to.into_inner().unwrap();
}

#[test]
#[ignore = "large: millions of rows, on disk"]
fn millions_of_rows_are_compared_within_100_mb() {
    let folder = tempfile::tempdir().unwrap();
    let [before, after, unsorted] = ["before.csv", "after.csv", "unsorted.csv"].map(|name| folder.path().join(name));
    write(&before, false, true);
    write(&after, true, true);
    let part = rows() / 100;
    check(&before, &after, folder.path(), [part, part, part]);
    write(&unsorted, true, false);
    std::fs::remove_file(&after).unwrap();
    write(&before, false, false);
    check(&before, &unsorted, folder.path(), [part, part, part]);
}

/// `expected` counts created and removed objects, and those that lost their data.
fn check(from: &Path, to: &Path, temporary: &Path, expected: [u64; 3]) {
    let mut command = bare(&["diff", text(from), text(to), "--summary", "--format", "jsonl"]);
    let started = std::time::Instant::now();
    command.env("TMPDIR", temporary);
    let (ended, peak) = run_measured(command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let told: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        [&told["created"], &told["removed"], &told["data_lost"]],
        expected,
        "{told}"
    );
    assert!(peak > 0 && peak < LIMIT_KIB, "{peak} KiB");
    told_to_whoever_asks(started.elapsed().as_secs_f64(), peak);
}

#[expect(clippy::print_stderr, reason = "shown by --nocapture")]
fn told_to_whoever_asks(seconds: f64, peak: u64) {
    eprintln!("{} rows: {seconds:.1} s, {peak} KiB", rows());
}
