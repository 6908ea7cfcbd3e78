//! The record as one side: its rows come from the database's session, which lives in the runtime, to the thread that
//! compares.

use std::ops::ControlFlow;

use tokio::sync::mpsc;

use super::Entry;
use super::owners::{Owner, Owners, Skipped};
use super::side::{Halt, Segment};
use crate::store::{ReadNamespace, Reader, Slice, SnapshotAt, StoreError};

/// Batches that wait for whoever compares.
const WAITING: usize = 8;

type Batch = Result<Vec<Entry>, StoreError>;

/// Asks for the rows of these slices, from the first on. Each comes with its owner's number.
pub struct Request {
    slices: Vec<(Slice, u32)>,
    to: mpsc::Sender<Batch>,
}

pub type Requests = mpsc::UnboundedReceiver<Request>;

/// A moment of the record.
pub struct Stored {
    pub(super) place: String,
    pub(super) slices: Vec<(Slice, Segment)>,
    requests: mpsc::UnboundedSender<Request>,
}

impl Stored {
    /// Its rows are to be served by whoever has a reader.
    pub fn new(place: String, slices: Vec<Slice>) -> (Self, Requests) {
        let (requests, asked) = mpsc::unbounded_channel();
        let slices = slices.into_iter().map(|slice| {
            let segment = segment(&slice.namespace, &slice.until);
            (slice, segment)
        });
        let stored = Self {
            place,
            slices: slices.collect(),
            requests,
        };
        (stored, asked)
    }

    pub(super) fn read(
        &self,
        owners: &Owners,
        mut hand_on: impl FnMut(&mut Vec<Entry>) -> Result<(), Halt>,
    ) -> Result<Skipped, Halt> {
        let mut slices = Vec::with_capacity(self.slices.len());
        for (slice, segment) in &self.slices {
            // All of them were given their numbers when their names were.
            let Some(number) = owners.number(&segment.owner) else {
                continue;
            };
            slices.push((slice.clone(), number));
        }
        let (to, mut batches) = mpsc::channel(WAITING);
        // Whoever does not listen any more was told to stop.
        self.requests
            .send(Request { slices, to })
            .map_err(|_| Halt::Failed(super::DiffError::Stopped))?;
        while let Some(batch) = batches.blocking_recv() {
            let mut batch = batch?;
            if batch.is_empty() {
                return Ok(Skipped::default());
            }
            hand_on(&mut batch)?;
        }
        Err(Halt::Failed(super::DiffError::Stopped))
    }
}

pub(super) fn segment(namespace: &ReadNamespace, until: &SnapshotAt) -> Segment {
    Segment {
        owner: Owner::new(Some(&namespace.account_id), Some(&namespace.namespace_id)),
        name: namespace.name.clone(),
        objects: until.objects,
        digest: Some((until.digest_version, hex::encode(until.digest.to_bytes()))),
    }
}

/// Serves the rows that are asked for, until nobody can ask any more.
pub async fn serve(reader: &mut Reader, mut requests: Requests) {
    while let Some(Request { slices, to }) = requests.recv().await {
        let ended = send(reader, slices, &to).await;
        // An empty batch is the end: a channel that closes without it was cut off. Nobody may be there to be told.
        let _told = to.send(ended.map(|()| Vec::new())).await;
    }
}

async fn send(reader: &mut Reader, slices: Vec<(Slice, u32)>, to: &mpsc::Sender<Batch>) -> Result<(), StoreError> {
    for (slice, owner) in slices {
        let deliver = async |rows: Vec<crate::model::Observation>| {
            let entries = rows.into_iter().map(|row| Entry {
                id: row.id,
                owner,
                data: Some(row.data),
            });
            // Where nobody takes them, the rest is read all the same: the session is needed once more.
            let _gone = to.send(Ok(entries.collect())).await;
            ControlFlow::Continue(())
        };
        let _read = reader.read_states(&slice, deliver).await?;
    }
    Ok(())
}
