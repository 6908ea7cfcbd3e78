//! A side of a comparison, whatever its source.

use std::collections::HashSet;

use super::entry::Entry;
use super::error::Stopped;
use super::file_side::FileSide;
use super::namespaces::{NamespaceInfo, NamespaceKey, Namespaces, Skipped};
use super::snapshot_side::SnapshotSide;
use crate::export::read::Columns;

pub(super) const ALL_COLUMNS: Columns = Columns {
    account_id: true,
    namespace_id: true,
    object_id: true,
    has_stored_data: true,
    no_objects: None,
};

pub enum Side {
    Files(FileSide),
    Snapshots(SnapshotSide),
}

impl Side {
    /// Returns what error messages call it.
    pub(super) fn place(&self) -> &str {
        match self {
            Self::Files(files) => &files.place,
            Self::Snapshots(snapshots) => &snapshots.place,
        }
    }

    pub(super) fn columns(&self) -> Columns {
        match self {
            Self::Files(files) => files.columns,
            Self::Snapshots(_) => ALL_COLUMNS,
        }
    }

    /// Returns the namespaces that it covers, if it lists them.
    pub(super) fn namespaces(&self) -> Option<Vec<&NamespaceInfo>> {
        match self {
            Self::Files(files) => Some(files.namespaces.as_ref()?.iter().collect()),
            Self::Snapshots(snapshots) => Some(snapshots.slices.iter().map(|(_, namespace)| namespace).collect()),
        }
    }

    /// Excludes these namespaces from what is read.
    pub(super) fn drop_namespaces(&mut self, keys: &HashSet<NamespaceKey>) {
        match self {
            Self::Files(files) => files.drop_namespaces(keys),
            Self::Snapshots(snapshots) => snapshots.slices.retain(|(_, namespace)| !keys.contains(&namespace.key)),
        }
    }

    /// Whether it can't be in order: the record is ordered within its namespaces only.
    pub(super) fn needs_sorting(&self, namespaces: &Namespaces) -> bool {
        match self {
            Self::Files(_) => false,
            Self::Snapshots(snapshots) => snapshots.slices.len() > 1 && !namespaces.by_account(),
        }
    }

    /// Sends its entries in batches; `send` may take what a batch holds. `index` is 0 for FROM, 1 for TO.
    pub(super) fn read(
        &self,
        index: usize,
        namespaces: &Namespaces,
        send: impl FnMut(&mut Vec<Entry>) -> Result<(), Stopped>,
    ) -> Result<Skipped, Stopped> {
        match self {
            Self::Files(files) => files.read(index, namespaces, send),
            Self::Snapshots(snapshots) => snapshots.read(namespaces, send),
        }
    }
}
