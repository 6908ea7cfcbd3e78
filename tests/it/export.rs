//! Exports, through the program: every format contains exactly what the record holds, at any point in time.

mod altered;
pub mod broken;
mod dataset;
mod large;
mod links;
mod partial;
mod readers;
mod record;
mod s3;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use cloudflare_simulator::{Flag, Id, Simulator};
use durable_inventory::export::Format;
use durable_inventory::export::read::RowReader;

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, Ended, program, run, simulator, sync};

/// A namespace of 300 objects that was walked twice, with changes of every kind in between.
pub struct Recorded {
    pub simulator: Simulator,
    pub database: TestDatabase,
    pub namespace: String,
    pub first: Walked,
    pub second: Walked,
}

pub struct Walked {
    pub snapshot: String,
    pub truth: BTreeMap<Id, Flag>,
}

pub async fn recorded() -> Recorded {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "chat_Room");
    simulator.seed(&namespace, 300, 1);
    let first = walk(&simulator, &database, &namespace);
    let ids: Vec<Id> = simulator.truth(&namespace).into_keys().collect();
    for (index, id) in ids.iter().take(40).enumerate() {
        match index % 4 {
            0 => simulator.remove_object(&namespace, id),
            1 => simulator.put_object(&namespace, *id, Some(true)),
            2 => simulator.put_object(&namespace, *id, Some(false)),
            _ => simulator.put_object(&namespace, *id, None),
        }
    }
    simulator.put_object(&namespace, [0xab; 32], None);
    let second = walk(&simulator, &database, &namespace);
    Recorded {
        simulator,
        database,
        namespace,
        first,
        second,
    }
}

pub fn walk(simulator: &Simulator, database: &TestDatabase, namespace: &str) -> Walked {
    let ended = run(sync(simulator, database, &["--limit", "100"]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let told = ended.json();
    let told = told["namespaces"].as_array().unwrap();
    let told = told.iter().find(|told| told["namespace_id"] == namespace).unwrap();
    Walked {
        snapshot: told["snapshot_id"].to_string(),
        truth: simulator.truth(namespace),
    }
}

impl Recorded {
    fn export(&self, args: &[&str]) -> Ended {
        run(program(&self.simulator, &self.database, &[&["export"], args].concat()))
    }

    /// stdout of a successful export.
    pub fn exported(&self, args: &[&str]) -> String {
        let ended = self.export(args);
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:#?}");
        ended.stdout
    }
}

/// The objects in a file of this format. A duplicate id or an id out of order fails the test.
fn objects(format: Format, path: &Path) -> BTreeMap<Id, Flag> {
    let start = std::fs::read(path).unwrap();
    let has_mark = |format: &Format| format.mark().is_some_and(|mark| start.starts_with(mark));
    assert_eq!(Format::ALL.into_iter().find(has_mark).unwrap_or(Format::Csv), format);
    let mut found = BTreeMap::new();
    let mut reader = RowReader::open(path.to_str().unwrap(), File::open(path).unwrap()).unwrap();
    while let Some(row) = reader.next_row().unwrap() {
        let id = *row.object_id.unwrap().as_bytes();
        assert!(found.last_key_value().is_none_or(|(last, _)| *last < id));
        found.insert(id, row.has_stored_data.unwrap());
    }
    found
}
