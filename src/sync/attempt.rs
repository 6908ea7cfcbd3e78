//! The result of one attempt at a namespace, and the outcome that the run reports for it.

use std::time::Instant;

use tracing::{error, info, warn};

use crate::store::StoreError;
use crate::text::{chain, shown};

use super::OUTCOME;
use super::ending::status_after;
use super::outcome::{NamespaceOutcome, Status};
use super::plan::Planned;
use super::progress::WalkProgress;

/// How an attempt ended. What its walk reached is in [`WalkProgress`].
pub(super) struct AttemptResult {
    pub(super) status: Status,
    pub(super) error: Option<String>,
    /// Requests that brought no page.
    pub(super) wasted_requests: u64,
    /// The API refused the credentials, perhaps for everything that the account has.
    pub(super) unauthorized: bool,
    /// The database failed. The attempt is worth repeating when it is back.
    pub(super) database_lost: bool,
}

impl AttemptResult {
    pub(super) fn new(status: Status, error: Option<String>) -> Self {
        Self {
            status,
            error,
            wasted_requests: 0,
            unauthorized: false,
            database_lost: false,
        }
    }

    pub(super) fn interrupted(why: String) -> Self {
        Self::new(Status::Interrupted, Some(why))
    }

    /// What a failed statement means for the namespace.
    pub(super) fn of(error: &StoreError) -> Self {
        Self {
            database_lost: error.is_connection_error(),
            ..Self::new(status_after(error), Some(chain(error)))
        }
    }

    pub(super) fn outcome(self, planned: &Planned<'_>, progress: &WalkProgress, begun: Instant) -> NamespaceOutcome {
        let mut outcome = NamespaceOutcome::of(planned, self.status, self.error);
        if let Some(reached) = progress.last_reached() {
            outcome.snapshot_id = Some(reached.snapshot_id);
            outcome.baseline = reached.baseline;
            outcome.counts = reached.checkpoint.counts;
            outcome.pages = reached.checkpoint.pages;
            outcome.requests = reached.checkpoint.requests;
            outcome.resumed = reached.checkpoint.resumed;
        }
        outcome.requests += self.wasted_requests;
        outcome.elapsed = begun.elapsed();
        outcome
    }
}

pub(super) fn log_outcome(outcome: &NamespaceOutcome) {
    let namespace = &outcome.namespace;
    // A quiet run prints no table, so the line has to name the namespace.
    let name = outcome.name.as_deref().map(shown);
    let objects = outcome.counts.objects();
    match (outcome.problem(), outcome.status) {
        (None, status) => info!(target: OUTCOME, %namespace, name, objects, "{}", status.as_str()),
        (Some(problem), Status::Failed) => error!(target: OUTCOME, %namespace, name, "{problem}"),
        (Some(problem), _) => warn!(target: OUTCOME, %namespace, name, "{problem}"),
    }
}
