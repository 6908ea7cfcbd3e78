//! `--namespace` and `--account`, as a filter on recorded namespaces.

use std::collections::BTreeSet;

use durable_inventory::cli::FilterArgs;
use durable_inventory::model::{Namespace, canonical_id};
use durable_inventory::select::{Selection, near};
use durable_inventory::store::{NamespaceRecord, Store};
use durable_inventory::text::shown;
use tracing::warn;

use crate::terminal::Failure;

pub struct Filter<'a> {
    selection: Selection,
    accounts: Vec<&'a str>,
}

impl<'a> Filter<'a> {
    pub fn new(args: &'a FilterArgs) -> Self {
        Self {
            selection: Selection {
                include: args.namespace.clone(),
                exclude: Vec::new(),
            },
            accounts: args.account.iter().map(|account| account.as_str()).collect(),
        }
    }

    /// Fails if namespaces are recorded and this selects none of them: an unattended job must not repeat a mistyped name
    /// for months. Warns of a pattern and an account that select nothing beside others that do.
    pub async fn require_match(&self, store: &Store) -> Result<(), Failure> {
        if self.is_everything() {
            return Ok(());
        }
        let recorded = store.namespaces().await.map_err(|error| Failure::new(error, 1))?;
        match self.mismatch(&recorded) {
            Some(mismatch) if !recorded.iter().any(|there| self.selects_record(there)) => Err(Failure {
                message: mismatch,
                exit_code: 2,
            }),
            Some(mismatch) => {
                warn!("{mismatch}");
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Returns what is said about accounts and patterns that select nothing. An empty record is no mismatch.
    fn mismatch(&self, recorded: &[NamespaceRecord]) -> Option<String> {
        if recorded.is_empty() {
            return None;
        }
        let mut unknown = self.accounts.iter().copied();
        let has_none = |asked: &&str| !recorded.iter().any(|there| is_same(asked, &there.account_id));
        if let Some(unknown) = unknown.find(has_none) {
            let accounts: BTreeSet<_> = recorded.iter().map(|there| shown(&there.account_id)).collect();
            let accounts: Vec<_> = accounts.into_iter().collect();
            return Some(format!(
                "account {unknown} is not recorded; the recorded accounts are {}",
                accounts.join(", ")
            ));
        }
        let in_accounts = |there: &&NamespaceRecord| self.selects_account(&there.account_id);
        let namespaces: Vec<_> = recorded.iter().filter(in_accounts).filter_map(as_namespace).collect();
        let unmatched = self.selection.unmatched(&namespaces);
        match unmatched.is_empty() {
            true => None,
            false => Some(format!(
                "no recorded namespace matches {}{}; `durable-inventory namespaces` lists what is recorded",
                unmatched.join(", "),
                near(&unmatched, namespaces.iter().map(Namespace::label))
            )),
        }
    }

    fn is_everything(&self) -> bool {
        self.accounts.is_empty() && self.selection.include.is_empty()
    }

    pub fn selects_record(&self, namespace: &NamespaceRecord) -> bool {
        self.selects(
            &namespace.account_id,
            &namespace.namespace_id,
            namespace.name.as_deref(),
        )
    }

    /// Selects by account, id and name; `--namespace` has no patterns for script and class.
    pub fn selects(&self, account: &str, namespace: &str, name: Option<&str>) -> bool {
        let Some(namespace) = namespace_of(namespace, name) else {
            return false;
        };
        self.selects_account(account) && self.selection.selects(&namespace)
    }

    fn selects_account(&self, account: &str) -> bool {
        self.accounts.is_empty() || self.accounts.iter().any(|asked| is_same(asked, account))
    }
}

fn is_same(asked: &str, account: &str) -> bool {
    canonical_id(asked) == canonical_id(account)
}

fn as_namespace(record: &NamespaceRecord) -> Option<Namespace> {
    namespace_of(&record.namespace_id, record.name.as_deref())
}

fn namespace_of(id: &str, name: Option<&str>) -> Option<Namespace> {
    Some(Namespace {
        id: id.parse().ok()?,
        name: name.map(str::to_owned),
        script: None,
        class: None,
        use_sqlite: None,
        preview: None,
    })
}
