//! Tests of the program as its users run it, against real servers, real files and real processes.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod benches;
mod check;
mod configuration;
mod cursors;
mod decide;
mod diff;
mod encryption;
mod escaping;
mod exit_codes;
mod export;
mod fates;
mod fence;
mod grants;
mod hostile_roles;
mod kills;
mod large;
mod manual;
mod operations;
mod output;
mod pooler;
mod private_folder;
mod private_server;
mod programs;
mod prune;
mod psql;
mod publication;
mod query_data;
mod quota;
mod readme;
mod record_model;
mod report;
mod resume;
mod scripts;
mod secrets;
mod sequences;
mod simulation;
mod sql_page;
mod support;
mod sync;
mod terminal;
mod two_programs;
mod watched;
mod wire;
mod workerd;
