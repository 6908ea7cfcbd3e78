//! The arguments of `namespaces`.

use clap::{Args, Subcommand};

use super::{FilterArgs, OutputArgs};
use crate::model::AccountId;

#[derive(Debug, Clone, Default, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_long_help = "\
Examples:
  durable-inventory namespaces --namespace 'prod-*' --format json
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

#[derive(Debug, Clone, Subcommand)]
pub enum NamespaceDecision {
    /// Mark namespaces as missing after many vanished at once
    ///
    /// If many of an account's namespaces vanish at once, sync marks none as missing and exits with 5, because the token
    /// may see less than before. This command marks those that the account still does not list and whose object list
    /// returns 404.
    #[command(after_long_help = "\
Examples:
  durable-inventory namespaces accept-missing
  durable-inventory namespaces accept-missing 5fd1cafff895419c8bcc647fc64ab8f0")]
    AcceptMissing {
        /// Only these namespaces [default: all that vanished]
        #[arg(value_name = "ID")]
        namespaces: Vec<String>,
    },
    /// Record the objects of a missing namespace as removed
    #[command(after_long_help = "\
Examples:
  durable-inventory namespaces retire 5fd1cafff895419c8bcc647fc64ab8f0
  durable-inventory namespaces retire shop_Cart_pr-1
  durable-inventory namespaces retire --account 0123456789abcdef0123456789abcdef 5fd1cafff895419c8bcc647fc64ab8f0")]
    Retire {
        /// The namespace's id, or its name if that is unique
        #[arg(value_name = "ID_OR_NAME")]
        namespace: String,
        /// Only in this account [default: any]
        #[arg(long, value_name = "ID")]
        account: Option<AccountId>,
    },
}
