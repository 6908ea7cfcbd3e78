//! `diff`: which two sides, and what is told of them.

use clap::{Args, ValueEnum};

use super::FilterArgs;
use crate::diff::Operand;

#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A side is one of
  a moment    as `export --as-of` takes it: a time, a date, '7d ago', latest,
              latest~1, or a snapshot's id
  a file      CSV with a header row, Parquet, JSON Lines, or a list of ids;
              its columns are found by name, in any order and case: object_id
              (or id), and where they are there has_stored_data, account_id
              and namespace_id
  a dataset   a folder, or s3://, gs:// or az://, with a manifest.json
  -           a file on stdin
What reads as a moment is one: a file with such a name is written as ./latest.

Changes go to stdout when all of them are known, in the order of namespaces
and ids; counts go to stderr. Where both sides say in which namespace an
object is, ids are compared within namespaces. Where one side has no
has_stored_data, only the ids are compared. A row that leaves out a key which
other rows of its file have does not know it. Files need not be sorted: what
is not is sorted on disk, in TMPDIR.

--combined prints one line an object, also of those that are the same, with
the symbols of rclone (whose source is TO):
  +  only TO has it
  -  only FROM has it
  *  both have it, and they differ
  =  both have it, and it is the same
  !  both have it, and only one side says whether it holds data

Exit codes:
  0  the sides were compared; with --exit-code: no difference was found
  1  with --exit-code: they differ
  2  they could not be compared

Examples:
  durable-inventory diff '7d ago' latest
  durable-inventory diff ids.txt latest --combined | grep '^-'
  durable-inventory diff s3://bucket/monday/ s3://bucket/tuesday/ --summary
  durable-inventory diff old.csv new.parquet --exit-code --format csv > d.csv")]
pub struct DiffArgs {
    /// What was: a moment, a file, a dataset, or - for stdin
    #[arg(value_name = "FROM")]
    pub from: Operand,

    /// What it became: the same
    #[arg(value_name = "TO")]
    pub to: Operand,

    /// How the changes are written to stdout [default: text]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<DiffFormat>,

    /// One line an object in place of the changes: + - * = ! and its id [default: off]
    #[arg(long, conflicts_with_all = ["format", "summary"])]
    pub combined: bool,

    /// Only counts, by namespace, on stdout [default: off]
    #[arg(long)]
    pub summary: bool,

    /// End with 0 where there is no difference, 1 where there is one, 2 in trouble [default: off]
    #[arg(long)]
    pub exit_code: bool,

    #[command(flatten)]
    pub filter: FilterArgs,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    #[default]
    Text,
    Csv,
    Jsonl,
}
