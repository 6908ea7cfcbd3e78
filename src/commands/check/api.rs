//! Checks token, permission, namespaces, quota and clock with a few requests per account: the namespace list and one
//! page of objects. A fault is a finding and is not retried.

use std::sync::Arc;
use std::time::Duration;

use durable_inventory::cli::SyncArgs;
use durable_inventory::cloudflare::{ErrorKind, Limiter, NamespaceListing};
use durable_inventory::config::{Settings, SyncConfig};
use durable_inventory::model::Namespace;
use durable_inventory::sync::Account;
use durable_inventory::text::{chain, shown};

use super::Findings;
use crate::commands::connections::Connections;
use crate::terminal::Failure;
use crate::terminal::table::number;

/// The API's default page size. Much smaller pages have been refused.
const FEW: u32 = 1_000;

/// Returns what a sync would use, or `None` after reporting why there is nothing.
pub async fn configuration(
    settings: &Settings<'_>,
    connections: &mut Connections,
    findings: &mut Findings,
) -> Result<Option<SyncConfig>, Failure> {
    let args = SyncArgs {
        retry_for: Some(Duration::ZERO),
        ..SyncArgs::default()
    };
    match connections.configuration(settings, &args).await {
        Ok(config) => {
            let ids: Vec<_> = config.accounts.iter().map(|account| account.id.as_str()).collect();
            let (what, ids) = (if ids.len() == 1 { "account" } else { "accounts" }, ids.join(", "));
            findings.right("configuration", &format!("{what} {ids}"))?;
            Ok(Some(config))
        }
        Err(failure) => {
            findings.wrong("configuration", &failure.message)?;
            Ok(None)
        }
    }
}

/// Returns how far this machine's clock is ahead of the API's.
pub async fn look(
    config: &SyncConfig,
    connections: &mut Connections,
    findings: &mut Findings,
) -> Result<Option<i64>, Failure> {
    let accounts = match connections.accounts(config).await {
        Ok(accounts) => accounts,
        Err(failure) => {
            findings.wrong("token", &failure.message)?;
            findings.skipped("permission, namespaces, quota", "there is no token")?;
            return Ok(None);
        }
    };
    let mut ahead = None;
    for (account, limiter) in &accounts {
        let about = |what: &str| match accounts.len() {
            1 => what.to_owned(),
            _ => format!("{what} of account {}", account.id),
        };
        match account.client.list_namespaces(&account.id).await {
            Ok(listing) => {
                findings.right(&about("token"), "accepted")?;
                permission(account, &listing.namespaces, &about("permission"), findings).await?;
                namespaces(account, &listing, &about("namespaces"), findings)?;
            }
            Err(error) => {
                let what = match error.kind() {
                    ErrorKind::Unauthorized | ErrorKind::Forbidden => "token",
                    _ => "API",
                };
                findings.wrong(&about(what), &chain(&error))?;
                findings.skipped(&about("permission, namespaces"), "the first request failed")?;
            }
        }
        quota(limiter, &about("quota"), findings)?;
        ahead = limiter.stats().clock_ahead_s.or(ahead);
    }
    Ok(ahead)
}

async fn permission(
    account: &Account,
    listed: &[Namespace],
    what: &str,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let selected = listed.iter().find(|namespace| account.selection.selects(namespace));
    let Some(namespace) = selected.or(listed.first()) else {
        return findings.right(what, "namespaces can be listed; there is none to list objects of");
    };
    match account.client.list_objects(&account.id, &namespace.id, FEW, None).await {
        Ok(_) => findings.right(
            what,
            &format!("objects can be listed (tried with {})", shown(namespace.label())),
        ),
        Err(error) => findings.wrong(what, &chain(&error)),
    }
}

fn namespaces(
    account: &Account,
    listing: &NamespaceListing,
    what: &str,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let listed = &listing.namespaces;
    let selected = listed
        .iter()
        .filter(|namespace| account.selection.selects(namespace))
        .count();
    let of = format!("{} listed", number(listed.len() as u64));
    let would_be = format!("{} of {of} would be synced", number(selected as u64));
    if let Some(doubt) = &listing.doubt {
        let why = format!(
            "the list may be incomplete: {doubt}; {would_be}, and sync would exit with 3: retry later, and if this \
             persists, check the API base URL"
        );
        return findings.wrong(what, &why);
    }
    if listing.is_null {
        findings.doubtful(what, "the result of the list is null, which counts as an empty list")?;
    }
    let unmatched = account.selection.unmatched(listed);
    if selected == 0 && !unmatched.is_empty() {
        let why = format!("none of {of} matches {}: check how it is written", unmatched.join(", "));
        return findings.wrong(what, &why);
    }
    findings.right(what, &would_be)
}

fn quota(limiter: &Arc<Limiter>, what: &str, findings: &mut Findings) -> Result<(), Failure> {
    let stats = limiter.stats();
    match stats.remaining {
        _ if stats.throttled > 0 => findings.wrong(
            what,
            "used up: the API is limiting requests, and a sync would wait; check what else uses the token, or lower --quota-share",
        ),
        Some(remaining) => {
            let left = number(remaining);
            findings.right(
                what,
                &format!("{left} requests left in the current window"),
            )
        }
        None => findings.skipped(what, "the API does not report how many requests are left"),
    }
}
