//! Observes a run for monitoring: a metrics file and an address to ping. Their failures neither delay nor fail the run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use durable_inventory::cli::SyncArgs;
use durable_inventory::cloudflare::Limiter;
use durable_inventory::config::Settings;
use durable_inventory::metrics::{self, RunMetrics};
use durable_inventory::ping::Ping;
use durable_inventory::store::{NamespaceRecord, RunOutcome, Store};
use durable_inventory::sync::Summary;
use durable_inventory::text::chain;
use time::OffsetDateTime;
use tracing::{error, warn};

use crate::terminal::Failure;

pub struct RunObserver {
    begun: Instant,
    ping: Option<Ping>,
    metrics_file: Option<PathBuf>,
    limiters: Vec<Arc<Limiter>>,
    rows: Option<Vec<NamespaceRecord>>,
    pub summary: Option<Summary>,
}

impl RunObserver {
    /// Notifies the address that the job began.
    pub fn begin(settings: &Settings<'_>, args: &SyncArgs) -> Result<Self, Failure> {
        let refuse = |error| Failure {
            message: format!("--ping-url or DURABLE_INVENTORY_PING_URL: {error}"),
            exit_code: 2,
        };
        let ping = match settings.ping_url(args)? {
            Some(url) => {
                let mut ping = Ping::new(&url).map_err(refuse)?;
                ping.start();
                Some(ping)
            }
            None => None,
        };
        Ok(Self {
            begun: Instant::now(),
            ping,
            metrics_file: args.metrics_file.clone(),
            limiters: Vec::new(),
            rows: None,
            summary: None,
        })
    }

    /// Registers the limiters to sum up. One that several accounts share counts once.
    pub fn limiters(&mut self, limiters: Vec<Arc<Limiter>>) {
        for limiter in limiters {
            if !self.limiters.iter().any(|known| Arc::ptr_eq(known, &limiter)) {
                self.limiters.push(limiter);
            }
        }
    }

    /// Reads the record after the run, for the metrics file.
    pub async fn recorded(&mut self, store: &Store) {
        if self.metrics_file.is_none() {
            return;
        }
        match store.namespaces().await {
            Ok(rows) => self.rows = Some(rows),
            Err(error) => warn!("{}", chain(&error)),
        }
    }

    /// Writes the metrics file, and notifies the address that the job ended.
    pub async fn end(self, exit_code: u8) {
        if let Some(path) = &self.metrics_file
            && let Err(error) = metrics::write(path, &self.metrics(exit_code))
        {
            error!("--metrics-file {}: could not write the file: {error}", path.display());
        }
        if let Some(ping) = self.ping {
            ping.end(exit_code).await;
        }
    }

    fn metrics(&self, exit_code: u8) -> RunMetrics<'_> {
        let stats = self.limiters.iter().map(|limiter| limiter.stats());
        let outcome = self
            .summary
            .as_ref()
            .map_or(RunOutcome::Failed, |summary| summary.verdict().0);
        RunMetrics {
            ended_at: OffsetDateTime::now_utc(),
            elapsed: self.begun.elapsed(),
            exit_code,
            outcome,
            requests: stats.clone().map(|stats| stats.sent).sum(),
            throttled: stats.map(|stats| stats.throttled).sum(),
            summary: self.summary.as_ref(),
            recorded: self.rows.as_deref(),
        }
    }
}
