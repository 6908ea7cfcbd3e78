//! Parses the command line, sets up logs, runs one command and reports its error.

mod commands;
mod terminal;

use std::process::ExitCode;

use clap::Parser;
use durable_inventory::cli::Cli;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use terminal::Failure;
use terminal::progress::Screen;

fn main() -> ExitCode {
    prevent_core_dumps();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let args = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned());
            return terminal::usage_error::report(&error, args);
        }
    };
    terminal::suggested::start(&cli.global);
    let screen = Screen::default();
    terminal::logs::start(&cli, &screen);
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(error, 1))
        .and_then(|runtime| runtime.block_on(commands::run(&cli, &screen)));
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            terminal::err(&format!("error: {failure}"));
            ExitCode::from(failure.exit_code)
        }
    }
}

/// A core dump would contain the token and the database's password. Of the limits, 1 byte is the one at which Linux
/// starts no program that collects core dumps either.
fn prevent_core_dumps() {
    let limit = getrlimit(Resource::Core);
    let least = Rlimit {
        current: Some(limit.maximum.map_or(1, |maximum| maximum.min(1))),
        maximum: limit.maximum,
    };
    // It is lowered, which is always permitted.
    let _lowered = setrlimit(Resource::Core, least);
}
