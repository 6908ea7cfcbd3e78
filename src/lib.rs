//! An exact, queryable record of which Cloudflare Durable Objects exist, which hold stored data, and how that changes.

pub mod cli;
pub mod cloudflare;
pub mod config;
pub mod digest;
pub mod export;
pub mod metrics;
pub mod model;
pub mod moment;
pub mod ping;
pub mod prune;
pub mod select;
pub mod store;
pub mod sync;
pub mod text;
pub mod units;
