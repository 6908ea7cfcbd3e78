//! The document that `sync --notify-url` posts.

use serde::Serialize;

use super::Version;
use super::report::{AttentionEntry, attention};
use crate::report;
use crate::store::RunOutcome;

/// What needs attention at the end of a run: posted to `sync --notify-url`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NotificationDocument<'a> {
    version: Version,
    /// For chats: a line for the run and one for each entry, as many as fit into 2,000 characters.
    text: String,
    /// Null if the run ended before it began to record.
    run_id: Option<i64>,
    outcome: &'static str,
    exit_code: u8,
    /// The most urgent first.
    attention: Vec<AttentionEntry<'a>>,
}

impl<'a> NotificationDocument<'a> {
    pub fn new(
        text: String,
        run_id: Option<i64>,
        outcome: RunOutcome,
        exit_code: u8,
        entries: &'a [report::Attention],
    ) -> Self {
        Self {
            version: Version,
            text,
            run_id,
            outcome: outcome.as_str(),
            exit_code,
            attention: entries.iter().map(attention).collect(),
        }
    }
}
