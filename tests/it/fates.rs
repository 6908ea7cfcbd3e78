//! How walks end and how namespaces vanish: what is resumed, what starts over, what fails, and what is marked as
//! missing.

mod accounts;
mod endings;
mod lists;
mod vanished;

use cloudflare_simulator::Simulator;

use crate::support::account::account;
use crate::support::database::TestDatabase;
use crate::support::program::{run, sync};

const LIMIT: &[&str] = &["--limit", "10"];

/// The same as [`account`], recorded.
async fn recorded(namespaces: usize) -> (Simulator, TestDatabase, Vec<String>) {
    let (simulator, database, namespaces) = account(namespaces).await;
    let ended = run(sync(&simulator, &database, LIMIT));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    (simulator, database, namespaces)
}
