//! Two snapshots of each namespace, compared by the database: intervals that hold both are not even read.

use std::ops::ControlFlow;

use tokio::runtime::Handle;

use super::differences::{Differences, DifferencesBuilder, LineFormat};
use super::entry::Pair;
use super::error::DiffError;
use super::namespaces::{NamespaceInfo, Namespaces};
use super::side::ALL_COLUMNS;
use crate::model::{ChangeKind, ObjectId, State};
use crate::store::{Reader, Slice};

/// One namespace at both points in time.
#[derive(Debug, Clone)]
pub struct SnapshotPair {
    pub from: Slice,
    pub to: Slice,
}

/// Returns the namespaces of these pairs, with their names.
pub fn namespaces_of(pairs: &[SnapshotPair]) -> Namespaces {
    let namespaces = Namespaces::new([ALL_COLUMNS; 2], [None, None], None);
    for pair in pairs {
        let NamespaceInfo { key, name, .. } = NamespaceInfo::of(&pair.to);
        if let (Some(number), Some(name)) = (namespaces.intern(&key), name) {
            namespaces.set_name(number, &name);
        }
    }
    namespaces
}

/// Compares one namespace after the other. Blocks, so it needs a thread of its own; the session belongs to `runtime`.
pub fn compare_snapshots(
    reader: &mut Reader,
    runtime: &Handle,
    pairs: &[SnapshotPair],
    namespaces: &Namespaces,
    format: LineFormat,
) -> Result<Differences, DiffError> {
    let mut differences = DifferencesBuilder::new(format, namespaces)?;
    let mut objects = Vec::with_capacity(pairs.len());
    for SnapshotPair { from, to } in pairs {
        let (old, new) = (NamespaceInfo::of(from), NamespaceInfo::of(to));
        let Some(namespace) = namespaces.intern(&old.key) else {
            continue;
        };
        objects.push((namespace, old.objects));
        if old.digest == new.digest && !format.wants_all() {
            continue;
        }
        let mut written = Ok(());
        let deliver = async |rows: Vec<(ObjectId, State, State)>| {
            written = rows.into_iter().try_for_each(|(id, old, new)| {
                differences.add(&Pair {
                    id,
                    namespace,
                    old: Some(old),
                    new: Some(new),
                })
            });
            match written {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        };
        let _complete = runtime.block_on(reader.compare_states(from, to, format.wants_all(), deliver))?;
        written?;
    }
    let mut found = differences.finish()?;
    for (namespace, objects) in objects {
        let counts = found.tally.counts_mut(namespace);
        // Without `wants_all`, only some of the unchanged objects were read.
        if !format.wants_all() {
            counts.same = objects.saturating_sub(counts.changed() - counts.changes[ChangeKind::Created]);
        }
    }
    Ok(found)
}
