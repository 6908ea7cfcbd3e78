//! `report`: growth of the record, as text, as JSON or as a page.

use std::time::Duration;

use clap::{Args, value_parser};

use super::{FilterArgs, OutputArgs};
use crate::export::Location;
use crate::units::parse_duration;

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A change is against what was recorded so long ago: the newest snapshot that was published by then. Where nothing was \
recorded yet, there is a dash. Days are UTC's.

A namespace needs attention when
  held     a snapshot of it waits for a decision
  failed   its newest walk failed
  stale    its newest snapshot is older than --stale-after
  missing  it is no longer listed, and its object list answers 404
  growth   in the last day it grew by more than --growth-factor times its
           usual, and by --growth-floor or more. Its usual is the average of
           up to 29 days before that, of which 7 have to be recorded; days on
           which it shrank count as days without growth

It ends with 0 whatever needs attention: `check` and `sync` are what a monitor should ask.

Examples:
  durable-inventory report --namespace 'prod-*'
  durable-inventory report --html report.html
  durable-inventory report --output json | jq '.attention[]'")]
pub struct ReportArgs {
    /// Write one self-contained page to this file instead, or - for stdout [default: none]
    #[arg(long, value_name = "FILE", value_parser = parse_page, conflicts_with = "format")]
    pub html: Option<Location>,

    /// Growth is sudden above so many times the usual, 1 or more
    #[arg(long, value_name = "N", value_parser = parse_factor, default_value = "3")]
    pub growth_factor: f64,

    /// Growth of fewer objects a day is never called sudden
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub growth_floor: u64,

    /// An older newest snapshot is stale
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "36h")]
    pub stale_after: Duration,

    /// Days of the page's charts and of the JSON, 2 to 1000, today included
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(2..=1000), default_value_t = 90)]
    pub days: u16,

    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

fn parse_page(text: &str) -> Result<Location, String> {
    match text.parse() {
        Ok(place @ (Location::Stdout | Location::File(_))) => Ok(place),
        _ => Err("a page goes to a file, or to stdout by -".to_owned()),
    }
}

fn parse_factor(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(factor) if (1.0..=1e6).contains(&factor) => Ok(factor),
        _ => Err("it is a number from 1 to 1000000, such as 3 or 1.5".to_owned()),
    }
}
