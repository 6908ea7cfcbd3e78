//! From the store to a target: reading here, writing on a thread of its own, a few batches of rows between them. Memory
//! does not grow with rows.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::error::ExportError;
use super::plan::Plan;
use crate::model::StoredData;
use crate::store::{Reader, Row, Slice, Table};

/// Batches that wait for the writer.
const WAITING: usize = 8;

/// Account and id of each namespace that an export has, or may be without.
pub type Covered = HashSet<(String, String)>;

/// What the rows are written to. Dropped before it finished, it leaves nothing behind.
pub trait Target: Send {
    /// Before the first row: refuses where what is there already would lose something.
    fn expect(&mut self, _covered: Covered) -> Result<(), ExportError> {
        Ok(())
    }
    /// The rows that follow are of this slice.
    fn begin(&mut self, slice: &Arc<Slice>) -> Result<(), ExportError>;
    fn rows(&mut self, rows: &[Row]) -> Result<(), ExportError>;
    fn finish(self: Box<Self>) -> Result<Written, ExportError>;
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub rows: u64,
    pub files: u64,
}

enum Message {
    Begin(Arc<Slice>),
    Rows(Vec<Row>),
    Finish,
}

/// Writes what the plan names to the target, until `stop` ends.
pub async fn export(
    reader: &mut Reader,
    table: Table,
    plan: Plan,
    data: Option<StoredData>,
    target: Box<dyn Target>,
    stop: impl Future<Output = ()>,
) -> Result<Written, ExportError> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let covered = plan.covered();
    let writer = tokio::task::spawn_blocking(move || write(target, covered, receiver));
    let fed = tokio::select! {
        fed = feed(reader, table, plan, data, sender) => fed.map_err(ExportError::from),
        () = stop => Err(ExportError::Stopped),
    };
    // The writer ends when nobody feeds it. Only now is it certain that it has left nothing behind.
    let written = writer.await.unwrap_or_else(|ended| {
        // It is never cancelled: it panicked.
        std::panic::resume_unwind(ended.into_panic())
    });
    fed?;
    written
}

async fn feed(
    reader: &mut Reader,
    table: Table,
    plan: Plan,
    data: Option<StoredData>,
    sender: mpsc::Sender<Message>,
) -> Result<(), crate::store::StoreError> {
    let gone = |sent: Result<(), mpsc::error::SendError<Message>>| sent.is_err();
    for slice in plan.slices {
        let slice = Arc::new(slice);
        if gone(sender.send(Message::Begin(slice.clone())).await) {
            return Ok(());
        }
        let deliver = async |rows| match sender.send(Message::Rows(rows)).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        if reader.read(table, &slice, data, deliver).await?.is_break() {
            return Ok(()); // the writer tells why it wants no more
        }
    }
    let _told = sender.send(Message::Finish).await;
    Ok(())
}

fn write(
    mut target: Box<dyn Target>,
    covered: Covered,
    mut receiver: mpsc::Receiver<Message>,
) -> Result<Written, ExportError> {
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
