//! `diff`, through the program: it reports the differences between the walks' truths, whatever the two sides are.

mod bounded;
mod datasets;
mod dialects;
mod exchanged;
mod files;
mod foreign;
mod large;
mod record;
mod round_trip;
mod swollen;

use std::collections::BTreeMap;
use std::path::Path;

use cloudflare_simulator::{Flag, Id, hex};

use crate::export::Recorded;
use crate::support::program::{Ended, bare, program, run};

impl Recorded {
    fn diff(&self, args: &[&str]) -> Ended {
        run(program(&self.simulator, &self.database, &[&["diff"], args].concat()))
    }
}

/// Runs `diff` without a record.
fn diff(args: &[&str]) -> Ended {
    run(bare(&[&["diff"], args].concat()))
}

type Truth = BTreeMap<Id, Flag>;

/// The lines of `--combined`.
fn combined(from: &Truth, to: &Truth) -> String {
    let mut all: BTreeMap<_, [Option<&Flag>; 2]> = BTreeMap::new();
    for (side, truth) in [from, to].into_iter().enumerate() {
        for (id, flag) in truth {
            all.entry(id).or_default()[side] = Some(flag);
        }
    }
    let lines = all.into_iter().map(|(id, sides)| {
        let symbol = match sides {
            [None, _] => '+',
            [_, None] => '-',
            [old, new] if old == new => '=',
            _ => '*',
        };
        format!("{symbol} {}\n", hex(id))
    });
    lines.collect()
}

/// The changes of `--format csv` by id: the change and both states.
fn changes(csv: &str) -> BTreeMap<String, String> {
    let mut lines = csv.split_terminator("\n");
    let header = "account_id,namespace_id,object_id,change,old_state,new_state";
    assert_eq!(lines.next(), Some(header));
    lines
        .map(|line| {
            let cells: Vec<_> = line.splitn(4, ',').collect();
            (cells[2].to_owned(), cells[3].to_owned())
        })
        .collect()
}

fn expected_changes(from: &Truth, to: &Truth) -> BTreeMap<String, String> {
    let state = |truth: &Truth, id| match truth.get(id) {
        None => "absent",
        Some(None) => "unknown",
        Some(Some(false)) => "without_data",
        Some(Some(true)) => "with_data",
    };
    let ids = from.keys().chain(to.keys());
    let all = ids.map(|id| (hex(id), state(from, id), state(to, id)));
    let changed = all.filter(|(_, old, new)| old != new).map(|(id, old, new)| {
        let change = match (old, new) {
            ("absent", _) => "created",
            (_, "absent") => "removed",
            (_, "unknown") => "data_unknown",
            ("unknown", _) => "data_known",
            (_, "with_data") => "data_gained",
            _ => "data_lost",
        };
        (id, format!("{change},{old},{new}"))
    });
    changed.collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
