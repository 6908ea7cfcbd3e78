//! The document of `check`.

use serde::Serialize;

use super::Version;

/// Whether everything is in place for a sync: `check --format json`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CheckDocument {
    version: Version,
    /// Whether no finding is wrong; the exit code is 0 then, and 2 otherwise.
    ok: bool,
    findings: Vec<CheckFinding>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CheckFinding {
    item: String,
    /// ok, wrong, note (it works but should be changed) or skipped (it could not be checked).
    status: &'static str,
    /// What was found, and what to do about it.
    detail: String,
}

impl CheckDocument {
    pub fn new(ok: bool, findings: Vec<CheckFinding>) -> Self {
        Self {
            version: Version,
            ok,
            findings,
        }
    }
}

impl CheckFinding {
    pub fn new(item: &str, status: &'static str, detail: &str) -> Self {
        Self {
            item: item.to_owned(),
            status,
            detail: detail.to_owned(),
        }
    }
}
