//! Errors of a comparison.

use std::fmt;
use std::io;

use crate::export::ExportError;
use crate::export::read::{At, RowError};
use crate::model::ObjectId;
use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    #[error("{place} could not be read")]
    Read { place: String, source: io::Error },

    #[error("{place}")]
    Row { place: String, source: RowError },

    #[error("{place}: {at} has no {column}")]
    NoValue {
        place: String,
        at: At,
        column: &'static str,
    },

    #[error("{place} has no column object_id: add a header row that names it, and has_stored_data if the file has it")]
    NoIdColumn { place: String },

    #[error(
        "{place} is an export of {what}, but only exports of objects can be compared: use `durable-inventory export \
         objects`"
    )]
    NoObjects { place: String, what: String },

    #[error("the files in {place} have the unknown format {format}")]
    Format { place: String, format: String },

    #[error(
        "{part} in {place} has {found} rows, but its manifest says {told}: run `durable-inventory export verify` on it"
    )]
    PartRows {
        place: String,
        part: String,
        found: u64,
        told: u64,
    },

    #[error("{part} in {place}: its path leads out of the dataset")]
    Stray { place: String, part: String },

    #[error("{place} lists {duplicates}")]
    Duplicates { place: String, duplicates: Duplicates },

    #[error("{place} contains more than {limit} namespaces, or ids of them of more than 8 MiB")]
    TooManyNamespaces { place: String, limit: usize },

    #[error(
        "{place} is {what}, whose log says which files count: export it to one file, as in `duckdb -c \"COPY (FROM \
         {reader}('FOLDER')) TO 'FILE.parquet'\"`"
    )]
    Table {
        place: String,
        what: &'static str,
        /// DuckDB's function that reads it.
        reader: &'static str,
    },

    #[error("only one side can be stdin")]
    StdinTwice,

    #[error("the two sides have no namespace in common: nothing can be compared")]
    NothingInCommon,

    #[error(
        "no namespace of either side matches --namespace and --account: files contain only the ids of namespaces, so \
         give an id, or compare with a point in time"
    )]
    NothingSelected,

    #[error("cannot use a temporary file in the folder that TMPDIR names")]
    Temporary(#[source] io::Error),

    #[error(transparent)]
    Export(#[from] ExportError),

    #[error(transparent)]
    Store(#[from] StoreError),

    #[error("stdout could not be written")]
    Write(#[source] io::Error),

    #[error("stopped by a signal")]
    Stopped,
}

/// Why a side was not read to its end.
#[derive(Debug)]
pub(super) enum Stopped {
    /// Its ids do not ascend: it has to be sorted.
    OutOfOrder,
    /// The comparison ended before the side did.
    Disconnected,
    Failed(DiffError),
}

impl<E: Into<DiffError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Ids that a side lists more than once: their number, and the first few.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Duplicates {
    pub count: u64,
    pub first: Vec<ObjectId>,
    /// The first one's namespaces if they differ; the comparison was by id alone.
    pub namespaces: Option<(String, String)>,
}

/// The number of ids in a message.
const SHOWN: usize = 5;

impl Duplicates {
    /// Adds the id of a repeated row. Rows come in the order of ids.
    pub fn add(&mut self, id: ObjectId) {
        // A third row of the same id follows the second.
        if self.first.last() == Some(&id) {
            return;
        }
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(id);
        }
    }
}

impl fmt::Display for Duplicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => f.write_str("an id more than once: ")?,
            count => write!(f, "{count} ids more than once: ")?,
        }
        for (index, id) in self.first.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{id}")?;
        }
        if self.count > self.first.len() as u64 {
            write!(f, " and {} more", self.count - self.first.len() as u64)?;
        }
        if let Some((one, other)) = &self.namespaces {
            write!(
                f,
                "; the first is in the namespaces {one} and {other}, and the other side has no column to tell them \
                 apart"
            )?;
        }
        Ok(())
    }
}
