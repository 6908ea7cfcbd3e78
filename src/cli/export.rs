//! The arguments of `export`.

use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum};

use super::{FilterArgs, OUTPUT, SELECTION};
use crate::export::{Format, InvalidLocation, Location};
use crate::model::StoredData;
use crate::moment::Moment;

#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
A point in time (TIME) is a time such as 2026-11-01T06:30:00Z, a date such as 2026-11-01 (00:00 UTC), '7d ago', latest \
or latest~1 (of each namespace), or the id of a snapshot, which selects its namespace.

Examples:
  durable-inventory export objects --namespace 'prod-*' --has-data true --output with-data.csv
  durable-inventory export objects --ids-only --has-data false > empty-ids.txt
  durable-inventory export objects --as-of 2026-11-01 --output s3://bucket/inventory/
  durable-inventory export changes --since '7d ago' --format jsonl
  durable-inventory export verify s3://bucket/inventory/")]
pub struct ExportArgs {
    #[command(subcommand)]
    pub what: ExportCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum ExportCommand {
    /// Write the objects that existed at a point in time
    Objects(ObjectsArgs),
    /// Write the changes between two points in time
    Changes(ChangesArgs),
    /// Write one row for each period that an object spent in one state
    History(IntervalsArgs),
    /// Check a dataset against its manifest, and against the database
    Verify(VerifyArgs),
}

#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
The objects of missing namespaces are exported too, until the namespaces are retired; `report` does not count them.

Examples:
  durable-inventory export objects --has-data true --output with-data.csv
  durable-inventory export objects --as-of '7d ago' --namespace 'prod-*' --ids-only")]
pub struct ObjectsArgs {
    /// As of this point in time [default: latest]
    #[arg(long, value_name = "TIME", help_heading = SELECTION)]
    pub as_of: Option<Moment>,

    /// Write only the objects' ids, one per line
    #[arg(long, conflicts_with_all = ["format", "json", "columns"], help_heading = OUTPUT)]
    pub ids_only: bool,

    #[command(flatten)]
    pub rows: RowsArgs,
}

#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Examples:
  durable-inventory export changes --since '7d ago' --format jsonl
  durable-inventory export changes --since latest~1 --output since-the-last-run.parquet")]
pub struct ChangesArgs {
    /// Only changes after this time [default: all]
    ///
    /// By default each namespace's changes begin after its first snapshot, or at the limit of its last `prune`.
    #[arg(long, value_name = "TIME", help_heading = SELECTION)]
    pub since: Option<Moment>,

    /// Only changes up to this time [default: latest]
    #[arg(long, value_name = "TIME", help_heading = SELECTION)]
    pub until: Option<Moment>,

    #[command(flatten)]
    pub rows: RowsArgs,
}

#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Examples:
  durable-inventory export history --namespace 'prod-*' --output history.parquet
  durable-inventory export history --since 2026-11-01 --output s3://bucket/history/")]
pub struct IntervalsArgs {
    /// Only periods after this time [default: all]
    ///
    /// A period is written if it ended after this time, or has not ended. By default each namespace's periods begin with its first snapshot, or at the limit of its last `prune`.
    #[arg(long, value_name = "TIME", help_heading = SELECTION)]
    pub since: Option<Moment>,

    /// The history as known at this time [default: latest]
    #[arg(long, value_name = "TIME", help_heading = SELECTION)]
    pub until: Option<Moment>,

    #[command(flatten)]
    pub rows: RowsArgs,
}

#[derive(Debug, Clone, Args)]
pub struct RowsArgs {
    /// Only true, false or unknown [default: all]
    ///
    /// Whether an object holds stored data; unknown if the API did not report it. For changes, the state after the change
    /// counts.
    #[arg(long, value_name = "STATE", value_enum, hide_possible_values = true, help_heading = SELECTION)]
    pub has_data: Option<StoredData>,

    #[command(flatten)]
    pub filter: FilterArgs,

    /// File, folder or URL; - is stdout
    ///
    /// A dataset has a file for each namespace: give a folder (one that exists, or with a / at its end), or
    /// an s3://, gs:// or az:// URL.
    #[arg(long, value_name = "PLACE", default_value = "-", help_heading = OUTPUT)]
    pub output: Location,

    /// Format: csv, parquet or jsonl [default: by the place]
    ///
    /// By default the extension of the file decides; a dataset is Parquet, and anything else is CSV. An extension of
    /// another format is an error then.
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true, help_heading = OUTPUT)]
    format: Option<Format>,

    /// Short for --format jsonl
    #[arg(long, conflicts_with = "format", help_heading = OUTPUT, hide_short_help = true)]
    json: bool,

    /// Only these columns, comma-separated [default: all]
    ///
    /// They are written in this order.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = OUTPUT)]
    pub columns: Vec<String>,

    /// Replace a dataset that has other namespaces, or another table
    #[arg(long, help_heading = OUTPUT, hide_short_help = true)]
    pub replace: bool,
}

impl RowsArgs {
    /// The format, if the command line chooses one.
    pub fn format(&self) -> Option<Format> {
        match self.json {
            true => Some(Format::Jsonl),
            false => self.format,
        }
    }
}

#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
The database is compared too if DATABASE_URL or --data-dir names one.

Exit codes:
  0  the dataset matches its manifest
  1  it does not

Examples:
  durable-inventory export verify s3://bucket/inventory/
  DATABASE_URL_FILE=/run/secrets/database-url durable-inventory export verify ./dataset")]
pub struct VerifyArgs {
    /// The dataset: a folder, or an s3://, gs:// or az:// URL
    #[arg(value_name = "PATH", value_parser = parse_dataset)]
    pub path: Location,
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        self.has_columns().then(|| PossibleValue::new(self.extension()))
    }
}

impl ValueEnum for StoredData {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::With, Self::Without, Self::Unknown]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::With => "true",
            Self::Without => "false",
            Self::Unknown => "unknown",
        }))
    }
}

/// Parses the location of a dataset that is to be written, which may not look like a file of another format.
pub fn parse_new_dataset(text: &str) -> Result<Location, String> {
    let location: Location = text.parse().map_err(|error: InvalidLocation| error.to_string())?;
    location.require_folder_name().map_err(|error| error.to_string())?;
    parse_dataset(text).map_err(|error| error.to_string())
}

/// Parses the location of a dataset. A folder needs no slash at its end.
pub fn parse_dataset(text: &str) -> Result<Location, InvalidLocation> {
    match text.parse()? {
        Location::Stdout | Location::File(_) => Ok(Location::Folder(text.into())),
        location => Ok(location),
    }
}
