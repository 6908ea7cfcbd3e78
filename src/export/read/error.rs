//! Errors of reading a file of rows.

use std::fmt;
use std::io;

use super::foreign::Foreign;
use super::packing::Packing;

/// A position in a file, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Line(u64),
    Row(u64),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RowError {
    #[error("could not read the file")]
    Io(#[from] io::Error),
    #[error("the file is empty: an empty list needs at least a header row")]
    Empty,
    #[error("{0}")]
    Foreign(Foreign),
    #[error(
        "this is {inside} compressed by {}: use `{} FILE > UNPACKED`, and compare the unpacked file",
        .packing.name(), .packing.command()
    )]
    Packed { packing: Packing, inside: &'static str },
    #[error("no header row with the names of the columns")]
    NoHeader,
    #[error("{at} has more than {limit} cells: not a list of objects")]
    TooManyCells { at: At, limit: usize },
    #[error("{at} has {found} cells, but the header has {expected}: the file may be cut off")]
    Cells { at: At, found: usize, expected: usize },
    #[error(
        "the quotation mark opened in {0} is not closed: the file may be cut off, or a quotation mark within a cell \
         must be written as \\\" in place of \"\""
    )]
    OpenQuote(At),
    #[error("{0} has text after a closing quotation mark: within a cell, a quotation mark must be doubled")]
    AfterQuote(At),
    #[error("the quotation mark opened in {0} encloses whole rows: within a cell, a quotation mark must be doubled")]
    QuotedRow(At),
    #[error("two columns are called {0}: remove or rename one of them")]
    TwoColumns(&'static str),
    #[error("column {found:?} is unknown, and there is no {known}: rename it to {known}, or to something less similar")]
    NearlyKnown { found: String, known: &'static str },
    #[error("{at} is a row of an export of {what}, not an object")]
    OtherTable { at: At, what: &'static str },
    #[error("{0} is longer than 1 MiB: not a file of rows")]
    TooLong(At),
    #[error("not a Parquet file, or one that is cut off")]
    Parquet(#[source] ::parquet::errors::ParquetError),
    #[error("{0}")]
    Refused(String),
    #[error("damaged Parquet file: its metadata is inconsistent")]
    Damaged,
    #[error("{0} is not a JSON object")]
    NoObject(At),
    #[error("{at} is not the expected JSON")]
    Json { at: At, source: serde_json::Error },
    #[error("the JSON that begins in {0} is cut off")]
    CutOff(At),
    #[error("the response that begins in {at} is an error of the API{reason}")]
    ApiError { at: At, reason: String },
    #[error(
        "this is not the whole list: the last response has a cursor for the next page. Append the responses of the \
         pages that follow"
    )]
    MorePages,
    #[error("{at}: {found:?} is not an object id of 64 hex digits")]
    Id { at: At, found: String },
    #[error("{at}: has_stored_data is {found:?} instead of true, false or empty")]
    Flag { at: At, found: String },
    #[error("column {0} has an unsuitable type")]
    Type(&'static str),
}

impl RowError {
    pub(super) fn flag(at: At, found: &[u8]) -> Self {
        Self::Flag {
            at,
            found: shortened(found),
        }
    }

    pub(super) fn id(at: At, found: &[u8]) -> Self {
        Self::Id {
            at,
            found: shortened(found),
        }
    }
}

/// Cuts a cell to the length that an error shows.
pub(super) fn shortened(found: &[u8]) -> String {
    let found = String::from_utf8_lossy(&found[..found.len().min(400)]);
    let short: String = found.chars().take(80).collect();
    if short.len() < found.len() {
        format!("{short}…")
    } else {
        short
    }
}
