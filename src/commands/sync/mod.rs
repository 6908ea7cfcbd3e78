//! `sync`: walk, record, and say how it went.

mod export;
mod report;
mod watch;

use std::sync::Arc;

use durable_inventory::cli::{GlobalArgs, OutputFormat, SyncArgs};
use durable_inventory::cloudflare::{Client, Credentials, Endpoint, Limiter, Pace, RetryPolicy};
use durable_inventory::config::{AccountConfig, CredentialsConfig, Settings, SyncConfig};
use durable_inventory::sync::{self, Account, Breaker, Progress, Stop, StopReason};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use self::watch::Watch;
use super::Failure;
use super::signals::stopped;
use super::store::hold_store;
use crate::terminal;
use crate::terminal::progress::Screen;

/// Tells whoever watches the job, and does it.
pub async fn run(
    settings: &Settings<'_>,
    global: &GlobalArgs,
    args: &SyncArgs,
    screen: &Screen,
) -> Result<u8, Failure> {
    let mut watch = Watch::begin(settings, args)?;
    let ended = record(settings, global, args, screen, &mut watch).await;
    let exit_code = ended.as_ref().unwrap_or_else(|failure| &failure.exit_code);
    watch.end(*exit_code).await;
    ended
}

async fn record(
    settings: &Settings<'_>,
    global: &GlobalArgs,
    args: &SyncArgs,
    screen: &Screen,
    watch: &mut Watch,
) -> Result<u8, Failure> {
    let config = settings.sync(args)?;
    let stop = Stop::default();
    let stopped = stopped()?;
    tokio::spawn(stop_when(stopped.clone(), stop.clone()));
    let (accounts, limiters): (Vec<_>, Vec<_>) = accounts(&config)?.into_iter().unzip();
    watch.limiters(limiters);
    // A walk has one transaction open at a time, and reads beside it: the record and, without order, its spool.
    let sessions = 3 * config.concurrency as u32 + 1;
    let progress = Arc::new(Progress::default());
    let asked = sync::Settings {
        concurrency: config.concurrency,
        cursors: config.cursors,
        deadline: config.deadline,
        resume_within: config.resume_within,
        retry_for: config.retry_for,
        rebuild: config.rebuild,
        breaker: Breaker {
            max_removed_percent: config.max_removed_percent,
            max_removed_floor: config.max_removed_floor,
            accept_removals: config.accept_removals,
        },
    };
    // Before the walk: a place that can't be used should not be told after hours.
    let target = match &args.export {
        Some(place) => Some(export::target(place, args, &config).await?),
        None => None,
    };
    let (summary, exported) = hold_store(config.store, global, sessions, &stopped, async |store| {
        let shown = screen.show(progress.clone(), global);
        let summary = sync::sync(store, &accounts, &asked, &stop, &progress).await;
        shown.end();
        let summary = summary.map_err(|error| Failure::new(error, 1))?;
        let exported = match target {
            Some(target) => export::published(store, &summary, target, &stop).await,
            None => Ok(()),
        };
        watch.recorded(store).await;
        Ok((summary, exported))
    })
    .await?;
    let summary = watch.summary.insert(summary);
    let (outcome, mut exit_code) = summary.verdict();
    if let Err(failure) = exported {
        error!("the run is recorded, but it was not exported: {failure}");
        exit_code = export::exit_code(exit_code);
    }
    let text = match args.output.format {
        OutputFormat::Json => report::json(summary, outcome, exit_code)?,
        OutputFormat::Text if global.quiet => report::last_line(summary, outcome),
        OutputFormat::Text => report::text(summary, outcome),
    };
    terminal::out(&text)?;
    Ok(exit_code)
}

/// Accounts with the same credentials share a limiter: the quota is a token's.
pub fn accounts(config: &SyncConfig) -> Result<Vec<(Account, Arc<Limiter>)>, Failure> {
    let mut limiters: Vec<(&CredentialsConfig, Arc<Limiter>)> = Vec::new();
    let mut accounts = Vec::new();
    for account in &config.accounts {
        let known = limiters
            .iter()
            .find(|(credentials, _)| same(credentials, &account.credentials));
        let limiter = match known {
            Some((_, limiter)) => limiter.clone(),
            None => {
                let limiter = Arc::new(Limiter::new(Pace {
                    quota: account.quota,
                    share_percent: account.quota_share,
                    pause_without_retry_after: config.pause_without_retry_after,
                }));
                limiters.push((&account.credentials, limiter.clone()));
                limiter
            }
        };
        let walked = Account {
            id: account.account.clone(),
            client: Arc::new(client(config, account, limiter.clone())?),
            base_url: account.base_url.to_string(),
            limit: account.limit,
            selection: account.selection.clone(),
        };
        accounts.push((walked, limiter));
    }
    Ok(accounts)
}

fn client(config: &SyncConfig, account: &AccountConfig, limiter: Arc<Limiter>) -> Result<Client, Failure> {
    let credentials = match &account.credentials {
        CredentialsConfig::Token(token) => Credentials::Token(token.clone()),
        CredentialsConfig::Key { email, key } => Credentials::Key {
            email: email.clone(),
            key: key.clone(),
        },
    };
    let endpoint = Endpoint {
        connect_timeout: config.connect_timeout,
        read_timeout: config.read_timeout,
        ..Endpoint::new(account.base_url.clone(), credentials)
    };
    let retry = RetryPolicy {
        budget: config.retry_for,
        ..RetryPolicy::default()
    };
    Client::new(endpoint, limiter, retry).map_err(|error| Failure::new(error, 2))
}

fn same(one: &CredentialsConfig, other: &CredentialsConfig) -> bool {
    match (one, other) {
        (CredentialsConfig::Token(one), CredentialsConfig::Token(other)) => {
            one.expose_secret() == other.expose_secret()
        }
        (CredentialsConfig::Key { key: one, .. }, CredentialsConfig::Key { key: other, .. }) => {
            one.expose_secret() == other.expose_secret()
        }
        _ => false,
    }
}

/// Asks the walks to finish their current page when a signal arrives. What was committed is kept either way.
async fn stop_when(stopped: CancellationToken, stop: Stop) {
    stopped.cancelled().await;
    warn!("stopping after the page in hand; a second signal stops at once");
    stop.stop(StopReason::Signal);
}
