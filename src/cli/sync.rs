//! The options of `sync`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use secrecy::SecretString;

use super::{CONNECTION, LIMITS, MONITORING, OUTPUT, OutputArgs, SAFETY, SELECTION};
use crate::export::Location;
use crate::model::AccountId;
use crate::select::Pattern;
use crate::units::{self, Cursors, Quota, parse_duration};

#[derive(Debug, Clone, Default, Args)]
#[command(after_long_help = "\
A duration has one or more numbers with units: 500ms, 15m, 1h30m, 36h, 2w.

Exit codes, the first that applies:
  2    wrong usage or configuration, or no namespace matched
  130  stopped by a signal; the next run resumes
  1    every namespace failed, or nothing could be recorded
  3    some namespaces failed, the namespace list may be incomplete, the
       deadline passed, or --export failed
  5    a mass removal is held for review, or many namespaces vanished at once
  4    another run is syncing every selected namespace
  0    done

Examples:
  durable-inventory sync
  durable-inventory sync --namespace 'prod-*' --deadline 50m --format json")]
pub struct SyncArgs {
    /// Only these ids or name patterns [default: all]
    ///
    /// Repeatable. In a pattern, * stands for any text. Overrides `namespaces` in the configuration file.
    #[arg(long, value_name = "ID_OR_GLOB", help_heading = SELECTION)]
    pub namespace: Vec<Pattern>,

    /// Only these accounts [default: all configured]
    ///
    /// Repeatable. If none is configured, the only account that the token sees. [env: CLOUDFLARE_ACCOUNT_ID]
    #[arg(long, value_name = "ID", help_heading = SELECTION)]
    pub account: Vec<AccountId>,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Export what was synced as Parquet [default: none]
    ///
    /// Writes a dataset of the namespaces that this run published. DIR is a folder, or an s3://, gs:// or az:// URL.
    #[arg(long, value_name = "DIR", value_parser = super::export::parse_new_dataset, help_heading = OUTPUT)]
    pub export: Option<Location>,

    /// Let --export replace a dataset with namespaces that this run did not publish
    #[arg(long, requires = "export", help_heading = OUTPUT, hide_short_help = true)]
    pub replace: bool,

    /// Stop cleanly after this long [default: none]
    ///
    /// Each sync stops at the end of a page, and the next run resumes there. Database statements that are still running 5 s later are canceled.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = LIMITS)]
    pub deadline: Option<Duration>,

    /// Percent of the rate limit to use [default: 80]
    ///
    /// 1 to 100. The rest is left for other programs that use the token, and for the dashboard.
    #[arg(long, value_name = "N", value_parser = value_parser!(u8).range(units::QUOTA_SHARE), help_heading = LIMITS)]
    pub quota_share: Option<u8>,

    /// Rate limit of a token, as requests in any window of this length [default: 1200/300s]
    #[arg(long, value_name = "REQUESTS/DURATION", help_heading = LIMITS, hide_short_help = true)]
    pub quota: Option<Quota>,

    /// Namespaces to sync in parallel, 1 to 64 [default: 4]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(units::CONCURRENCY))]
    #[arg(help_heading = LIMITS, hide_short_help = true)]
    pub concurrency: Option<u16>,

    /// Parallel page requests for one namespace: auto, or 1 to 32 [default: auto]
    ///
    /// With auto it is one, or, if a large namespace's pages arrive slowly, as many as the quota allows.
    #[arg(long, value_name = "auto|N", help_heading = LIMITS, hide_short_help = true)]
    pub cursors: Option<Cursors>,

    /// Objects per page, 10 to 10000 [default: 10000]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(units::LIMIT))]
    #[arg(help_heading = LIMITS, hide_short_help = true)]
    pub limit: Option<u32>,

    /// Resume an interrupted sync if it is younger than this; start an older one over [default: 36h]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = LIMITS, hide_short_help = true)]
    pub resume_within: Option<Duration>,

    /// Hold larger removals for review [default: 30]
    ///
    /// A snapshot that would remove more than this percentage of a namespace's objects, 0 to 100, is not published until
    /// you accept it with `snapshots accept`.
    #[arg(long, value_name = "N", value_parser = value_parser!(u8).range(units::PERCENT), help_heading = SAFETY)]
    pub max_removed_percent: Option<u8>,

    /// Never hold removals in a namespace with fewer objects than this [default: 10]
    #[arg(long, value_name = "N", help_heading = SAFETY, hide_short_help = true)]
    pub max_removed_floor: Option<u64>,

    /// Publish mass removals without review
    #[arg(long, help_heading = SAFETY)]
    pub accept_removals: bool,

    /// Repair the rows of these ids or name patterns [default: none]
    ///
    /// Use it after something other than this program changed the tables: the namespaces are synced, their rows
    /// corrected, and their history kept. Repeatable.
    #[arg(long, value_name = "ID_OR_GLOB", conflicts_with = "namespace", help_heading = SAFETY, hide_short_help = true)]
    pub rebuild: Vec<Pattern>,

    /// How long to retry a failing request [default: 15m]
    ///
    /// It is also the longest outage to wait out before a namespace fails for this run.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = CONNECTION, hide_short_help = true)]
    pub retry_for: Option<Duration>,

    /// How long to pause after a 429 response without Retry-After [default: 300s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = CONNECTION, hide_short_help = true)]
    pub pause_without_retry_after: Option<Duration>,

    /// How long to wait for the next part of a response [default: 60s]
    ///
    /// A whole response may take ten times as long.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = CONNECTION, hide_short_help = true)]
    pub read_timeout: Option<Duration>,

    /// How long to wait for a connection [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = CONNECTION, hide_short_help = true)]
    pub connect_timeout: Option<Duration>,

    /// Write metrics to this file, for node_exporter's textfile collector [default: none]
    #[arg(long, value_name = "FILE", value_parser = super::path(), help_heading = MONITORING, hide_short_help = true)]
    pub metrics_file: Option<PathBuf>,

    /// Ping URL/start, then URL/EXIT_CODE, as healthchecks.io expects [env: DURABLE_INVENTORY_PING_URL] [default: none]
    ///
    /// Anyone with the URL can ping it, and other users of the machine can read command lines. On a shared machine set
    /// the variable instead, or DURABLE_INVENTORY_PING_URL_FILE to the path of a file.
    #[arg(long, value_name = "URL", hide_default_value = true, help_heading = MONITORING, hide_short_help = true)]
    pub ping_url: Option<SecretString>,

    /// Post what needs attention to this Slack-style webhook [env: DURABLE_INVENTORY_NOTIFY_URL] [default: none]
    ///
    /// A JSON document with a `text`, at the end of a run. For Discord, add /slack to the URL. Anyone with the URL can
    /// post there: on a shared machine set the variable instead, or DURABLE_INVENTORY_NOTIFY_URL_FILE to the path of a
    /// file.
    #[arg(long, value_name = "URL", hide_default_value = true, help_heading = MONITORING, hide_short_help = true)]
    pub notify_url: Option<SecretString>,
}
