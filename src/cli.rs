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
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub use self::diff::{DiffArgs, DiffFormat};
pub use self::export::{ChangesArgs, ExportArgs, ExportCommand, IntervalsArgs, ObjectsArgs};
pub use self::export::{RowsArgs, VerifyArgs};
pub use self::namespaces::{NamespaceDecision, NamespacesArgs};
pub use self::report::ReportArgs;
pub use self::snapshots::{HeldArg, SnapshotDecision, SnapshotStatus, SnapshotsArgs};
pub use self::sync::SyncArgs;
use crate::model::{AccountId, ObjectId};
use crate::select::Pattern;
use crate::text::is_address;
use crate::units::parse_duration;

/// Record which Cloudflare Durable Objects exist, and query their history
///
/// Each `sync` records which objects exist and which of them hold stored data. Query the history with SQL, compare two
/// points in time, export it, or read it as a report. Without DATABASE_URL the program runs a private PostgreSQL server.
#[derive(Debug, Parser)]
#[command(
    name = "durable-inventory",
    version = crate::VERSION,
    disable_help_flag = true,
    disable_version_flag = true,
    after_long_help = "\
Secrets are read from the environment or from files, never from options:
  CLOUDFLARE_API_TOKEN, or a file named by CLOUDFLARE_API_TOKEN_FILE, or a
  program named by CLOUDFLARE_API_TOKEN_COMMAND that prints it
  CLOUDFLARE_EMAIL with CLOUDFLARE_API_KEY (or CLOUDFLARE_API_KEY_FILE), if
  there is no token
  DATABASE_URL, or a file named by DATABASE_URL_FILE
Also read: CLOUDFLARE_ACCOUNT_ID, CLOUDFLARE_API_BASE_URL, RUST_LOG, and a file
.env in the working folder for the account and its credentials.
Options override the environment, which overrides the configuration file.

Examples:
  CLOUDFLARE_ACCOUNT_ID=... CLOUDFLARE_API_TOKEN_FILE=token durable-inventory sync
  durable-inventory psql -c 'select * from inventory.runs'"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,

    /// Print this summary (--help shows everything)
    #[arg(long, short, global = true, action = ArgAction::Help, help_heading = GLOBAL)]
    #[arg(long_help = "Print this help (-h prints a summary)")]
    pub help: Option<bool>,

    /// Print the version
    #[arg(long, short = 'V', action = ArgAction::Version, help_heading = GLOBAL)]
    pub version: Option<bool>,

    #[command(subcommand)]
    pub command: Command,
}

/// The groups of options in the help, in the order in which it shows them.
pub const SELECTION: &str = "Selection";
pub const OUTPUT: &str = "Output";
pub const ATTENTION: &str = "Attention";
pub const LIMITS: &str = "Limits";
pub const SAFETY: &str = "Safety";
pub const CONNECTION: &str = "Connection";
pub const MONITORING: &str = "Monitoring";
const DATABASE: &str = "Database";
const GLOBAL: &str = "Global";

/// Options of every command, before or after its name. The help of `-h` shows only those that most people need.
#[derive(Debug, Clone, Default, Args)]
pub struct GlobalArgs {
    /// Use the private PostgreSQL in this directory, ignoring DATABASE_URL [default:
    /// $XDG_DATA_HOME/durable-inventory, /var/lib/durable-inventory for root]
    #[arg(long, global = true, value_name = "DIR", value_parser = path(), help_heading = DATABASE, hide_short_help = true)]
    pub data_dir: Option<PathBuf>,

    /// Directory of PostgreSQL's programs, such as /usr/lib/postgresql/17/bin [default: searched for]
    #[arg(long, global = true, value_name = "DIR", value_parser = path(), help_heading = DATABASE, hide_short_help = true)]
    pub postgres_bin: Option<PathBuf>,

    /// System user that runs the private PostgreSQL if root starts it, because PostgreSQL refuses to run as root
    /// [default: postgres, or nobody without a user postgres]
    #[arg(long, global = true, value_name = "NAME", help_heading = DATABASE, hide_short_help = true)]
    pub postgres_user: Option<String>,

    /// Do not update the database schema first
    ///
    /// The database role then needs no CREATE privilege.
    #[arg(long, global = true, help_heading = DATABASE, hide_short_help = true)]
    pub no_migrate: bool,

    /// Configuration file (TOML): accounts, namespaces and limits [env: DURABLE_INVENTORY_CONFIG] [default: none]
    #[arg(long, global = true, value_name = "FILE", value_parser = path(), help_heading = GLOBAL, hide_short_help = true)]
    pub config: Option<PathBuf>,

