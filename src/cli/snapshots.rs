//! The arguments of `snapshots`.

use clap::{Args, Subcommand, ValueEnum, value_parser};

use super::{FilterArgs, OutputArgs, SELECTION};

#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_long_help = "\
Examples:
  durable-inventory snapshots --namespace 5fd1cafff895419c8bcc647fc64ab8f0 --format json
  durable-inventory snapshots --status held
  durable-inventory snapshots accept 42
  durable-inventory snapshots accept login_Session"
)]
pub struct SnapshotsArgs {
    #[command(subcommand)]
    pub decision: Option<SnapshotDecision>,

    /// Only snapshots with this status [default: all]
    ///
    /// One of running, complete, interrupted, failed, held, discarded or superseded. Repeatable.
    #[arg(long, value_name = "STATUS", value_enum, hide_possible_values = true, help_heading = SELECTION)]
    pub status: Vec<SnapshotStatus>,

    /// Show at most this many snapshots
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(1..))]
    #[arg(help_heading = SELECTION)]
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
    /// Publish a held snapshot
    #[command(after_long_help = "\
Examples:
  durable-inventory snapshots accept 42
  durable-inventory snapshots accept login_Session")]
    Accept {
        #[command(flatten)]
        held: HeldArg,
    },
    /// Discard a held snapshot; the record does not change
    #[command(after_long_help = "\
Examples:
  durable-inventory snapshots discard 42
  durable-inventory snapshots discard login_Session")]
    Discard {
        #[command(flatten)]
        held: HeldArg,
    },
}

#[derive(Debug, Clone, Args)]
pub struct HeldArg {
    /// The snapshot's id, or on a terminal the name or id of its namespace: it then shows what would change and asks
    #[arg(value_name = "SNAPSHOT_OR_NAMESPACE")]
    pub held: String,
}
