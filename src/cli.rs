//! The command line: types and help, no decisions. An option that the environment or the configuration file can also
//! set is an `Option` here; `config` resolves precedence and defaults.
//!
//! No option takes a credential, because other users of the machine can read a program's arguments.

mod diff;
mod export;
mod namespaces;
mod report;
mod snapshots;
mod sync;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::diff::{DiffArgs, DiffFormat};
pub use self::export::{ChangesArgs, ExportArgs, ExportCommand, IntervalsArgs, ObjectsArgs};
pub use self::export::{RowsArgs, VerifyArgs};
pub use self::namespaces::{NamespaceDecision, NamespacesArgs};
pub use self::report::ReportArgs;
pub use self::snapshots::{SnapshotDecision, SnapshotStatus, SnapshotsArgs};
pub use self::sync::SyncArgs;
use crate::model::{AccountId, ObjectId};
use crate::select::Pattern;
use crate::text::is_address;
use crate::units::parse_duration;

/// Keeps an exact, queryable record of which Cloudflare Durable Objects exist, which hold stored data, and how that
/// changes.
///
/// Without DATABASE_URL the record is kept in a private PostgreSQL, which the program starts and stops by itself.
#[derive(Debug, Parser)]
#[command(
    name = "durable-inventory",
    version = crate::VERSION,
    after_help = "\
Secrets come by environment or file only:
  CLOUDFLARE_API_TOKEN, or a file named by CLOUDFLARE_API_TOKEN_FILE
  CLOUDFLARE_EMAIL with CLOUDFLARE_API_KEY (or CLOUDFLARE_API_KEY_FILE), where
  there is no token
  DATABASE_URL, or a file named by DATABASE_URL_FILE
Also read: CLOUDFLARE_ACCOUNT_ID, CLOUDFLARE_API_BASE_URL, RUST_LOG.
Options win over the environment, the environment wins over the configuration file.

Examples:
  CLOUDFLARE_ACCOUNT_ID=... CLOUDFLARE_API_TOKEN_FILE=token durable-inventory sync
  durable-inventory psql -c 'select * from inventory.runs'"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command, before or after its name.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// TOML file with accounts, namespaces and limits [env: DURABLE_INVENTORY_CONFIG] [default: none]
    #[arg(long, global = true, value_name = "FILE", value_parser = path())]
    pub config: Option<PathBuf>,

    /// Keep the record in the private PostgreSQL of this directory, whatever DATABASE_URL says [default:
    /// $XDG_DATA_HOME/durable-inventory, /var/lib/durable-inventory for root]
    #[arg(long, global = true, value_name = "DIR", value_parser = path())]
    pub data_dir: Option<PathBuf>,

    /// Where PostgreSQL's programs are, such as /usr/lib/postgresql/17/bin [default: looked for]
    #[arg(long, global = true, value_name = "DIR", value_parser = path())]
    pub postgres_bin: Option<PathBuf>,

    /// System user that runs the private PostgreSQL when root starts it, as PostgreSQL refuses to run as root
    /// [default: looked for]
    #[arg(long, global = true, value_name = "NAME")]
    pub postgres_user: Option<String>,

    /// Do not bring the schema up to date first: a database role without CREATE is enough [default: off]
    #[arg(long, global = true)]
    pub no_migrate: bool,

    /// How logs on stderr look; RUST_LOG says which ones there are
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// No progress on stderr, only warnings and errors [default: off]
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Walk the namespaces and record what changed
    Sync(Box<SyncArgs>),
    /// List the recorded namespaces
    Namespaces(NamespacesArgs),
    /// List the snapshots, the newest first
    Snapshots(SnapshotsArgs),
    /// Show one object's life
    History(HistoryArgs),
    /// Show totals, growth and what needs attention, in the terminal or as a page
    Report(ReportArgs),
    /// Check configuration, database, token and quota, and change nothing
    Check(CheckArgs),
    /// Write the record to files, folders and object stores, or check what was written
    Export(Box<ExportArgs>),
    /// Drop history that is older than a horizon, and what ended walks left
    Prune(PruneArgs),
    /// Compare two moments of the record, two files or datasets, or one of each
    Diff(Box<DiffArgs>),
    /// Run psql on the configured store, the private one included
    Psql(PsqlArgs),
    /// Bring the store's schema up to date
    #[command(after_help = "\
