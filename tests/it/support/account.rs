//! The tests' account: its namespaces, and what a run says about them.

use std::path::{Path, PathBuf};

use cloudflare_simulator::Simulator;

use super::database::{TestDatabase, fresh_database};
use super::ledger::texts;
use super::program::{ACCOUNT, Ended, TOKEN, simulator};

/// A second account, with the token of the first.
pub const OTHER: &str = "fedcba9876543210fedcba9876543210";

/// An account with this many unrecorded namespaces of three pages of ten each, called `n0` and so on, in the order of
/// their names.
pub async fn account(namespaces: usize) -> (Simulator, TestDatabase, Vec<String>) {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let digits = namespaces.saturating_sub(1).to_string().len();
    let add = |n| {
        let namespace = simulator.add_namespace(ACCOUNT, &format!("n{n:0digits$}"));
        simulator.seed(&namespace, 25, n as u64);
        namespace
    };
    let namespaces = (0..namespaces).map(add).collect();
    (simulator, database, namespaces)
}

/// Two accounts with a namespace of two pages each, of the first account and of [`OTHER`], and a configuration file in
/// `folder` for both, which takes the token from `TOKEN`.
pub async fn two_accounts(folder: &Path) -> (Simulator, TestDatabase, PathBuf, [String; 2]) {
    let file = folder.join("inventory.toml");
    let accounts = [ACCOUNT, OTHER].map(|id| format!("[[accounts]]\nid = \"{id}\"\napi_token_env = \"TOKEN\"\n"));
    std::fs::write(&file, accounts.concat()).unwrap();
    let (simulator, database) = (simulator().await, fresh_database().await);
    simulator.add_account(OTHER, TOKEN);
    let namespaces = [(ACCOUNT, "a"), (OTHER, "d")].map(|(account, name)| {
        let namespace = simulator.add_namespace(account, name);
        simulator.seed(&namespace, 20, 1);
        namespace
    });
    (simulator, database, file, namespaces)
}

/// Requests for the namespace list.
pub fn list_requests(simulator: &Simulator) -> usize {
    let requests = simulator.requests();
    requests.iter().filter(|r| r.path.ends_with("/namespaces")).count()
}

/// The status of each namespace in the run's JSON, in the order of their names.
pub fn outcomes(ended: &Ended) -> Vec<String> {
    let told = ended.json()["namespaces"].as_array().unwrap().clone();
    told.iter().map(|n| n["status"].as_str().unwrap().to_owned()).collect()
}

/// The names of the namespaces that are marked as missing.
pub async fn missing(database: &TestDatabase) -> Vec<String> {
    let sql = "select name from inventory.namespaces where missing_since is not null and $1 = '' order by 1";
    texts(database, sql, "").await
}
