//! How one namespace's part of a run ended, for the run to act on and for people to read.

use std::time::Instant;

use tracing::{error, info, warn};

use crate::model::Counts;
use crate::store::{StoreError, Walk};
use crate::text::{chain, shown};

use super::namespace::Planned;
use super::outcome::{NamespaceOutcome, Status};

/// What is known at the end, besides the walk.
pub(super) struct End {
    pub(super) status: Status,
    pub(super) error: Option<String>,
    pub(super) requests_in_vain: u64,
    /// The API refused the credentials, perhaps for everything that the account has.
    pub(super) unauthorized: bool,
    /// The database is what failed: when it is back, the walk may go on.
    pub(super) database_lost: bool,
}

impl End {
    pub(super) fn new(status: Status, error: Option<String>) -> Self {
        Self {
            status,
            error,
            requests_in_vain: 0,
            unauthorized: false,
            database_lost: false,
        }
    }

    /// What the store's failure means for a namespace.
    pub(super) fn of(error: &StoreError) -> Self {
        let database_lost = error.is_connection_lost();
        let status = if error.is_passing() {
            Status::Interrupted
        } else {
            Status::Failed
        };
        Self {
            database_lost,
            ..Self::new(status, Some(chain(error)))
        }
    }

    /// With what the walk came to, if it began.
    pub(super) fn outcome(&self, planned: &Planned<'_>, walk: Option<&Walk>, begun: Instant) -> NamespaceOutcome {
        let checkpoint = walk.map(|walk| &walk.checkpoint);
        NamespaceOutcome {
            account: planned.account.id.clone(),
            namespace: planned.namespace.id.clone(),
            name: planned.namespace.name.clone(),
            status: self.status,
            snapshot_id: walk.map(|walk| walk.snapshot_id),
            baseline: walk.is_some_and(|walk| walk.base.is_none()),
            counts: checkpoint.map_or_else(Counts::default, |checkpoint| checkpoint.counts),
            pages: checkpoint.map_or(0, |checkpoint| checkpoint.pages),
            requests: checkpoint.map_or(0, |checkpoint| checkpoint.requests) + self.requests_in_vain,
            resumed: checkpoint.map_or(0, |checkpoint| checkpoint.resumed),
            elapsed: begun.elapsed(),
            error: self.error.clone(),
        }
    }
}

/// Logs it.
pub(super) fn tell(outcome: &NamespaceOutcome) {
    let (namespace, status) = (&outcome.namespace, outcome.status.as_str());
    // A mail that has no table still says which one it was.
    let name = outcome.name.as_deref().map(shown);
    let objects = outcome.counts.objects();
    match (&outcome.error, outcome.status) {
        (None, _) => info!(%namespace, name, objects, "{status}"),
        (Some(why), Status::Failed) => error!(%namespace, name, "{status}: {why}"),
        (Some(why), _) => warn!(%namespace, name, "{status}: {why}"),
    }
}