Examples:
  durable-inventory migrate
  DATABASE_URL_FILE=/run/secrets/owner-url durable-inventory migrate")]
    Migrate,
    /// Write a shell's completions to stdout
    #[command(after_help = "\
Examples:
  durable-inventory completions bash > /usr/share/bash-completion/completions/durable-inventory
  durable-inventory completions zsh > ~/.zfunc/_durable-inventory")]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual page to stdout, or a page for every command to a folder
    #[command(after_help = "\
Examples:
  durable-inventory man | man -l -
  durable-inventory man /usr/local/share/man/man1")]
    Man {
        /// The folder, which has to be there [default: none: one page, to stdout]
        #[arg(value_name = "DIR", value_parser = path())]
        folder: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  durable-inventory history fe7803fc55b964e09d94666545aab688d360c6bda69ba349ced1e5f28d2fc2c8
  durable-inventory history --namespace 'prod-*' --output json \\
      fe7803fc55b964e09d94666545aab688d360c6bda69ba349ced1e5f28d2fc2c8")]
pub struct HistoryArgs {
    /// The object's id: 64 hex digits, in either case
    #[arg(value_name = "OBJECT_ID", value_parser = parse_object_id)]
    pub object: ObjectId,
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The present stays whole, and so does every answer about the horizon and later; asking for an earlier moment is an error \
from then on. When an object was first seen stays known. A namespace that a run holds is left out, and said so. A prune \
that was killed is gone on with by the next one.

Examples:
  durable-inventory prune --older-than 180d --dry-run
  durable-inventory sync && durable-inventory prune --older-than 180d")]
pub struct PruneArgs {
    /// The horizon: so long before now
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub older_than: Duration,

    /// Only say how much would be dropped [default: off]
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub filter: FilterArgs,

    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The first argument that is not an option of durable-inventory, and all that follow it, are psql's. Put -- before \
them where both know an option, such as -q or --help.

Examples:
  durable-inventory psql
  durable-inventory psql --csv -c 'select * from inventory.runs'
  durable-inventory psql -- --help")]
pub struct PsqlArgs {
    /// Handed to psql as they are [default: none, which opens a prompt]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub args: Vec<OsString>,
}

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Exit codes: 0 all is right, 2 something is not.

Examples:
  durable-inventory check
  durable-inventory check --deep")]
pub struct CheckArgs {
    /// Read every row too, and compare each namespace's digest with its newest snapshot's [default: off]
    #[arg(long)]
    pub deep: bool,
}

/// Which part of the record to show.
#[derive(Debug, Clone, Default, Args)]
pub struct FilterArgs {
    /// Only this namespace: its id, or a glob on its name; repeatable [default: all]
    #[arg(long, value_name = "ID_OR_NAME_GLOB")]
    pub namespace: Vec<Pattern>,

    /// Only this account; repeatable [default: all]
    #[arg(long, value_name = "ID")]
    pub account: Vec<AccountId>,
}

#[derive(Debug, Clone, Copy, Default, Args)]
pub struct OutputArgs {
    /// What is written to stdout: text for people, json for programs
    #[arg(long = "output", value_name = "FORMAT", value_enum, default_value_t)]
    pub format: OutputFormat,
}

/// A path, and no address by mistake: that may hold a password, and would become the name of a file.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match is_address(&path.to_string_lossy()) {
        true => Err("a path belongs here, and this is an address"),
        false => Ok(path),
    })
}

/// Says what is wrong with an id, as a person who copied one digit too few would want to know.
fn parse_object_id(text: &str) -> Result<ObjectId, String> {
    text.parse()
        .map_err(|_| match text.chars().find(|c| !c.is_ascii_hexdigit()) {
            Some(stray) => format!("an object id is 64 hex digits, and {stray:?} is none"),
            None => format!("an object id is 64 hex digits, and these are {}", text.len()),
        })
}

#[cfg(test)]
mod tests;
