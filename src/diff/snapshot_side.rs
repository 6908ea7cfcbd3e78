//! The record at one point in time as a side.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;

use super::entry::Entry;
use super::error::Stopped;
use super::namespaces::{NamespaceInfo, Namespaces, Skipped};
use crate::model::Observation;
use crate::store::{Reader, Slice};

pub struct SnapshotSide {
    pub(super) place: String,
    pub(super) slices: Vec<(Slice, NamespaceInfo)>,
    reader: Mutex<Reader>,
    runtime: Handle,
}

impl SnapshotSide {
    /// Has to be called in the runtime to which the reader's session belongs.
    pub fn new(place: String, slices: Vec<Slice>, reader: Reader) -> Self {
        let slices = slices.into_iter().map(|slice| {
            let namespace = NamespaceInfo::of(&slice);
            (slice, namespace)
        });
        Self {
            place,
            slices: slices.collect(),
            reader: Mutex::new(reader),
            runtime: Handle::current(),
        }
    }

    pub(super) fn read(
        &self,
        namespaces: &Namespaces,
        mut send: impl FnMut(&mut Vec<Entry>) -> Result<(), Stopped>,
    ) -> Result<Skipped, Stopped> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        for (slice, namespace) in &self.slices {
            // The plan has given every namespace its number.
            let Some(namespace) = namespaces.intern(&namespace.key) else {
                continue;
            };
            let mut sent = Ok(());
            let deliver = async |rows: Vec<Observation>| {
                let entry = |row: Observation| Entry {
                    id: row.id,
                    namespace,
                    data: Some(row.data),
                };
                if sent.is_ok() {
                    sent = send(&mut rows.into_iter().map(entry).collect());
                }
                // A COPY that is abandoned would make the session useless for the attempt that sorts.
                ControlFlow::Continue(())
            };
            let read = self.runtime.block_on(reader.read_states(slice, deliver));
            sent?;
            let _complete = read?;
        }
        Ok(Skipped::default())
    }
}
