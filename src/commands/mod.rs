//! One file or folder per command, and what they share: `connections`, `filter`, `signals` and `store`. Each command turns its
//! configuration into calls of the library, and ends in an exit code.

mod check;
mod completions;
mod connections;
mod diff;
mod export;
mod filter;
mod history;
mod man;
mod migrate;
mod namespaces;
mod prune;
mod psql;
mod report;
mod signals;
mod snapshots;
mod store;
mod sync;

use durable_inventory::cli::{Cli, Command};
use durable_inventory::config::{Environment, Settings};
use tracing::warn;

use crate::terminal::Failure;
use crate::terminal::progress::Screen;

pub async fn run(cli: &Cli, screen: &Screen) -> Result<u8, Failure> {
    // These two must work with any configuration, right or wrong.
    match &cli.command {
        Command::Completions { shell } => return completions::run(*shell),
        Command::Man { folder } => return man::run(folder.as_deref()),
        _ => {}
    }
    let lookup = |name: &str| std::env::var_os(name);
    let settings = Settings::load(&cli.global, Environment::new(&lookup))?.with_dot_env(".env");
    // `check` reports them among its findings.
    if !matches!(cli.command, Command::Check(_)) {
        settings.exposed_files().iter().for_each(|exposed| warn!("{exposed}"));
    }
    match &cli.command {
        Command::Sync(args) => sync::run(&settings, args, screen).await,
        Command::Namespaces(args) => namespaces::run(&settings, args).await,
        Command::Snapshots(args) => snapshots::run(&settings, args).await,
        Command::History(args) => history::run(&settings, args).await,
        Command::Report(args) => report::run(&settings, args).await,
        Command::Check(args) => check::run(&settings, args).await,
        Command::Export(args) => export::run(&settings, args).await,
        Command::Prune(args) => prune::run(&settings, args).await,
        Command::Diff(args) => diff::run(&settings, args).await,
        Command::Psql(args) => psql::run(&settings, args).await,
        Command::Migrate => migrate::run(&settings).await,
        Command::Completions { .. } | Command::Man { .. } => Ok(0),
    }
}
