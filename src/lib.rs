//! An exact, queryable record of which Cloudflare Durable Objects exist, which hold stored data, and how that changes.

pub mod model;
pub mod store;
