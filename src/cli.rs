//! What the command line looks like: types and help, no decisions. An option that the environment or a configuration
//! file may set too is an `Option` here; `config` knows which of them wins and what the default is.
//!
//! No option takes a secret: other users of a machine can read its command lines.

mod diff;
mod export;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};

pub use self::diff::{DiffArgs, DiffFormat};
pub use self::export::{ChangesArgs, ExportArgs, ExportCommand, FileFormat, HasData, IntervalsArgs, ObjectsArgs};
pub use self::export::{RowsArgs, VerifyArgs};
use crate::export::Place;
use crate::model::{AccountId, NamespaceId, ObjectId};
use crate::select::Pattern;
use crate::units::{self, Quota, parse_duration};

/// Keeps an exact, queryable record of which Cloudflare Durable Objects exist, which hold stored data, and how that
/// changes.
///
/// Without DATABASE_URL the record is kept in a private PostgreSQL, which the program starts and stops by itself.
#[derive(Debug, Parser)]
#[command(
    name = "durable-inventory",
    version,
    after_help = "\
Secrets come by environment or file only:
  CLOUDFLARE_API_TOKEN, or a file named by CLOUDFLARE_API_TOKEN_FILE
  CLOUDFLARE_EMAIL with CLOUDFLARE_API_KEY (or CLOUDFLARE_API_KEY_FILE), where there is no token
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
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Keep the record in the private PostgreSQL of this directory, whatever DATABASE_URL says [default:
    /// $XDG_DATA_HOME/durable-inventory, /var/lib/durable-inventory for root]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Where PostgreSQL's programs are, such as /usr/lib/postgresql/17/bin [default: looked for]
    #[arg(long, global = true, value_name = "DIR")]
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
    /// Check configuration, database, token and quota, and change nothing
    Check(CheckArgs),
    /// Write the record to files, folders and object stores, or check what was written
    Export(Box<ExportArgs>),
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
}

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
A duration is a whole number and a unit: 500ms, 300s, 15m, 36h, 180d.

Exit codes, the first that applies:
  2    usage or configuration
  130  ended by a signal; the next run goes on from there
  1    every namespace failed, or nothing could be recorded
  3    some namespaces failed, or the deadline came
  5    a mass removal was held back
  4    another run holds every namespace asked for
  0    done

Examples:
  durable-inventory sync
  durable-inventory sync --namespace 'prod-*' --deadline 50m --output json")]
pub struct SyncArgs {
    /// Only this namespace: its id, or a glob on its name; repeatable, in place of the file's `namespaces`
    /// [default: all that the account lists]
    #[arg(long, value_name = "ID_OR_NAME_GLOB")]
    pub namespace: Vec<Pattern>,

    /// Only this account; repeatable [env: CLOUDFLARE_ACCOUNT_ID] [default: all accounts of the file]
    #[arg(long, value_name = "ID")]
    pub account: Vec<AccountId>,

    /// Objects a page, 10 to 10000 [default: 10000]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(units::LIMIT))]
    pub limit: Option<u32>,

    /// Namespaces walked side by side, 1 to 64 [default: 4]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(units::CONCURRENCY))]
    pub concurrency: Option<u16>,

    /// Stop after this long, at the end of a page; the next run goes on from there [default: none]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub deadline: Option<Duration>,

    /// What a token may send: requests in any window of that length [default: 1200/300s]
    #[arg(long, value_name = "REQUESTS/DURATION")]
    pub quota: Option<Quota>,

    /// Percent of the quota to use, 1 to 100; the rest is left to colleagues and dashboards [default: 80]
    #[arg(long, value_name = "PERCENT", value_parser = value_parser!(u8).range(units::QUOTA_SHARE))]
    pub quota_share: Option<u8>,

    /// How long to pause after an answer 429 that does not say for how long [default: 300s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub pause_without_retry_after: Option<Duration>,

    /// How long to try a request again before its namespace is given up for this run [default: 15m]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub retry_for: Option<Duration>,

    /// How long to wait for more of an answer [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub read_timeout: Option<Duration>,

    /// How long to wait for a connection [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub connect_timeout: Option<Duration>,

    /// Go on with an interrupted walk that is at most this old; start an older one over [default: 36h]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub resume_within: Option<Duration>,

    /// Hold a snapshot back that removes more than this percentage of a namespace's objects, 0 to 100 [default: 30]
    #[arg(long, value_name = "PERCENT", value_parser = value_parser!(u8).range(units::PERCENT))]
    pub max_removed_percent: Option<u8>,

    /// Do not hold back removals in a namespace of fewer objects than this [default: 10]
    #[arg(long, value_name = "N")]
    pub max_removed_floor: Option<u64>,

    /// Record mass removals too, instead of holding them back [default: off]
    #[arg(long)]
    pub accept_removals: bool,

    /// Walk this namespace and mend its record where it was changed by other means than this program, keeping its
    /// history: an id, or a glob on the name; repeatable [default: none]
    #[arg(long, value_name = "ID_OR_NAME_GLOB", conflicts_with = "namespace")]
    pub rebuild: Vec<Pattern>,

    /// Also write a Parquet dataset of the namespaces that were published in this run: a folder, or s3://, gs:// or
    /// az:// [default: none]
    #[arg(long, value_name = "DIR", value_parser = export::parse_tree)]
    pub export: Option<Place>,

    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Clone, Default, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  durable-inventory namespaces --namespace 'prod-*' --output json
  durable-inventory namespaces retire 5fd1cafff895419c8bcc647fc64ab8f0"
)]
pub struct NamespacesArgs {
    #[command(subcommand)]
    pub decision: Option<NamespaceDecision>,
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Clone, Default, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  durable-inventory snapshots --namespace 5fd1cafff895419c8bcc647fc64ab8f0 --output json
  durable-inventory snapshots accept 42"
)]
pub struct SnapshotsArgs {
    #[command(subcommand)]
    pub decision: Option<SnapshotDecision>,
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Clone, Subcommand)]
pub enum NamespaceDecision {
    /// Record the objects of a namespace that is missing as removed
    #[command(after_help = "\
Examples:
  durable-inventory namespaces retire 5fd1cafff895419c8bcc647fc64ab8f0
  durable-inventory namespaces retire --account 0123456789abcdef0123456789abcdef 5fd1cafff895419c8bcc647fc64ab8f0")]
    Retire {
        /// The namespace's id
        #[arg(value_name = "ID")]
        namespace: NamespaceId,
        /// Only in this account [default: wherever it is recorded]
        #[arg(long, value_name = "ID")]
        account: Option<AccountId>,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub enum SnapshotDecision {
    /// Publish a snapshot that was held back, as it stands
    #[command(after_help = "\
Examples:
  durable-inventory snapshots accept 42
  DATABASE_URL_FILE=/run/secrets/database-url durable-inventory snapshots accept 42")]
    Accept {
        /// The snapshot's number
        #[arg(value_name = "ID")]
        snapshot: i32,
    },
    /// Drop a snapshot that was held back
    #[command(after_help = "\
Examples:
  durable-inventory snapshots discard 42
  DATABASE_URL_FILE=/run/secrets/database-url durable-inventory snapshots discard 42")]
    Discard {
        /// The snapshot's number
        #[arg(value_name = "ID")]
        snapshot: i32,
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
