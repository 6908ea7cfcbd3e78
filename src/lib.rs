//! An exact, queryable record of which Cloudflare Durable Objects exist, which hold stored data, and how that changes.
//!
//! ```text
//! config                       merge options, environment and configuration file into a command's settings
//!   -> sync::plan              list the account's namespaces and select
//!   -> store::Lease            lock one namespace
//!   -> cloudflare::Client      fetch page after page, within the token's quota
//!   -> sync::walk              check each page and diff it against the recorded rows in its range of ids
//!   -> store::Walk             commit the page's changes with its checkpoint, still hidden
//!   -> store::ProvenWalk       once the end is proven, publish them all in one transaction
//!   -> export, diff, report    read the record as of any point in time
//! ```
//!
//! [`sync`] describes each step, and `docs/design.md` lists the guarantees. The tables and views are in `migrations/`.

pub mod cli;
pub mod cloudflare;
pub mod config;
pub mod diff;
pub mod digest;
pub mod documents;
pub mod export;
mod file_output;
#[cfg(test)]
mod fuzz;
mod loopback;
mod merge;
pub mod metrics;
pub mod model;
pub mod moment;
pub mod notify;
pub mod prune;
pub mod report;
pub mod select;
pub mod store;
pub mod sync;
mod temporary;
pub mod text;
pub mod times;
pub mod token_command;
pub mod units;

/// The version, and the commit where it is known.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("DURABLE_INVENTORY_COMMIT_SUFFIX"));
