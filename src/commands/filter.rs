//! `--namespace` and `--account` of the commands that look.

use durable_inventory::cli::FilterArgs;
use durable_inventory::export::ExportError;
use durable_inventory::model::{Namespace, canonical_id};
use durable_inventory::select::Selection;
use durable_inventory::store::NamespaceRecord;

use super::Failure;

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

    /// Why a list is empty.
    pub fn nothing(&self, what: &str) -> String {
        if self.is_everything() {
            format!("no {what} is recorded yet; `durable-inventory sync` does it\n")
        } else {
            format!("no recorded {what} matches --namespace and --account\n")
        }
    }

    /// Where a list would be empty, and the work is not done. What nobody has recorded yet can't be worked on, and is no
    /// mistake; names that nothing has are one, which an unattended job must not repeat for months.
    pub fn refuse_no_match(&self) -> Result<(), Failure> {
        match self.is_everything() {
            true => Ok(()),
            false => Err(Failure {
                message: ExportError::NothingSelected.to_string(),
                exit_code: 1,
            }),
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

    /// By id and name, which is all that these patterns ask about.
    pub fn selects(&self, account: &str, namespace: &str, name: Option<&str>) -> bool {
        let Ok(id) = namespace.parse() else { return false };
        let namespace = Namespace {
            id,
            name: name.map(str::to_owned),
            script: None,
            class: None,
            use_sqlite: None,
            preview: None,
        };
        let mut accounts = self.accounts.iter();
        (self.accounts.is_empty() || accounts.any(|asked| canonical_id(asked) == canonical_id(account)))
            && self.selection.selects(&namespace)
    }
}