    /// Log format; RUST_LOG filters what is logged
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t)]
    #[arg(help_heading = GLOBAL, hide_short_help = true)]
    pub log_format: LogFormat,

    /// Log only warnings and errors, and show no progress
    #[arg(long, short, global = true, help_heading = GLOBAL)]
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
    /// Record which objects exist now, and what changed
    Sync(Box<SyncArgs>),
    /// Check configuration, database, token and quota; change nothing
    Check(CheckArgs),
    /// Show totals, growth and what needs attention
    #[command(visible_alias = "status")]
    Report(ReportArgs),
    /// List the recorded namespaces
    #[command(visible_aliases = ["ls", "list"])]
    Namespaces(NamespacesArgs),
    /// List the snapshots, newest first
    Snapshots(SnapshotsArgs),
    /// Show the history of one object
    History(HistoryArgs),
    /// Compare two points in time, or files, or one with the other
    Diff(Box<DiffArgs>),
    /// Write objects, changes or history to files or object stores
    Export(Box<ExportArgs>),
    /// Delete old history, and leftovers of finished syncs
    Prune(PruneArgs),
    /// Run psql on the database
    Psql(PsqlArgs),
    /// Update the database schema
    #[command(after_long_help = "\
Examples:
  durable-inventory migrate
  DATABASE_URL_FILE=/run/secrets/owner-url durable-inventory migrate")]
    Migrate,
    /// Print shell completions
    #[command(after_long_help = "\
Examples:
  durable-inventory completions bash > /usr/share/bash-completion/completions/durable-inventory
  durable-inventory completions zsh > ~/.zfunc/_durable-inventory")]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one page per command to a folder
    #[command(after_long_help = "\
Examples:
  durable-inventory man | man -l -
  durable-inventory man /usr/local/share/man/man1")]
    Man {
        /// An existing folder for the pages [default: none: one page, to stdout]
        #[arg(value_name = "DIR", value_parser = path())]
        folder: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Examples:
  durable-inventory history fe7803fc55b964e09d94666545aab688d360c6bda69ba349ced1e5f28d2fc2c8
  durable-inventory history --namespace 'prod-*' --format json \\
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
#[command(after_long_help = "\
The objects that exist now stay recorded, with the time when each was first seen, and so does all history within the \
limit. Asking about an earlier time is an error from then on. Namespaces that are being synced are skipped with a \
warning. If a prune is killed, the next one resumes it.

Examples:
  durable-inventory prune --older-than 180d --dry-run
  durable-inventory sync && durable-inventory prune --older-than 180d")]
pub struct PruneArgs {
    /// Delete history older than this, such as 180d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub older_than: Duration,

    /// Only show how much would be deleted
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub filter: FilterArgs,

    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Options of durable-inventory come first. The first other argument, and everything after it, is passed to psql. Put -- \
before an option that both have, such as -q or --help.

Examples:
  durable-inventory psql
  durable-inventory psql --csv -c 'select * from inventory.runs'
  durable-inventory psql -- --help")]
pub struct PsqlArgs {
    /// Arguments for psql [default: none, which opens a prompt]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub args: Vec<OsString>,
}

#[derive(Debug, Clone, Default, Args)]
#[command(after_long_help = "\
Exit codes: 0 everything is OK, 2 there is a problem.

Examples:
  durable-inventory check
  durable-inventory check --deep")]
pub struct CheckArgs {
    /// Also read every row, and verify each namespace's digest
    #[arg(long)]
    pub deep: bool,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// The namespaces to show.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = SELECTION)]
pub struct FilterArgs {
    /// Only these ids or name patterns [default: all]
    ///
    /// Repeatable. In a pattern, * stands for any text.
    #[arg(long, value_name = "ID_OR_GLOB")]
    pub namespace: Vec<Pattern>,

    /// Only these accounts [default: all]
    ///
    /// Repeatable.
    #[arg(long, value_name = "ID")]
    pub account: Vec<AccountId>,
}

#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = OUTPUT)]
pub struct OutputArgs {
    /// Output format: text or json
    // `--output` was its name before `export` got an `--output` that is a place.
    #[arg(
        long,
        alias = "output",
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    format: OutputFormat,

    /// Short for --format json
    #[arg(long, conflicts_with = "format", hide_short_help = true)]
    json: bool,
}

impl OutputArgs {
    pub fn format(&self) -> OutputFormat {
        match self.json {
            true => OutputFormat::Json,
            false => self.format,
        }
    }
}

/// Parses a path. A URL is refused, because it may contain a password and would become the name of a file.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match is_address(&path.to_string_lossy()) {
        true => Err("expected a path, not a URL"),
        false => Ok(path),
    })
}

/// Parses an id. The error names the wrong character or the wrong length.
fn parse_object_id(text: &str) -> Result<ObjectId, String> {
    text.parse()
        .map_err(|_| match text.chars().find(|c| !c.is_ascii_hexdigit()) {
            Some(stray) => format!("an object id is 64 hex digits; {stray:?} is not one"),
            None => format!("an object id is 64 hex digits, not {}", text.len()),
        })
}

#[cfg(test)]
mod tests;
