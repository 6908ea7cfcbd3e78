//! The lines of `diff --format jsonl`.

use serde::Serialize;

use super::{Changes, Version};
use crate::diff::{DiffCounts, NamespaceKey};

/// One object that differs.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DiffLine<'a> {
    pub version: Version,
    /// Null if neither side says it.
    pub account_id: Option<&'a str>,
    /// Null if neither side says it.
    pub namespace_id: Option<&'a str>,
    pub object_id: &'a str,
    /// created, removed, data_gained, data_lost, data_known or data_unknown.
    pub change: &'a str,
    /// with_data, without_data or unknown; null if the object was not there, or if its side does not say it.
    pub old_state: Option<&'a str>,
    /// As `old_state`, of the other side.
    pub new_state: Option<&'a str>,
}

/// The counts of one namespace: a line of `diff --summary --format jsonl`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DiffSummaryLine {
    version: Version,
    /// Null if neither side says it.
    account_id: Option<String>,
    /// Null if neither side says it.
    namespace_id: Option<String>,
    #[serde(flatten)]
    changes: Changes,
    same: u64,
    /// Objects of both sides of which only one says whether they hold data.
    not_comparable: u64,
}

impl DiffSummaryLine {
    pub fn new(key: &NamespaceKey, counts: &DiffCounts) -> Self {
        let text = |id: &Option<_>| id.as_ref().map(ToString::to_string);
        Self {
            version: Version,
            account_id: text(&key.account_id),
            namespace_id: text(&key.namespace_id),
            changes: (&counts.changes).into(),
            same: counts.same,
            not_comparable: counts.not_comparable,
        }
    }
}
