//! Readers of exported files, and of files with the same columns from other programs. Columns are found by name, in any
//! order. Rows are read one by one, so memory does not grow with their number.

mod columns;
mod csv;
mod detect_format;
mod hardened;
mod jsonl;
mod lines;
mod pages;
mod parquet;
mod records;
mod thrift;

use std::fmt;
use std::fs::File;
use std::io;

pub use self::columns::{Columns, Places};
pub use self::detect_format::{Unreadable, detect_format};
use super::format::Format;
use crate::model::ObjectId;

/// A row, borrowed from its reader. A column that the file does not have is `None`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RowRef<'a> {
    pub account_id: Option<&'a [u8]>,
    pub namespace_id: Option<&'a [u8]>,
    pub object_id: Option<ObjectId>,
    /// The inner `None` is a null: it is unknown whether the object has data.
    pub has_stored_data: Option<Option<bool>>,
}

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
    #[error("no header row with the names of the columns")]
    NoHeader,
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
    #[error("{at}: {found:?} is not an object id of 64 hex digits")]
    Id { at: At, found: String },
    #[error("{at}: has_stored_data is {found:?} instead of true, false or empty")]
    Flag { at: At, found: String },
    #[error("column {0} has an unsuitable type")]
    Type(&'static str),
}

impl RowError {
    fn flag(at: At, found: &[u8]) -> Self {
        Self::Flag {
            at,
            found: foreign(found),
        }
    }
}

/// Ignores spaces around the id.
fn object_id(at: At, text: &[u8]) -> Result<ObjectId, RowError> {
    ObjectId::from_hex(text.trim_ascii()).map_err(|_| RowError::Id {
        at,
        found: foreign(text),
    })
}

/// Cuts a cell to the length that an error shows.
fn foreign(found: &[u8]) -> String {
    let found = String::from_utf8_lossy(&found[..found.len().min(400)]);
    let short: String = found.chars().take(80).collect();
    if short.len() < found.len() {
        format!("{short}…")
    } else {
        short
    }
}

/// A reader of one file's rows.
pub enum RowReader {
    Csv(Box<csv::CsvReader<File>>),
    Jsonl(Box<jsonl::JsonReader<File>>),
    Parquet(Box<parquet::ParquetReader>),
    Ids(csv::IdReader<File>),
}

impl RowReader {
    pub fn open(format: Format, file: File) -> Result<Self, RowError> {
        Ok(match format {
            Format::Csv => Self::Csv(Box::new(csv::CsvReader::new(file)?)),
            Format::Jsonl => Self::Jsonl(Box::new(jsonl::JsonReader::new(file))),
            Format::Parquet => Self::Parquet(Box::new(parquet::ParquetReader::new(file)?)),
            Format::Ids => Self::Ids(csv::IdReader::new(file)),
        })
    }

    pub fn next_row(&mut self) -> Result<Option<RowRef<'_>>, RowError> {
        match self {
            Self::Csv(reader) => reader.next_row(),
            Self::Jsonl(reader) => reader.next_row(),
            Self::Parquet(reader) => reader.next_row(),
            Self::Ids(reader) => reader.next_row(),
        }
    }

    /// The position of the last row.
    pub fn at(&self) -> At {
        match self {
            Self::Csv(reader) => reader.at(),
            Self::Jsonl(reader) => reader.at(),
            Self::Parquet(reader) => reader.at(),
            Self::Ids(reader) => reader.at(),
        }
    }
}

/// Returns the columns of a file that is read from its start, or `None` if it has neither a header nor a row.
pub fn columns(format: Format, file: File) -> Result<Option<Columns>, RowError> {
    Ok(match RowReader::open(format, file)? {
        RowReader::Csv(reader) => Some(reader.columns()),
        RowReader::Jsonl(reader) => reader.into_columns()?,
        RowReader::Parquet(reader) => Some(reader.columns()),
        RowReader::Ids(_) => Some(Columns {
            object_id: true,
            ..Columns::default()
        }),
    })
}

/// Parses a flag: `true`, `false` or nothing, also as spreadsheets and PostgreSQL write them.
fn flag(text: &[u8]) -> Option<Option<bool>> {
    match text.trim_ascii() {
        b"true" => Some(Some(true)),
        b"false" => Some(Some(false)),
        b"" => Some(None),
        b"TRUE" | b"True" | b"t" => Some(Some(true)),
        b"FALSE" | b"False" | b"f" => Some(Some(false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
