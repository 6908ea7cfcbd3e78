//! `sync`: walks the namespaces, records what changed, and reports the outcome, which also decides the exit code.

mod export;
mod notification;
mod observer;
mod report;

use std::sync::Arc;

use durable_inventory::cli::{OutputFormat, SyncArgs};
use durable_inventory::config::Settings;
use durable_inventory::documents::SyncDocument;
use durable_inventory::sync::{self, Progress, Shutdown, StopReason, SyncError};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use self::observer::RunObserver;
use super::connections::connect;
use super::export::check_network;
use super::signals::stopped;
use super::store::{hold_store, stopped_by_a_signal, until};
use crate::terminal::progress::Screen;
use crate::terminal::suggested::complete;
use crate::terminal::{self, Failure};

/// Runs the job between its notifications.
pub async fn run(settings: &Settings<'_>, args: &SyncArgs, screen: &Screen) -> Result<u8, Failure> {
    let mut observer = RunObserver::begin(settings, args)?;
    let ended = record(settings, args, screen, &mut observer).await;
    let exit_code = match &ended {
        Ok(exit_code) => *exit_code,
        Err(failure) => {
            observer.failures.push(failure.message.clone());
            failure.exit_code
        }
    };
    observer.end(exit_code).await;
    ended
}

async fn record(
    settings: &Settings<'_>,
    args: &SyncArgs,
    screen: &Screen,
    observer: &mut RunObserver,
) -> Result<u8, Failure> {
    let stop = Shutdown::default();
    let stopped = stopped()?;
    tokio::spawn(stop_when(stopped, stop.clone()));
    if let Some(deadline) = args.deadline {
        tokio::spawn(stop.clone().stop_after(deadline));
    }
    let (config, accounts) = until(stop.token(), connect(settings, args))
        .await
        .map_err(|failure| deadline_or(failure, &stop))?;
    let (accounts, limiters): (Vec<_>, Vec<_>) = accounts.into_iter().unzip();
    observer.limiters(limiters);
    // Each walk needs up to three: its open transaction, the recorded rows and, for unordered ids, the spool.
    let sessions = 3 * config.run.concurrency as u32 + 1;
    let progress = Arc::new(Progress::default());
    // Before the walk, so that an unusable place is reported at once and not after hours.
    let target = match &args.export {
        Some(place) => {
            check_network(settings, place)?;
            Some(export::target(place, args, &config).await?)
        }
        None => None,
    };
    let recorded = hold_store(config.store, sessions, stop.token(), async |store| {
        let shown = screen.show(progress.clone(), settings.global);
        let summary = sync::sync(store, &accounts, &config.run, &stop, &progress).await;
        shown.end();
        let summary = summary.map_err(|error| match error {
            SyncError::Stopped(_) => stopped_by_a_signal(),
            error => Failure::new(error, 1),
        })?;
        let exported = match target {
            Some(target) => export::published(store, &summary, target, &stop).await,
            None => Ok(()),
        };
        if stop.finish(observer.recorded(store)).await.is_err() {
            warn!("--metrics-file and --notify-url lack the record's figures: the database did not respond in time");
        }
        Ok((summary, exported))
    })
    .await;
    let (summary, exported) = recorded.map_err(|failure| deadline_or(failure, &stop))?;
    let summary = observer.summary.insert(summary);
    let (outcome, mut exit_code) = summary.verdict();
    if let Err(failure) = exported {
        let why = format!("the run is recorded, but its export failed: {failure}");
        error!("{why}");
        observer.failures.push(why);
        exit_code = export::exit_code(exit_code);
    }
    let text = match args.output.format() {
        OutputFormat::Json => terminal::json(SyncDocument::new(summary, outcome, exit_code))?,
        OutputFormat::Text if settings.global.quiet => report::last_line(summary, outcome),
        OutputFormat::Text => complete(&report::text(summary, outcome)).into_owned(),
    };
    terminal::out(&text)?;
    Ok(exit_code)
}

/// The failure of a run that was stopped early, by whatever stopped it.
fn deadline_or(failure: Failure, stop: &Shutdown) -> Failure {
    match (failure.exit_code, stop.reason()) {
        (130, Some(StopReason::Deadline)) => Failure {
            message: "the deadline passed before the run could be recorded".to_owned(),
            exit_code: 3,
        },
        _ => failure,
    }
}

/// Asks the walks to finish their current page when a signal arrives. What was committed is kept either way.
async fn stop_when(stopped: CancellationToken, stop: Shutdown) {
    stopped.cancelled().await;
    warn!("stopping after the current page; a second signal stops at once");
    stop.stop(StopReason::Signal);
}
