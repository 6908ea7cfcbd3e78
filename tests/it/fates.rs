//! How walks end and how namespaces vanish: what is resumed, what starts over, what fails, and what is marked as
//! missing.

mod accounts;
mod endings;
mod lists;
mod vanished;

use cloudflare_simulator::Simulator;

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::texts;
use crate::support::program::{ACCOUNT, Ended, run, simulator, sync};

const LIMIT: &[&str] = &["--limit", "10"];

/// An account with this many recorded namespaces of three pages each, `n0` to `n9`.
async fn recorded(namespaces: usize) -> (Simulator, TestDatabase, Vec<String>) {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let add = |n| {
        let namespace = simulator.add_namespace(ACCOUNT, &format!("n{n}"));
        simulator.seed(&namespace, 25, n as u64);
        namespace
    };
    let namespaces = (0..namespaces).map(add).collect();
    let ended = run(sync(&simulator, &database, LIMIT));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    (simulator, database, namespaces)
}

fn list_requests(simulator: &Simulator) -> usize {
    let requests = simulator.requests();
    requests.iter().filter(|r| r.path.ends_with("/namespaces")).count()
}

/// The status of each namespace in the run's JSON, in the order of their names.
fn outcomes(ended: &Ended) -> Vec<String> {
    let told = ended.json()["namespaces"].as_array().unwrap().clone();
    told.iter().map(|n| n["status"].as_str().unwrap().to_owned()).collect()
}

async fn missing(database: &TestDatabase) -> Vec<String> {
    let sql = "select name from inventory.namespaces where missing_since is not null and $1 = '' order by 1";
    texts(database, sql, "").await
}
