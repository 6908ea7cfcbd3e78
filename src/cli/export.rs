//! The arguments of `export`.

use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum};

use super::FilterArgs;
use crate::export::{Format, InvalidLocation, Location};
use crate::model::StoredData;
use crate::moment::Moment;

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A moment is a time such as 2026-11-01T06:30:00Z, a date such as 2026-11-01 (00:00 UTC), '7d ago', latest, latest~1 \
(both of each namespace) or a snapshot's id, which selects its namespace.

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
    /// The objects as of a moment
    Objects(ObjectsArgs),
    /// What changed between two moments
    Changes(ChangesArgs),
    /// The intervals in which objects were what they were
    History(IntervalsArgs),
    /// Check a dataset against its manifest, and against the database where one is given
    Verify(VerifyArgs),
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  durable-inventory export objects --has-data true --output with-data.csv
  durable-inventory export objects --as-of '7d ago' --namespace 'prod-*' --ids-only")]
pub struct ObjectsArgs {
    /// The moment [default: latest]
    #[arg(long, value_name = "MOMENT")]
    pub as_of: Option<Moment>,

    /// Only the objects' ids, one a line [default: off]
    #[arg(long, conflicts_with_all = ["format", "columns"])]
    pub ids_only: bool,

    #[command(flatten)]
    pub rows: RowsArgs,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  durable-inventory export changes --since '7d ago' --format jsonl
  durable-inventory export changes --since latest~1 --output since-the-last-run.parquet")]
pub struct ChangesArgs {
    /// Only what was published after this moment [default: all since each namespace's baseline, or its horizon]
    #[arg(long, value_name = "MOMENT")]
    pub since: Option<Moment>,

    /// Only what was published by this moment [default: latest]
    #[arg(long, value_name = "MOMENT")]
    pub until: Option<Moment>,

    #[command(flatten)]
    pub rows: RowsArgs,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  durable-inventory export history --namespace 'prod-*' --output history.parquet
  durable-inventory export history --since 2026-11-01 --output s3://bucket/history/")]
pub struct IntervalsArgs {
    /// Only intervals that had not ended by this moment [default: all since each namespace's baseline, or its horizon]
    #[arg(long, value_name = "MOMENT")]
    pub since: Option<Moment>,

    /// The history as it was known at this moment [default: latest]
    #[arg(long, value_name = "MOMENT")]
    pub until: Option<Moment>,

    #[command(flatten)]
    pub rows: RowsArgs,
}

#[derive(Debug, Clone, Args)]
pub struct RowsArgs {
    /// How the rows are written [default: as the file's name ends; else parquet for a dataset, csv for one file]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<Format>,

    /// Where to: - for stdout, a file, or a dataset of many files: a folder (that is there, or with a / at its end) or
    /// s3://, gs:// or az://
    #[arg(long, value_name = "PLACE", default_value = "-")]
    pub output: Location,

    /// Replace a dataset even if it loses namespaces by that, or is one of another table [default: off]
    #[arg(long)]
    pub replace: bool,

    /// Only these columns, in this order [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub columns: Vec<String>,

    /// Only objects that hold stored data, or do not, or of which that is unknown; of changes: those to that state
    /// [default: all]
    #[arg(long, value_name = "ANSWER", value_enum)]
    pub has_data: Option<StoredData>,

    #[command(flatten)]
    pub filter: FilterArgs,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The database is asked where DATABASE_URL or --data-dir says which one.

Exit codes:
  0  the dataset is what its manifest says
  1  it is not

Examples:
  durable-inventory export verify s3://bucket/inventory/
  DATABASE_URL_FILE=/run/secrets/database-url durable-inventory export verify ./dataset")]
pub struct VerifyArgs {
    /// The dataset: a folder, or s3://, gs:// or az://
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

/// Parses the location of a dataset. A folder needs no slash at its end.
pub fn parse_dataset(text: &str) -> Result<Location, InvalidLocation> {
    match text.parse()? {
        Location::Stdout | Location::File(_) => Ok(Location::Folder(text.into())),
        location => Ok(location),
    }
}
