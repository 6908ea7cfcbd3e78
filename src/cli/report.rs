//! The options of `report`.

use std::time::Duration;

use clap::{Args, value_parser};

use super::{ATTENTION, FilterArgs, OUTPUT, OutputArgs};
use crate::export::Location;
use crate::units::parse_duration;

#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Each change compares the latest snapshot with the newest one that is at least 1, 7 or 30 days old. A dash means that \
there is none that old. Days are in UTC.

A namespace needs attention for one of these reasons:
  held     a snapshot is held for review
  failed   its last sync failed: responses contradicted each other, or the
           stored rows did not match (an interrupted sync does not count)
  stale    its latest snapshot is older than --stale-after
  missing  the account no longer lists it, and its object list returns 404
  growth   in the last day it grew by at least --growth-floor objects, and by
           more than --growth-factor times the mean daily growth of the 29
           days before (at least 7 needed; shrinking days count as zero)

The exit code is 0 even if something needs attention. For monitoring, use the exit codes of `sync` and `check`.

Examples:
  durable-inventory report --namespace 'prod-*'
  durable-inventory report --html report.html
  durable-inventory report --format json | jq '.attention[]'")]
pub struct ReportArgs {
    #[command(flatten)]
    pub filter: FilterArgs,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Write an HTML page to this file [default: none]
    ///
    /// The page is one self-contained file; - writes it to stdout.
    #[arg(long, value_name = "FILE", value_parser = parse_page, help_heading = OUTPUT)]
    #[arg(conflicts_with_all = ["format", "json"])]
    pub html: Option<Location>,

    /// Days in the page and in JSON, 2 to 1000
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(2..=1000), default_value_t = 90)]
    #[arg(help_heading = OUTPUT)]
    pub days: u16,

    /// Report older snapshots as stale
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "36h", help_heading = ATTENTION)]
    pub stale_after: Duration,

    /// Report growth over N times normal
    ///
    /// 1 or more.
    #[arg(long, value_name = "N", value_parser = parse_factor, default_value = "3", help_heading = ATTENTION)]
    pub growth_factor: f64,

    /// Ignore daily growth below this
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = ATTENTION)]
    pub growth_floor: u64,
}

fn parse_page(text: &str) -> Result<Location, String> {
    match text.parse() {
        Ok(place @ (Location::Stdout | Location::File(_))) => Ok(place),
        _ => Err("the page can only be written to a file, or to stdout with -".to_owned()),
    }
}

fn parse_factor(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(factor) if (1.0..=1e6).contains(&factor) => Ok(factor),
        _ => Err("expected a number from 1 to 1000000, such as 3 or 1.5".to_owned()),
    }
}
