//! An exact, queryable record of which Cloudflare Durable Objects exist, which hold stored data, and how that changes.

pub mod cli;
pub mod cloudflare;
pub mod config;
pub mod diff;
pub mod digest;
pub mod export;
mod file_output;
mod loopback;
mod merge;
pub mod metrics;
pub mod model;
pub mod moment;
pub mod ping;
pub mod prune;
pub mod report;
pub mod select;
pub mod store;
pub mod sync;
mod temporary;
pub mod text;
pub mod times;
pub mod units;

/// The version, and the commit where it is known.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("DURABLE_INVENTORY_COMMIT_SUFFIX"));
