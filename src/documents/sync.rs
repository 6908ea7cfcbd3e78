//! The document of `sync`.

use serde::Serialize;

use super::{Changes, Version};
use crate::model::AccountId;
use crate::store::RunOutcome;
use crate::sync::{NamespaceOutcome, Summary};

/// What a run did: `sync --format json`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SyncDocument<'a> {
    version: Version,
    run_id: i64,
    outcome: &'static str,
    exit_code: u8,
    namespaces: Vec<Namespace<'a>>,
    /// Accounts in which nothing could be walked.
    accounts_failed: Vec<Account<'a>>,
    /// Accounts whose namespace list may be cut short.
    lists_doubtful: Vec<Account<'a>>,
    /// Accounts of which many namespaces vanished at once; none of these was marked as missing.
    mass_vanishings: Vec<Account<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Account<'a> {
    account_id: &'a str,
    error: &'a str,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Namespace<'a> {
    account_id: &'a str,
    namespace_id: &'a str,
    name: Option<&'a str>,
    /// complete, held, interrupted, failed, superseded, busy, missing or vanished.
    status: &'static str,
    snapshot_id: Option<i32>,
    objects: u64,
    with_data: u64,
    without_data: u64,
    unknown: u64,
    #[serde(flatten)]
    changes: Changes,
    pages: u64,
    requests: u64,
    resumed: u64,
    seconds: f64,
    error: Option<&'a str>,
}

impl<'a> SyncDocument<'a> {
    pub fn new(summary: &'a Summary, outcome: RunOutcome, exit_code: u8) -> Self {
        let failed = summary.failed_accounts.iter();
        let doubtful = summary.doubtful_lists.iter();
        let vanished = summary.mass_vanishings.iter();
        Self {
            version: Version,
            run_id: summary.run_id,
            outcome: outcome.as_str(),
            exit_code,
            namespaces: summary.namespaces.iter().map(namespace).collect(),
            accounts_failed: failed.map(|of| account(&of.account, &of.error)).collect(),
            lists_doubtful: doubtful.map(|of| account(&of.account, &of.why)).collect(),
            mass_vanishings: vanished.map(|of| account(&of.account, &of.why)).collect(),
        }
    }
}

fn account<'a>(account: &'a AccountId, error: &'a str) -> Account<'a> {
    Account {
        account_id: account.as_str(),
        error,
    }
}

fn namespace(namespace: &NamespaceOutcome) -> Namespace<'_> {
    let counts = &namespace.counts;
    Namespace {
        account_id: namespace.account.as_str(),
        namespace_id: namespace.namespace.as_str(),
        name: namespace.name.as_deref(),
        status: namespace.status.as_str(),
        snapshot_id: namespace.snapshot_id,
        objects: counts.objects(),
        with_data: counts.with_data,
        without_data: counts.without_data,
        unknown: counts.unknown,
        changes: (&counts.changes).into(),
        pages: namespace.pages,
        requests: namespace.requests,
        resumed: namespace.resumed,
        seconds: (namespace.elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
        error: namespace.error.as_deref(),
    }
}
