//! Other tests rely on the simulator. These tests check that it pages, refuses and fails as documented.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod accounts;
mod client;
mod control;
mod faults;
mod limits;
mod pages;

use cloudflare_simulator::Simulator;

const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";

/// A service with one account and a namespace of 2,345 objects.
async fn service() -> (Simulator, String) {
    let simulator = Simulator::start().await;
    simulator.add_account(ACCOUNT, "token");
    let namespace = simulator.add_namespace(ACCOUNT, "chat");
    simulator.seed(&namespace, 2_345, 7);
    (simulator, namespace)
}
