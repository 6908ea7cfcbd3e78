//! The program as its users meet it: against real servers, real files and real processes.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod kills;
mod private_folder;
mod private_server;
mod psql;
mod resume;
mod simulation;
mod support;
mod sync;
mod two_programs;
