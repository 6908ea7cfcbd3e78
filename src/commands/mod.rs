//! One file a command, each ends in an exit code. Here configuration turns into what the rooms of the library ask for.

mod check;
mod decide;
mod diff;
mod export;
mod filter;
mod history;
mod lists;
mod manual;
mod prune;
mod report;
mod signals;
mod store;
mod sync;

use std::fmt;

use durable_inventory::cli::{Cli, Command};
use durable_inventory::config::{ConfigError, Environment, Settings};
use tracing::warn;

use crate::terminal::progress::Screen;

/// Why a command could not do its work, in one line, and the exit code that says so.
#[derive(Debug)]
pub struct Failure {
    message: String,
    pub exit_code: u8,
}

impl Failure {
    pub fn new(error: impl std::error::Error, exit_code: u8) -> Self {
        Self {
            message: durable_inventory::text::chain(&error),
            exit_code,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(error, 2)
    }
}

pub async fn run(cli: &Cli, screen: &Screen) -> Result<u8, Failure> {
    // What the program is asked about itself needs no configuration, right or wrong.
    match &cli.command {
        Command::Completions { shell } => return manual::completions(*shell),
        Command::Man { folder } => return manual::pages(folder.as_deref()),
        _ => {}
    }
    let lookup = |name: &str| std::env::var_os(name);
    let settings = Settings::load(&cli.global, Environment::new(&lookup))?;
    // `check` tells it among its findings.
    if !matches!(cli.command, Command::Check(_)) {
        settings.exposed_files().iter().for_each(|exposed| warn!("{exposed}"));
    }
    match &cli.command {
        Command::Sync(args) => sync::run(&settings, args, screen).await,
        Command::Namespaces(args) => match &args.decision {
            Some(decision) => decide::namespace(&settings, decision).await,
            None => lists::namespaces(&settings, args).await,
        },
        Command::Snapshots(args) => match &args.decision {
            Some(decision) => decide::snapshot(&settings, decision).await,
            None => lists::snapshots(&settings, args).await,
        },
        Command::Check(args) => check::run(&settings, args).await,
        Command::History(args) => history::run(&settings, args).await,
        Command::Report(args) => report::run(&settings, args).await,
        Command::Export(args) => export::run(&settings, args).await,
        Command::Prune(args) => prune::run(&settings, args).await,
        Command::Diff(args) => diff::run(&settings, args).await,
        Command::Psql(args) => store::psql(&settings, args).await,
        Command::Completions { .. } | Command::Man { .. } => Ok(0),
        Command::Migrate => store::migrate(&settings).await,
    }
}
