//! The settings of a run, as plain values.

use std::sync::Arc;
use std::time::Duration;

use crate::cloudflare::Client;
use crate::model::AccountId;
use crate::select::Selection;
use crate::units::Cursors;

/// An account to walk. Accounts with the same token share the limiter inside their clients.
pub struct Account {
    pub id: AccountId,
    pub client: Arc<Client>,
    /// The API that the account's record is bound to.
    pub base_url: String,
    /// Objects per page: 10 to 10,000.
    pub limit: u32,
    pub selection: Selection,
}

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Namespaces that are walked in parallel.
    pub concurrency: usize,
    /// Per namespace.
    pub cursors: Cursors,
    /// A walk whose last page is older than this starts over.
    pub resume_within: Duration,
    /// How long to wait for a lost database before its namespaces are left to the next run.
    pub retry_for: Duration,
    pub removal_guard: RemovalGuard,
    /// Believe the rows instead of the digest that says what they should be: repairs a record that was changed by other
    /// means.
    pub rebuild: bool,
}

/// The guard against mass removals (promise 7).
#[derive(Debug, Clone, Copy)]
pub struct RemovalGuard {
    pub max_removed_percent: u8,
    /// A snapshot of a smaller namespace is never held.
    pub max_removed_floor: u64,
    /// Publish every snapshot.
    pub accept_removals: bool,
}

impl RemovalGuard {
    /// Whether to hold a snapshot that would remove, or turn to unknown, `lost` of a namespace's `objects`.
    pub fn holds(&self, lost: u64, objects: u64) -> bool {
        !self.accept_removals
            && objects >= self.max_removed_floor
            && u128::from(lost) * 100 > u128::from(objects) * u128::from(self.max_removed_percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_share_of_a_large_enough_namespace_is_held() {
        let removal_guard = RemovalGuard {
            max_removed_percent: 30,
            max_removed_floor: 10,
            accept_removals: false,
        };
        for (lost, objects, held) in [
            (3, 10, false),
            (4, 10, true),
            (9, 9, false),
            (0, 0, false),
            (30, 100, false),
            (31, 100, true),
            (u64::MAX, u64::MAX, true),
        ] {
            assert_eq!(removal_guard.holds(lost, objects), held, "{lost} of {objects}");
            assert!(
                !RemovalGuard {
                    accept_removals: true,
                    ..removal_guard
                }
                .holds(lost, objects)
            );
        }
    }
}
