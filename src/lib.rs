//! An exact, queryable record of which Cloudflare Durable Objects exist, which hold stored data, and how that changes.

pub mod cli;
pub mod cloudflare;
pub mod config;
pub mod diff;
pub mod digest;
pub mod export;
mod merge;
pub mod model;
pub mod moment;
pub mod select;
pub mod store;
pub mod sync;
mod temporary;
pub mod text;
pub mod units;
