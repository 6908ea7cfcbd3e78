//! Whose a row of a file is.

use super::owners::{Fate, Owner, Owners};
use crate::export::read::RowRef;

/// Turns what rows say of their owner into its number; most rows have that of the row before.
pub(super) struct Whose<'a> {
    side: usize,
    owners: &'a Owners,
    /// What the rows don't say.
    default: Owner,
    account: Option<Vec<u8>>,
    namespace: Option<Vec<u8>>,
    last: Option<(u32, Fate)>,
}

impl<'a> Whose<'a> {
    pub(super) const TOO_MANY: &'static str = "too many";

    pub(super) fn new(side: usize, owners: &'a Owners, default: Owner) -> Self {
        Self {
            side,
            owners,
            default,
            account: None,
            namespace: None,
            last: None,
        }
    }

    /// Or the column that the row lacks.
    pub(super) fn of(&mut self, row: &RowRef<'_>) -> Result<(u32, Fate), &'static str> {
        if let Some(last) = self.last
            && row.account_id == self.account.as_deref()
            && row.namespace_id == self.namespace.as_deref()
        {
            return Ok(last);
        }
        let [account, namespace] = [row.account_id, row.namespace_id].map(|cell| cell.map(String::from_utf8_lossy));
        let Owner {
            account_id,
            namespace_id,
        } = Owner::new(account.as_deref(), namespace.as_deref());
        let owner = Owner {
            account_id: account_id.or_else(|| self.default.account_id.clone()),
            namespace_id: namespace_id.or_else(|| self.default.namespace_id.clone()),
        };
        if self.owners.by_namespace() && owner.namespace_id.is_none() {
            return Err("namespace_id");
        }
        if self.owners.by_account() && owner.account_id.is_none() {
            return Err("account_id");
        }
        let number = self.owners.number(&owner).ok_or(Self::TOO_MANY)?;
        let fate = self.owners.fate(self.side, number);
        self.account = row.account_id.map(<[u8]>::to_vec);
        self.namespace = row.namespace_id.map(<[u8]>::to_vec);
        self.last = Some((number, fate));
        Ok((number, fate))
    }
}
