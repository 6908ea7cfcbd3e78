//! The program as its users meet it: against real servers, real files and real processes.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod escaping;
mod grants;
mod pooler;
mod private_folder;
mod private_server;
mod psql;
mod readme;
mod secrets;
mod support;
mod sync;
