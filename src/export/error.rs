//! Errors of exports and of their verification.

use std::fmt;
use std::io;

use time::OffsetDateTime;

use crate::moment::Moment;
use crate::store::{NOTHING_RECORDED, StoreError};
use crate::text::{first_names, shown};
use crate::times::for_programs;

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Store(#[from] StoreError),

    #[error(transparent)]
    NoRecord(#[from] NoRecord),

    #[error("none of the {namespaces} namespaces was recorded at {moment}: the first snapshot is from {first}")]
    NoRecords {
        namespaces: usize,
        moment: Moment,
        first: String,
    },

    #[error("{NOTHING_RECORDED}")]
    NothingRecorded,

    #[error("no snapshot of the selected namespaces is published yet: see `durable-inventory snapshots`")]
    NothingPublished,

    #[error("snapshot {0} belongs to a namespace that is not selected: see `durable-inventory snapshots`")]
    OtherNamespace(i32),

    #[error("{since} is later than {until}: swap the two")]
    Backwards { since: Moment, until: Moment },

    #[error("{place} could not be written")]
    Write { place: String, source: io::Error },

    #[error("{place} could not be read")]
    Read { place: String, source: io::Error },

    #[error("{place} contains no complete dataset: manifest.json is missing")]
    NoManifest { place: String },

    #[error("manifest.json in {place} was not written by durable-inventory")]
    ForeignManifest { place: String, source: serde_json::Error },

    #[error("manifest.json in {place} has format version {found}, but this program supports {known}")]
    ManifestVersion { place: String, found: u32, known: u32 },

    #[error(transparent)]
    Loss(#[from] Loss),

    #[error("{0} can't be used: this program was built without object stores")]
    NoObjectStores(String),

    #[error("stopped by a signal; no partial output is left")]
    Stopped,
}

impl ExportError {
    /// Turns an I/O error into one that names the place that could not be written.
    pub fn write(place: &str) -> impl FnOnce(io::Error) -> Self + use<> {
        let place = place.to_owned();
        move |source| Self::Write { place, source }
    }

    /// Whether the rows in the database differ from those that were recorded.
    pub fn is_altered(&self) -> bool {
        matches!(self, Self::Store(StoreError::Altered { .. }))
    }

    /// Whether the reader of stdout, such as `head`, closed the pipe because it needs no more.
    pub fn reader_left(&self) -> bool {
        matches!(self, Self::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// A refusal to replace a dataset, with what would be lost.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Loss {
    #[error(
        "{place} contains a dataset of {}, which an export of {asked} would replace, so nothing was written: name \
         another place, or use --replace",
        shown(.found)
    )]
    Table {
        place: String,
        found: String,
        asked: String,
    },

    #[error(
        "the dataset in {place} would lose {} of its {of} namespaces, which this export lacks ({}), so nothing was \
         written: export them too, name another place, or use --replace to drop them",
        .lost.len(), first_names(.lost.iter().map(String::as_str), MOST_NAMED)
    )]
    Namespaces {
        place: String,
        /// Names of namespaces, or their ids where they have no name.
        lost: Vec<String>,
        /// Number of namespaces in the dataset.
        of: usize,
    },
}

/// Names in a message about lost namespaces.
const MOST_NAMED: usize = 5;

/// A point in time before a namespace's record begins. What existed then is unknown, so an empty export would be wrong.
#[derive(Debug, Clone, thiserror::Error)]
pub struct NoRecord {
    pub namespace: String,
    pub moment: Moment,
    pub begins: OffsetDateTime,
    /// The newest snapshot of a namespace that is missing, which gets no other.
    pub ended: Option<OffsetDateTime>,
}

impl fmt::Display for NoRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, moment, .. } = self;
        let begins = for_programs(self.begins);
        let missing = self
            .ended
            .map(|at| format!(" (missing, last recorded at {})", for_programs(at)));
        let missing = missing.unwrap_or_default();
        match moment {
            // Snapshots are counted, so that the moment may be later than the beginning.
            Moment::Latest(back) => write!(
                f,
                "namespace {namespace}{missing} has fewer than {} snapshots, so none is {moment}: its first snapshot is \
                 from {begins}",
                u64::from(*back) + 1
            ),
            _ => write!(
                f,
                "namespace {namespace}{missing} was not recorded at {moment}: its first snapshot is from {begins}"
            ),
        }
    }
}
