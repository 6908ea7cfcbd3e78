//! Observes a run for monitoring: a metrics file, an address to ping, and one that is sent what needs attention. Their
//! failures neither delay the run for long nor fail it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use durable_inventory::cli::SyncArgs;
use durable_inventory::cloudflare::Limiter;
use durable_inventory::config::Settings;
use durable_inventory::metrics::{self, RunMetrics};
use durable_inventory::notify::{AddressError, Ping, Webhook};
use durable_inventory::report::{self, Attention, ReportOptions};
use durable_inventory::store::{ReportRow, RunOutcome, Store, StoreError};
use durable_inventory::sync::Summary;
use durable_inventory::text::chain;
use time::OffsetDateTime;
use tracing::{error, warn};

use super::notification;
use crate::terminal::{self, Failure};

const STOPPED_BY_A_SIGNAL: u8 = 130;

pub struct RunObserver {
    begun: Instant,
    ping: Option<Ping>,
    webhook: Option<Webhook>,
    metrics_file: Option<PathBuf>,
    limiters: Vec<Arc<Limiter>>,
    rows: Option<Vec<ReportRow>>,
    /// What needs attention in the record.
    attention: Vec<Attention>,
    pub summary: Option<Summary>,
    /// What went wrong beside the walks.
    pub failures: Vec<String>,
}

impl RunObserver {
    /// Notifies the address that the job began.
    pub fn begin(settings: &Settings<'_>, args: &SyncArgs) -> Result<Self, Failure> {
        let refuse = |option: &str, variable: &str, error: AddressError| Failure {
            message: format!("{option} or {variable}: {error}"),
            exit_code: 2,
        };
        let webhook = settings.notify_url(args)?.map(|url| Webhook::new(&url)).transpose();
        let webhook = webhook.map_err(|error| refuse("--notify-url", "DURABLE_INVENTORY_NOTIFY_URL", error))?;
        let ping = settings.ping_url(args)?.map(|url| Ping::new(&url)).transpose();
        let mut ping = ping.map_err(|error| refuse("--ping-url", "DURABLE_INVENTORY_PING_URL", error))?;
        ping.iter_mut().for_each(Ping::start);
        Ok(Self {
            begun: Instant::now(),
            ping,
            webhook,
            metrics_file: args.metrics_file.clone(),
            limiters: Vec::new(),
            rows: None,
            attention: Vec::new(),
            summary: None,
            failures: Vec::new(),
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

    /// Reads the record after the run, for the metrics file and the attention list.
    pub async fn recorded(&mut self, store: &Store) {
        if self.metrics_file.is_none() && self.webhook.is_none() {
            return;
        }
        if let Err(error) = self.read(store).await {
            warn!("{}", chain(&error));
        }
    }

    async fn read(&mut self, store: &Store) -> Result<(), StoreError> {
        let mut reader = store.reader().await?;
        if self.metrics_file.is_some() {
            self.rows = Some(reader.report_rows().await?);
        }
        if self.webhook.is_some() {
            let report = report::read(&mut reader, ReportOptions::default(), |_| true).await?;
            self.attention = report.attention;
        }
        Ok(())
    }

    /// Writes the metrics file, and notifies the addresses that the job ended and what needs attention.
    pub async fn end(mut self, exit_code: u8) {
        if let Some(path) = &self.metrics_file
            && let Err(error) = metrics::write(path, &self.metrics(exit_code))
        {
            error!("--metrics-file {}: could not write the file: {error}", path.display());
        }
        let notification = self.notification(exit_code);
        let ping = async {
            if let Some(ping) = self.ping {
                ping.end(exit_code).await;
            }
        };
        let post = async {
            if let (Some(webhook), Some(notification)) = (self.webhook, notification) {
                webhook.post(&notification).await;
            }
        };
        tokio::join!(ping, post);
    }

    /// `None` if nothing needs attention. A run that a person stopped is not news to the team.
    fn notification(&mut self, exit_code: u8) -> Option<String> {
        let summary = self.summary.as_ref();
        let attention = notification::attention(std::mem::take(&mut self.attention), summary, &self.failures);
        if attention.is_empty() || exit_code == STOPPED_BY_A_SIGNAL {
            return None;
        }
        let run_id = summary.map(|summary| summary.run_id);
        let document = notification::document(run_id, self.outcome(), exit_code, &attention);
        terminal::json(document).ok()
    }

    fn outcome(&self) -> RunOutcome {
        let summary = self.summary.as_ref();
        summary.map_or(RunOutcome::Failed, |summary| summary.verdict().0)
    }

    fn metrics(&self, exit_code: u8) -> RunMetrics<'_> {
        let stats = self.limiters.iter().map(|limiter| limiter.stats());
        RunMetrics {
            ended_at: OffsetDateTime::now_utc(),
            elapsed: self.begun.elapsed(),
            exit_code,
            outcome: self.outcome(),
            requests: stats.clone().map(|stats| stats.sent).sum(),
            throttled: stats.map(|stats| stats.throttled).sum(),
            summary: self.summary.as_ref(),
            recorded: self.rows.as_deref(),
        }
    }
}
