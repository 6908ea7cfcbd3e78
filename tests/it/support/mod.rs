//! Helpers that the tests share.

pub mod account;
pub mod bench;
pub mod database;
pub mod figures;
pub mod files;
pub mod ledger;
pub mod memory;
pub mod network;
pub mod npm_registry;
pub mod parquet_file;
pub mod polled;
pub mod private;
pub mod program;
pub mod python;
pub mod terminal;
pub mod witness;
