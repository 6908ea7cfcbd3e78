//! Whether an account's credentials are refused altogether, or for one namespace only.

use std::sync::OnceLock;

use tokio::sync::Mutex;
use tracing::{error, warn};

use crate::cloudflare::ErrorKind;
use crate::text::chain;

use super::SUMMARIZED;
use super::settings::Account;
use super::shutdown::Shutdown;

/// Requests for the account's namespace list that a run sends at most to test its credentials.
const MOST_TRIALS: u8 = 3;

/// What a run learns about one account's credentials.
pub(super) struct CredentialCheck {
    /// Locked while the list is requested: walks that are refused at the same time wait for that response.
    trials_left: Mutex<u8>,
    /// Why the account stopped.
    pub(super) refused: OnceLock<String>,
}

impl CredentialCheck {
    pub(super) fn new() -> Self {
        Self {
            trials_left: Mutex::new(MOST_TRIALS),
            refused: OnceLock::new(),
        }
    }

    /// Stops the account if its namespace list is refused, as a walk was. The list is requested once, and again only if
    /// the response settled nothing.
    pub(super) async fn test(&self, account: &Account, stop: &Shutdown) {
        let mut trials_left = self.trials_left.lock().await;
        if *trials_left == 0 {
            return;
        }
        let tried = tokio::select! {
            biased;
            _ = stop.stopped() => return,
            tried = account.client.try_credentials(&account.id) => tried,
        };
        match tried {
            Ok(()) => *trials_left = 0,
            Err(refusal) if matches!(refusal.kind(), ErrorKind::Unauthorized | ErrorKind::Forbidden) => {
                *trials_left = 0;
                let why = chain(&refusal);
                let stops = "no further namespace of this account is synced in this run";
                error!(target: SUMMARIZED, account = %account.id, "{why}: {stops}");
                // Set once, as there is no further trial.
                let _first = self.refused.set(why);
            }
            Err(unsettled) => {
                *trials_left -= 1;
                warn!(account = %account.id, "{}", chain(&unsettled));
            }
        }
    }
}
