//! Two sides, read by a thread each and merged.

use std::sync::mpsc::{Receiver, RecvError, SyncSender, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use super::differences::{Differences, DifferencesBuilder, LineFormat};
use super::entry::{Entry, Pair};
use super::error::{DiffError, Stopped};
use super::file_side::BATCH;
use super::namespaces::{Namespaces, Skipped};
use super::order_check::OrderCheck;
use super::side::Side;
use super::sort::Sorter;
use crate::merge::{Joined, join};
use crate::model::State;

/// Batches that a side may be ahead of the comparison.
const WAITING: usize = 4;

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Entries of 40 bytes that a side keeps in memory while it is sorted.
    pub sorted_in_memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sorted_in_memory: 400_000,
        }
    }
}

/// A side's batches. An empty one is the end; a channel that closes without it was cut off.
type Batches = Receiver<Vec<Entry>>;

pub fn compare_sides(
    sides: [&Side; 2],
    namespaces: &Namespaces,
    format: LineFormat,
    limits: Limits,
) -> Result<Differences, DiffError> {
    let comparer = Comparer {
        namespaces,
        format,
        limits,
    };
    let mut sort = sides.map(|side| side.needs_sorting(namespaces));
    loop {
        if let Some(found) = comparer.attempt(sides, &mut sort)? {
            return Ok(found);
        }
    }
}

#[derive(Clone, Copy)]
struct Comparer<'a> {
    namespaces: &'a Namespaces,
    format: LineFormat,
    limits: Limits,
}

impl Comparer<'_> {
    /// Returns `None` if a side was out of order, and sets its `sort`.
    fn attempt(self, sides: [&Side; 2], sort: &mut [bool; 2]) -> Result<Option<Differences>, DiffError> {
        thread::scope(|scope| {
            let start = |index: usize| {
                let (sender, receiver) = sync_channel(WAITING);
                let sorted = sort[index];
                let produce = move || self.produce(sides[index], index, sorted, &sender);
                (scope.spawn(produce), receiver)
            };
            let ((left, from), (right, to)) = (start(0), start(1));
            // Drops the receivers, so that a side whose entries are no longer needed ends too.
            let merged = self.merge(from, to);
            let mut skipped = [Skipped::default(), Skipped::default()];
            for (index, ended) in [join_thread(left), join_thread(right)].into_iter().enumerate() {
                match ended {
                    Ok(found) => skipped[index] = found,
                    Err(Stopped::OutOfOrder) => sort[index] = true,
                    Err(Stopped::Disconnected) => {}
                    Err(Stopped::Failed(error)) => return Err(error),
                }
            }
            Ok(merged?.map(|found| Differences { skipped, ..found }))
        })
    }

    /// Reads a side, sorted if needed, and sends its batches.
    fn produce(
        self,
        side: &Side,
        index: usize,
        sorted: bool,
        sender: &SyncSender<Vec<Entry>>,
    ) -> Result<Skipped, Stopped> {
        let mut check = OrderCheck::new(self.namespaces);
        let mut send = |batch: &mut Vec<Entry>| {
            check.check(batch)?;
            if batch.is_empty() {
                return Ok(());
            }
            sender.send(std::mem::take(batch)).map_err(|_| Stopped::Disconnected)
        };
        let skipped = if sorted {
            let mut sorter = Sorter::new(self.namespaces, self.limits.sorted_in_memory);
            let skipped = side.read(index, self.namespaces, |batch| {
                let pushed = sorter.push(batch);
                batch.clear();
                pushed.map_err(temporary)
            })?;
            let mut entries = sorter.finish().map_err(temporary)?;
            loop {
                let batch: Result<Vec<_>, _> = entries.by_ref().take(BATCH).collect();
                let mut batch = batch.map_err(temporary)?;
                if batch.is_empty() {
                    break skipped;
                }
                send(&mut batch)?;
            }
        } else {
            side.read(index, self.namespaces, send)?
        };
        if check.duplicates.count > 0 {
            return Err(Stopped::Failed(DiffError::Duplicates {
                place: side.place().to_owned(),
                duplicates: check.duplicates,
            }));
        }
        sender.send(Vec::new()).map_err(|_| Stopped::Disconnected)?;
        Ok(skipped)
    }

    /// Returns `None` if a side was cut off: its thread knows why.
    fn merge(self, from: Batches, to: Batches) -> Result<Option<Differences>, DiffError> {
        let mut differences = DifferencesBuilder::new(self.format, self.namespaces)?;
        let mut order = self.namespaces.order();
        for joined in join(entries(from), entries(to), |one, other| order.compare(one, other)) {
            let Ok(joined) = joined else { return Ok(None) };
            differences.add(&self.pair(joined))?;
        }
        differences.finish().map(Some)
    }

    fn pair(self, joined: Joined<Entry>) -> Pair {
        let state = |entry: Entry| entry.data.map(State::from);
        let (entry, old, new) = match joined {
            Joined::Left(old) => (old, state(old), Some(State::Absent)),
            Joined::Right(new) => (new, Some(State::Absent), state(new)),
            Joined::Both(old, new) if self.namespaces.only_left_names() => (old, state(old), state(new)),
            Joined::Both(old, new) => (new, state(old), state(new)),
        };
        Pair {
            id: entry.id,
            namespace: entry.namespace,
            old,
            new,
        }
    }
}

fn temporary(error: std::io::Error) -> Stopped {
    Stopped::Failed(DiffError::Temporary(error))
}

fn join_thread<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
}

fn entries(batches: Batches) -> impl Iterator<Item = Result<Entry, RecvError>> {
    let mut batch = Vec::new().into_iter();
    let mut ended = false;
    std::iter::from_fn(move || {
        loop {
            if let Some(entry) = batch.next() {
                return Some(Ok(entry));
            }
            if ended {
                return None;
            }
            match batches.recv() {
                Ok(next) => {
                    ended = next.is_empty();
                    batch = next.into_iter();
                }
                Err(cut_off) => {
                    ended = true;
                    return Some(Err(cut_off));
                }
            }
        }
    })
}
