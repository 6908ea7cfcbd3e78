//! Readers of exported files, and of files with the same columns from other programs. Columns are found by name, in any
//! order. Rows are read one by one, so memory does not grow with their number.
//!
//! `source` opens a file and decides what it is; `csv`, `json` and `parquet` read its rows.

mod columns;
mod csv;
mod error;
mod foreign;
mod hardened;
mod json;
mod json_objects;
mod lines;
mod packing;
mod pages;
mod parquet;
mod parquet_columns;
mod records;
mod source;
mod thrift;
mod utf16;
mod values;

use std::fs::File;

pub use self::columns::{Columns, Known, Places};
pub use self::error::{At, RowError};
pub use self::packing::Packing;
pub use self::source::{START, require_rows};
use self::source::{Source, TextStream};
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

/// A reader of one file's rows.
pub enum RowReader {
    Csv(Box<csv::CsvReader<TextStream>>),
    Json(Box<json::JsonReader<TextStream>>),
    Parquet(Box<parquet::ParquetReader>),
    Ids(csv::IdReader<TextStream>),
}

impl RowReader {
    /// Opens a file at its start, whatever its format is.
    pub fn open(name: &str, file: File) -> Result<Self, RowError> {
        Ok(match Source::open(name, file)? {
            Source::Csv(text) => Self::Csv(Box::new(csv::CsvReader::new(text)?)),
            Source::Json(layout, text) => Self::Json(Box::new(json::JsonReader::new(layout, text))),
            Source::Parquet(file) => Self::Parquet(Box::new(parquet::ParquetReader::new(file)?)),
            Source::Ids(text) => Self::Ids(csv::IdReader::new(text)),
        })
    }

    pub fn next_row(&mut self) -> Result<Option<RowRef<'_>>, RowError> {
        match self {
            Self::Csv(reader) => reader.next_row(),
            Self::Json(reader) => reader.next_row(),
            Self::Parquet(reader) => reader.next_row(),
            Self::Ids(reader) => reader.next_row(),
        }
    }

    /// The position of the last row.
    pub fn at(&self) -> At {
        match self {
            Self::Csv(reader) => reader.at(),
            Self::Json(reader) => reader.at(),
            Self::Parquet(reader) => reader.at(),
            Self::Ids(reader) => reader.at(),
        }
    }
}

/// Returns the columns of a file that is read from its start, or `None` if it has neither a header nor a row.
pub fn columns(name: &str, file: File) -> Result<Option<Columns>, RowError> {
    Ok(match RowReader::open(name, file)? {
        RowReader::Csv(reader) => Some(reader.columns()),
        RowReader::Json(reader) => reader.into_columns()?,
        RowReader::Parquet(reader) => Some(reader.columns()),
        RowReader::Ids(_) => Some(Columns {
            object_id: true,
            ..Columns::default()
        }),
    })
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
