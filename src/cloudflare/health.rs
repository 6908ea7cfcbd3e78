//! What a run has learned about one API. All clients of a base URL share it, so that an outage costs the retry budget
//! once, not once per namespace.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The state of one API in one run.
#[derive(Default)]
pub struct ApiHealth(Mutex<State>);

#[derive(Default)]
struct State {
    /// The API's envelope was received. Until then, the base URL may be wrong.
    responded: bool,
    last_response: Option<Instant>,
    /// When the oldest request was sent that failed since `last_response`.
    failing_since: Option<Instant>,
}

impl ApiHealth {
    /// Notes that the API's envelope was received, with whatever content.
    pub(super) fn note_envelope(&self) {
        self.state().responded = true;
    }

    /// Notes a success, or a refusal that only a working API can send. Either ends an outage.
    pub(super) fn note_response(&self) {
        let mut state = self.state();
        state.last_response = Some(Instant::now());
        state.failing_since = None;
    }

    /// Notes a transient error of a request that was sent at this time. Returns how long the outage has lasted. Time
    /// without requests before the outage does not count.
    pub(super) fn note_failure(&self, sent: Instant) -> Duration {
        let mut state = self.state();
        let began = state.last_response.map_or(sent, |response| response.max(sent));
        let since = state.failing_since.map_or(began, |since| since.min(began));
        state.failing_since = Some(since);
        since.elapsed()
    }

    /// Ends an outage whose failures have another cause.
    pub(super) fn forgive(&self) {
        self.state().failing_since = None;
    }

    /// Whether the API's envelope was received in this run.
    pub(super) fn has_responded(&self) -> bool {
        self.state().responded
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
