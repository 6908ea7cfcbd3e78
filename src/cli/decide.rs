//! What a person decides: about a held snapshot, about a namespace that vanished.

use clap::Subcommand;

use crate::model::AccountId;

#[derive(Debug, Clone, Subcommand)]
pub enum NamespaceDecision {
    /// Record the objects of a namespace that is missing as removed
    #[command(after_help = "\
Examples:
  durable-inventory namespaces retire 5fd1cafff895419c8bcc647fc64ab8f0
  durable-inventory namespaces retire shop_Cart_pr-1
  durable-inventory namespaces retire --account 0123456789abcdef0123456789abcdef 5fd1cafff895419c8bcc647fc64ab8f0")]
    Retire {
        /// The namespace's id, or its name where no other recorded namespace has it
        #[arg(value_name = "ID_OR_NAME")]
        namespace: String,
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
