//! The transfer from the store to a target. Rows are read in the task and written on a thread, with a few batches
//! between them, so memory does not grow with the number of rows.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::error::ExportError;
use super::plan::ExportPlan;
use crate::model::StoredData;
use crate::store::{Reader, Row, Slice, StoreError, Table};

/// Capacity of the channel to the writer, in batches.
const BATCHES: usize = 8;

/// Account and id of each namespace that an export holds, or leaves out on purpose.
pub type CoveredNamespaces = HashSet<(String, String)>;

/// The destination of an export's rows. Dropped before `finish`, it leaves nothing behind.
pub trait Target: Send {
    /// Called before the first row. Fails if the export would drop namespaces from an existing dataset.
    fn expect(&mut self, _covered: CoveredNamespaces) -> Result<(), ExportError> {
        Ok(())
    }
    /// Starts a slice: the rows that follow belong to it.
    fn begin(&mut self, slice: &Arc<Slice>) -> Result<(), ExportError>;
    fn rows(&mut self, rows: &[Row]) -> Result<(), ExportError>;
    /// Makes the export visible and returns its number of rows.
    fn finish(self: Box<Self>) -> Result<u64, ExportError>;
}

/// What an export wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    pub rows: u64,
    pub of_missing: MissingRows,
}

/// The rows of namespaces that are missing, and the number of these namespaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MissingRows {
    pub rows: u64,
    pub namespaces: usize,
}

enum Message {
    Begin(Arc<Slice>),
    Rows(Vec<Row>),
    Finish,
}

/// Writes the planned slices to the target. Fails when `stop` completes first.
pub async fn export(
    reader: &mut Reader,
    table: Table,
    plan: ExportPlan,
    data: Option<StoredData>,
    target: Box<dyn Target>,
    stop: impl Future<Output = ()>,
) -> Result<Exported, ExportError> {
    let (sender, receiver) = mpsc::channel(BATCHES);
    let covered = plan.covered();
    let writer = tokio::task::spawn_blocking(move || write(target, covered, receiver));
    let fed = tokio::select! {
        fed = feed(reader, table, plan, data, sender) => fed.map_err(ExportError::from),
        () = stop => Err(ExportError::Stopped),
    };
    // Without a sender the writer ends. Only then is it certain that a failed export has left nothing behind.
    let written = writer.await.unwrap_or_else(|ended| {
        // It is never cancelled, so it panicked.
        std::panic::resume_unwind(ended.into_panic())
    });
    let of_missing = fed?;
    let rows = written?;
    Ok(Exported { rows, of_missing })
}

async fn feed(
    reader: &mut Reader,
    table: Table,
    plan: ExportPlan,
    data: Option<StoredData>,
    sender: mpsc::Sender<Message>,
) -> Result<MissingRows, StoreError> {
    let mut of_missing = MissingRows::default();
    for slice in plan.slices {
        let slice = Arc::new(slice);
        if sender.send(Message::Begin(slice.clone())).await.is_err() {
            return Ok(of_missing);
        }
        let mut count = 0;
        let deliver = async |rows: Vec<Row>| {
            count += rows.len() as u64;
            match sender.send(Message::Rows(rows)).await {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        };
        if reader.read(table, &slice, data, deliver).await?.is_break() {
            return Ok(of_missing); // the writer failed and returns the error
        }
        if slice.namespace.is_missing && count > 0 {
            of_missing.rows += count;
            of_missing.namespaces += 1;
        }
    }
    let _sent = sender.send(Message::Finish).await;
    Ok(of_missing)
}

fn write(
    mut target: Box<dyn Target>,
    covered: CoveredNamespaces,
    mut receiver: mpsc::Receiver<Message>,
) -> Result<u64, ExportError> {
    target.expect(covered)?;
    while let Some(message) = receiver.blocking_recv() {
        match message {
            Message::Begin(slice) => target.begin(&slice)?,
            Message::Rows(rows) => target.rows(&rows)?,
            Message::Finish => return target.finish(),
        }
    }
    Err(ExportError::Stopped)
}
