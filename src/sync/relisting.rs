//! The namespace list, requested again in a run because a listed namespace was not found.

use std::collections::HashSet;

use tokio::sync::Mutex;
use tracing::warn;

use crate::model::{Namespace, NamespaceId};
use crate::text::{chain, shown};

use super::settings::Account;
use super::shutdown::Shutdown;

/// Maximum number of repeated namespace lists per account and run.
const MOST_LISTS: u8 = 3;

/// What the newest list of a run says about a namespace.
pub(super) enum Relisted {
    /// The list is whole and lacks it.
    Absent,
    Listed,
    Unknown,
}

/// The lists of one account that a run requested after its first one.
pub(super) struct Relisting {
    /// Locked while the list is requested: walks that get a 404 at the same time wait for that response.
    lists: Mutex<Lists>,
}

struct Lists {
    left: u8,
    /// The newest one that is known to be whole.
    newest: Option<HashSet<NamespaceId>>,
}

impl Relisting {
    pub(super) fn new() -> Self {
        Self {
            lists: Mutex::new(Lists {
                left: MOST_LISTS,
                newest: None,
            }),
        }
    }

    /// Whether the account's list lacks a namespace whose object list was just not found. A list of this run that
    /// lacked it before is enough.
    pub(super) async fn lacks(&self, account: &Account, namespace: &Namespace, stop: &Shutdown) -> Relisted {
        let mut lists = self.lists.lock().await;
        let lacks = |list: &HashSet<_>| !list.contains(&namespace.id);
        if lists.newest.as_ref().is_some_and(lacks) {
            return Relisted::Absent;
        }
        if lists.left == 0 {
            return lists.newest.as_ref().map_or(Relisted::Unknown, |_| Relisted::Listed);
        }
        lists.left -= 1;
        let listing = tokio::select! {
            biased;
            _ = stop.stopped() => return Relisted::Unknown,
            listing = account.client.list_namespaces(&account.id) => listing,
        };
        let unknown = match listing.map(|listing| (listing.doubt_for_recorded(), listing.namespaces)) {
            Ok((None, namespaces)) => {
                let list: HashSet<_> = namespaces.into_iter().map(|there| there.id).collect();
                let relisted = if lacks(&list) {
                    Relisted::Absent
                } else {
                    Relisted::Listed
                };
                lists.newest = Some(list);
                return relisted;
            }
            Ok((Some(doubt), _)) => doubt,
            Err(error) => chain(&error),
        };
        let (namespace, name) = (&namespace.id, shown(namespace.label()));
        warn!(account = %account.id, %namespace, name, "its object list returned 404, but the namespace list could not confirm that it was \
                                                        removed: {unknown}");
        Relisted::Unknown
    }
}
