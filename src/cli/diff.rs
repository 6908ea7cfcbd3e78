//! The arguments of `diff`.

use clap::{Args, ValueEnum};

use super::{FilterArgs, OUTPUT};
use crate::diff::Operand;

#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
FROM and TO are each one of
  a point in time  a time, a date, '7d ago', latest, latest~1, or the id of a
                   snapshot, as for `export --as-of`
  a file           CSV with a header row, Parquet, JSON Lines, a JSON array,
                   responses of the API, or a list of ids; text also in
                   UTF-16, or compressed by gzip or zstd. Its content decides,
                   not its name. Columns are found by name, in any order and
                   case: object_id (or id), and if present has_stored_data,
                   account_id and namespace_id
  a folder         or an s3://, gs:// or az:// URL: a dataset, which has a
                   manifest.json, or files as above, which are one list
                   together. Names that begin with _ or . are ignored
  -                a file on stdin
For a file whose name reads as a point in time, write ./latest.

Changes go to stdout once all of them are known, ordered by namespace and id.
Counts go to stderr. If both sides say which namespace an object is in, ids
are compared within namespaces. If one side has no has_stored_data, only ids
are compared. A JSON row without a key that other rows of its file have counts
as unknown there. Files need not be sorted: unsorted ones are sorted on disk,
in TMPDIR.

--combined prints one line for each object, even an unchanged one, with the
symbols of rclone (whose source is TO):
  +  only in TO
  -  only in FROM
  *  in both, different
  =  in both, identical
  !  in both, but only one side says whether it holds data

Exit codes:
  0  the sides were compared; with --exit-code: they are identical
  1  with --exit-code: they are different
  2  error: they could not be compared

Examples:
  durable-inventory diff '7d ago' latest
  durable-inventory diff ids.txt latest --combined | grep '^-'
  durable-inventory diff s3://bucket/monday/ s3://bucket/tuesday/ --summary
  durable-inventory diff old.csv new.parquet --exit-code --format csv > d.csv")]
pub struct DiffArgs {
    /// The old side: a point in time, a file, a dataset, or - for stdin
    #[arg(value_name = "FROM")]
    pub from: Operand,

    /// The new side: likewise
    #[arg(value_name = "TO")]
    pub to: Operand,

    #[command(flatten)]
    pub filter: FilterArgs,

    /// Format: text, csv or jsonl [default: text]
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true, help_heading = OUTPUT)]
    format: Option<DiffFormat>,

    /// Short for --format jsonl
    #[arg(long, conflicts_with = "format", help_heading = OUTPUT, hide_short_help = true)]
    json: bool,

    /// Print one line per object instead: + - * = ! and its id
    #[arg(long, conflicts_with_all = ["format", "json", "summary"], help_heading = OUTPUT)]
    pub combined: bool,

    /// Print only counts per namespace, on stdout
    #[arg(long, help_heading = OUTPUT)]
    pub summary: bool,

    /// Exit with 0 if identical, 1 if different, 2 on error
    #[arg(long, help_heading = OUTPUT)]
    pub exit_code: bool,
}

impl DiffArgs {
    pub fn format(&self) -> DiffFormat {
        match self.json {
            true => DiffFormat::Jsonl,
            false => self.format.unwrap_or_default(),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    #[default]
    Text,
    Csv,
    Jsonl,
}
