//! `sync`: what to walk, how fast, what to hold back, and what to notify.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use secrecy::SecretString;

use super::OutputArgs;
use crate::export::Location;
use crate::model::AccountId;
use crate::select::Pattern;
use crate::units::{self, Cursors, Quota, parse_duration};

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
A duration is a whole number and a unit: 500ms, 300s, 15m, 36h, 180d.

Exit codes, the first that applies:
  2    usage or configuration; no namespace is like those asked for
  130  ended by a signal; the next run goes on from there
  1    every namespace failed, or nothing could be recorded
  3    some namespaces failed, the namespace list may be cut short, the
       deadline came, or --export failed
  5    a mass removal was held back, or many namespaces vanished at once
  4    another run holds every namespace asked for
  0    done

Examples:
  durable-inventory sync
  durable-inventory sync --namespace 'prod-*' --deadline 50m --output json")]
pub struct SyncArgs {
    /// Only this namespace: its id, or a glob on its name; repeatable, in place of the file's `namespaces`
    /// [default: all that the account lists]
    #[arg(long, value_name = "ID_OR_NAME_GLOB")]
    pub namespace: Vec<Pattern>,

    /// Only this account; repeatable [env: CLOUDFLARE_ACCOUNT_ID] [default: all accounts of the file]
    #[arg(long, value_name = "ID")]
    pub account: Vec<AccountId>,

    /// Objects a page, 10 to 10000 [default: 10000]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(units::LIMIT))]
    pub limit: Option<u32>,

    /// Namespaces walked side by side, 1 to 64 [default: 4]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(units::CONCURRENCY))]
    pub concurrency: Option<u16>,

    /// Requests for one namespace's pages that are under way at a time: `auto` or 1 to 32. Auto is one, or as many as
    /// it takes to use the quota on a large namespace where the API answers slowly [default: auto]
    #[arg(long, value_name = "auto|N")]
    pub cursors: Option<Cursors>,

    /// Stop after this long, at the end of a page; the next run goes on from there. A statement that the database does
    /// not carry out within 5 s more is dropped [default: none]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub deadline: Option<Duration>,

    /// What a token may send: requests in any window of that length [default: 1200/300s]
    #[arg(long, value_name = "REQUESTS/DURATION")]
    pub quota: Option<Quota>,

    /// Percent of the quota to use, 1 to 100; the rest is left to colleagues and dashboards [default: 80]
    #[arg(long, value_name = "PERCENT", value_parser = value_parser!(u8).range(units::QUOTA_SHARE))]
    pub quota_share: Option<u8>,

    /// How long to pause after an answer 429 that does not say for how long [default: 300s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub pause_without_retry_after: Option<Duration>,

    /// How long to retry a request, and to wait out an outage in all, before a namespace is given up for this run
    /// [default: 15m]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub retry_for: Option<Duration>,

    /// How long to wait for more of a response; a whole one may take ten times as long [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub read_timeout: Option<Duration>,

    /// How long to wait for a connection [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub connect_timeout: Option<Duration>,

    /// Go on with an interrupted walk that is at most this old; start an older one over [default: 36h]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub resume_within: Option<Duration>,

    /// Hold a snapshot back that removes more than this percentage of a namespace's objects, 0 to 100 [default: 30]
    #[arg(long, value_name = "PERCENT", value_parser = value_parser!(u8).range(units::PERCENT))]
    pub max_removed_percent: Option<u8>,

    /// Do not hold back removals in a namespace of fewer objects than this [default: 10]
    #[arg(long, value_name = "N")]
    pub max_removed_floor: Option<u64>,

    /// Record mass removals too, instead of holding them back [default: off]
    #[arg(long)]
    pub accept_removals: bool,

    /// Walk this namespace and mend its record where it was changed by other means than this program, keeping its
    /// history: an id, or a glob on the name; repeatable [default: none]
    #[arg(long, value_name = "ID_OR_NAME_GLOB", conflicts_with = "namespace")]
    pub rebuild: Vec<Pattern>,

    /// Also write a Parquet dataset of the namespaces that were published in this run: a folder, or s3://, gs:// or
    /// az:// [default: none]
    #[arg(long, value_name = "DIR", value_parser = super::export::parse_dataset)]
    pub export: Option<Location>,

    /// Let --export replace a dataset that has namespaces which this run did not publish [default: off]
    #[arg(long, requires = "export")]
    pub replace: bool,

    /// Write the run's metrics to this file, for the textfile collector of Prometheus' node_exporter [default: none]
    #[arg(long, value_name = "FILE", value_parser = super::path())]
    pub metrics_file: Option<PathBuf>,

    /// Call URL/start, then URL/EXIT_CODE, as healthchecks.io has it; who knows the URL can speak for the job, so on a
    /// shared machine name it by the variable, or in a file by DURABLE_INVENTORY_PING_URL_FILE [env:
    /// DURABLE_INVENTORY_PING_URL] [default: none]
    #[arg(long, value_name = "URL", hide_default_value = true)]
    pub ping_url: Option<SecretString>,

    #[command(flatten)]
    pub output: OutputArgs,
}
