//! `snapshots`: lists the recorded snapshots, or accepts or discards a held one.

use clap::{Args, Subcommand, ValueEnum, value_parser};

use super::{FilterArgs, OutputArgs};

#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  durable-inventory snapshots --namespace 5fd1cafff895419c8bcc647fc64ab8f0 --output json
  durable-inventory snapshots --status held
  durable-inventory snapshots accept 42"
)]
pub struct SnapshotsArgs {
    #[command(subcommand)]
    pub decision: Option<SnapshotDecision>,

    /// Only snapshots with this status; repeatable [default: all]
    #[arg(long, value_name = "STATUS", value_enum)]
    pub status: Vec<SnapshotStatus>,

    /// The newest so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(1..))]
    pub limit: u32,

    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SnapshotStatus {
    Running,
    Complete,
    Interrupted,
    Failed,
    Held,
    Discarded,
    Superseded,
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
