//! Why an export, or its verification, came to nothing.

use std::io;

use time::OffsetDateTime;

use crate::moment::Moment;
use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Store(#[from] StoreError),

    #[error(transparent)]
    NoRecord(#[from] NoRecord),

    #[error("none of the {namespaces} namespaces has a record of {moment}: the first one begins at {first}")]
    NoRecords {
        namespaces: usize,
        moment: Moment,
        first: String,
    },

    #[error("no namespace is recorded yet; `durable-inventory sync` does it")]
    NothingRecorded,

    #[error("no recorded namespace is among those asked for: see `durable-inventory namespaces`")]
    NothingSelected,

    #[error("snapshot {0} is not of a namespace that was asked for: see `durable-inventory snapshots`")]
    OtherNamespace(i32),

    #[error("{since} is later than {until}: nothing lies between them")]
    Backwards { since: Moment, until: Moment },

    #[error("{place} could not be written")]
    Write { place: String, source: io::Error },

    #[error("{place} could not be read")]
    Read { place: String, source: io::Error },

    #[error("{place} holds no dataset, or one whose export did not finish: there is no manifest.json")]
    NoManifest { place: String },

    #[error("manifest.json in {place} is none that this program writes")]
    ForeignManifest { place: String, source: serde_json::Error },

    #[error("manifest.json in {place} is of format version {found}, and this program knows {known}")]
    ManifestVersion { place: String, found: u32, known: u32 },

    #[error(transparent)]
    Loss(#[from] Loss),

    #[error("{0} can't be used: this program was built without object stores")]
    NoObjectStores(String),

    #[error("stopped by a signal; nothing was left behind")]
    Stopped,
}

impl ExportError {
    /// What was read is not what was recorded.
    pub fn is_altered(&self) -> bool {
        matches!(self, Self::Store(StoreError::Altered { .. }))
    }

    /// Whoever read stdout and left, such as `head`, has what it wanted.
    pub fn reader_left(&self) -> bool {
        matches!(self, Self::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// What a dataset would lose by an export that replaces it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Loss {
    #[error(
        "{place} holds a dataset of {}, which an export of {asked} would replace, so nothing was written: name another \
         place, or give --replace to drop what is there",
        crate::text::shown(.found)
    )]
    Table {
        place: String,
        found: String,
        asked: String,
    },

    #[error(
        "the dataset in {place} would lose {} of its {of} namespaces, which this export does not have ({}), so nothing was \
         written: export them too, name another place, or give --replace to drop them",
        .lost.len(), some(.lost)
    )]
    Namespaces {
        place: String,
        /// As people call them.
        lost: Vec<String>,
        /// How many there are.
        of: usize,
    },
}

fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(|name| crate::text::shown(name))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// A moment before a namespace's record begins. It is not known what was there: that is not the same as nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[error("nothing is recorded of namespace {namespace} at {moment}: its record begins at {}", shown(*.begins))]
pub struct NoRecord {
    pub namespace: String,
    pub moment: Moment,
    pub begins: OffsetDateTime,
}

pub fn shown(moment: OffsetDateTime) -> String {
    crate::times::for_programs(moment)
}
