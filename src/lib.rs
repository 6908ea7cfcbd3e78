//! An exact, queryable record of which Cloudflare Durable Objects exist, which hold stored data, and how that changes.

pub mod cli;
pub mod cloudflare;
pub mod config;
pub mod digest;
pub mod export;
pub mod model;
pub mod moment;
pub mod report;
pub mod select;
pub mod store;
pub mod sync;
pub mod text;
pub mod times;
pub mod units;
