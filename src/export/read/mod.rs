//! Exported files read back, whatever program wrote them: columns are found by their names, in any order. Rows come one
//! by one, so memory does not grow with them.

mod csv;
mod jsonl;
mod parquet;

use std::fs::File;
use std::io::{self, BufReader};
use std::sync::Arc;

use super::sink::Format;
use crate::model::{InvalidObjectId, ObjectId};

/// What a row says. A column that the file does not have says nothing: it is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileRow {
    pub account_id: Option<Arc<str>>,
    pub namespace_id: Option<Arc<str>>,
    pub object_id: Option<ObjectId>,
    /// The inner `None` is unknown.
    pub has_stored_data: Option<Option<bool>>,
}

#[derive(Debug, thiserror::Error)]
pub enum RowError {
    #[error("it could not be read")]
    Io(#[from] io::Error),
    #[error("it is no CSV file")]
    Csv(#[source] ::csv::Error),
    #[error("it is no Parquet file")]
    Parquet(#[from] ::parquet::errors::ParquetError),
    #[error("row {row} is no JSON object")]
    NoObject { row: u64 },
    #[error("row {row} is not the JSON that it should be")]
    Json { row: u64, source: serde_json::Error },
    #[error("the object id of row {row} is none")]
    Id { row: u64, source: InvalidObjectId },
    #[error("has_stored_data of row {row} is neither true nor false nor empty")]
    Flag { row: u64 },
    #[error("column {0} is of a type that holds no {0}")]
    Type(&'static str),
}

pub type Rows = Box<dyn Iterator<Item = Result<FileRow, RowError>> + Send>;

/// The rows of a file, from its start.
pub fn rows(format: Format, file: File) -> Result<Rows, RowError> {
    Ok(match format {
        Format::Csv => Box::new(csv::CsvRows::new(BufReader::with_capacity(64 * 1024, file))?),
        Format::Jsonl => Box::new(jsonl::JsonRows::new(BufReader::with_capacity(64 * 1024, file))),
        Format::Parquet => Box::new(parquet::ParquetRows::new(file)?),
        Format::Ids => Box::new(csv::id_rows(BufReader::with_capacity(64 * 1024, file))),
    })
}

/// The same text as the row before has is not kept twice.
fn shared(last: &mut Option<Arc<str>>, text: &str) -> Arc<str> {
    if let Some(last) = last
        && &**last == text
    {
        return last.clone();
    }
    let new: Arc<str> = text.into();
    *last = Some(new.clone());
    new
}

#[cfg(test)]
mod tests;
