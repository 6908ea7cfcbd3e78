//! The JSON that commands write: versioned types of their own, so that a document does not change with the types that it
//! is made from. Scripts depend on them: within a version, fields may be added, and never changed or removed.
//!
//! docs/schemas has a JSON Schema for each, made from these types by a test. The rows of `export` are data, not
//! documents: their columns are promised by the views, and their manifest has the version.

mod check;
mod diff;
mod lists;
mod notification;
mod prune;
mod report;
mod sync;

pub use self::check::{CheckDocument, CheckFinding};
pub use self::diff::{DiffLine, DiffSummaryLine};
pub use self::lists::{IntervalLine, NamespaceLine, SnapshotLine};
pub use self::notification::NotificationDocument;
pub use self::prune::PruneDocument;
pub use self::report::ReportDocument;
pub use self::sync::SyncDocument;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use crate::model::{ChangeCounts, ChangeKind};
use crate::times::for_programs;

/// Returns a document as one line.
pub fn line(document: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(document).map(|text| text + "\n")
}

/// The version of a document: 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Version;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(1)
    }
}

/// A time in UTC, as in RFC 3339.
#[derive(Debug, Clone, Copy)]
struct Time(OffsetDateTime);

impl From<OffsetDateTime> for Time {
    fn from(time: OffsetDateTime) -> Self {
        Self(time)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&for_programs(self.0))
    }
}

/// The number of changes of each kind.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Changes {
    created: u64,
    removed: u64,
    data_gained: u64,
    data_lost: u64,
    data_known: u64,
    data_unknown: u64,
}

impl From<&ChangeCounts> for Changes {
    fn from(counts: &ChangeCounts) -> Self {
        Self {
            created: counts[ChangeKind::Created],
            removed: counts[ChangeKind::Removed],
            data_gained: counts[ChangeKind::DataGained],
            data_lost: counts[ChangeKind::DataLost],
            data_known: counts[ChangeKind::DataKnown],
            data_unknown: counts[ChangeKind::DataUnknown],
        }
    }
}

#[cfg(test)]
mod tests;
