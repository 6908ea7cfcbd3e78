//! `namespaces`: lists the recorded namespaces, or retires one.

use clap::{Args, Subcommand};

use super::{FilterArgs, OutputArgs};
use crate::model::AccountId;

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
