//! Two sides walked side by side.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use super::check::{Check, Disorder};
use super::error::DiffError;
use super::output::{Listing, Output};
use super::owners::{Owners, Skipped};
use super::side::{BATCH, Halt, Side};
use super::sort::Sorter;
use super::spool::Spool;
use super::tally::Tally;
use super::{Entry, Pair, Verdict};
use crate::merge::{Joined, join};
use crate::model::State;

/// Batches that wait to be compared.
const WAITING: usize = 4;

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Entries of 40 bytes that a side which has to be sorted keeps in memory.
    pub sorted_in_memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sorted_in_memory: 400_000,
        }
    }
}

/// What differs.
#[derive(Default)]
pub struct Found {
    /// What belongs on stdout.
    pub listed: Spool,
    pub tally: Tally,
    /// What was not compared of each side.
    pub skipped: [Skipped; 2],
}

/// A side's batches; the end is an empty one. A channel that closes without it was cut off.
type Batches = Receiver<Vec<Entry>>;

/// A side was cut off: why, it tells itself.
struct CutOff;

pub fn compare_sides(
    sides: [&Side; 2],
    owners: &Owners,
    listing: Listing,
    limits: Limits,
    stop: &AtomicBool,
) -> Result<Found, DiffError> {
    let mut sorted = sides.map(|side| side.needs_sorting(owners));
    loop {
        let job = Job {
            owners,
            listing,
            limits,
            stop,
        };
        match job.attempt(sides, sorted)? {
            Attempt::Done(found) => return Ok(*found),
            Attempt::Disorder(found) => sorted = [sorted[0] || found[0], sorted[1] || found[1]],
        }
    }
}

enum Attempt {
    Done(Box<Found>),
    /// Which of the sides are not in order.
    Disorder([bool; 2]),
}

#[derive(Clone, Copy)]
struct Job<'a> {
    owners: &'a Owners,
    listing: Listing,
    limits: Limits,
    stop: &'a AtomicBool,
}

impl Job<'_> {
    fn attempt(self, sides: [&Side; 2], sorted: [bool; 2]) -> Result<Attempt, DiffError> {
        thread::scope(|scope| {
            let start = |index: usize| {
                let (sender, receiver) = sync_channel(WAITING);
                let produce = move || self.produce(sides[index], index, sorted[index], &sender);
                (scope.spawn(produce), receiver)
            };
            let ((left, from), (right, to)) = (start(0), start(1));
            // When this ends, the receivers are gone, and with them the reason to produce more.
            let merged = self.merge(from, to);
            let mut disorder = [false; 2];
            let mut skipped = [Skipped::default(), Skipped::default()];
            for (index, ended) in [ended(left), ended(right)].into_iter().enumerate() {
                match ended {
                    Ok(found) => skipped[index] = found,
                    Err(Halt::Disorder) => disorder[index] = true,
                    Err(Halt::Gone) => {}
                    Err(Halt::Failed(error)) => return Err(error),
                }
            }
            match merged? {
                Ok(found) => Ok(Attempt::Done(Box::new(Found { skipped, ..found }))),
                Err(CutOff) => Ok(Attempt::Disorder(disorder)),
            }
        })
    }

    fn produce(
        self,
        side: &Side,
        index: usize,
        sorted: bool,
        sender: &SyncSender<Vec<Entry>>,
    ) -> Result<Skipped, Halt> {
        let mut check = Check::new(self.owners);
        let mut send = |batch: &mut Vec<Entry>| {
            check.check(batch).map_err(|Disorder| Halt::Disorder)?;
            if batch.is_empty() {
                return Ok(());
            }
            let batch = std::mem::take(batch);
            sender.send(batch).map_err(|_| Halt::Gone)
        };
        let skipped = if sorted {
            let mut sorter = Sorter::new(self.owners, self.limits.sorted_in_memory);
            let read = side.read(index, self.owners, self.stop, |batch| {
                let pushed = sorter.push(batch);
                batch.clear();
                pushed.map_err(temporary)
            })?;
            let mut entries = sorter.finish().map_err(temporary)?;
            loop {
                let batch: Result<Vec<_>, _> = entries.by_ref().take(BATCH).collect();
                let mut batch = batch.map_err(temporary)?;
                if batch.is_empty() {
                    break read;
                }
                send(&mut batch)?;
            }
        } else {
            side.read(index, self.owners, self.stop, send)?
        };
        if check.duplicates.count > 0 {
            return Err(Halt::Failed(DiffError::Duplicates {
                place: side.place().to_owned(),
                duplicates: check.duplicates,
            }));
        }
        sender.send(Vec::new()).map_err(|_| Halt::Gone)?;
        Ok(skipped)
    }

    fn merge(self, from: Batches, to: Batches) -> Result<Result<Found, CutOff>, DiffError> {
        let mut found = Found::default();
        let mut output = Output::new(self.listing, self.owners, &mut found.listed).map_err(DiffError::Temporary)?;
        let mut order = self.owners.order();
        let joined = join(entries(from), entries(to), |one, other| {
            order
                .compare(one.owner, other.owner)
                .then_with(|| one.id.cmp(&other.id))
        });
        for joined in joined {
            let Ok(joined) = joined else { return Ok(Err(CutOff)) };
            let pair = self.pair(joined);
            let verdict = pair.verdict();
            found.tally.add(&pair, verdict);
            if verdict != Verdict::Same || self.listing.wants_all() {
                output.write(&pair, verdict).map_err(DiffError::Temporary)?;
            }
        }
        Ok(Ok(found))
    }

    fn pair(self, joined: Joined<Entry>) -> Pair {
        let state = |entry: &Entry| entry.data.map(State::from);
        match joined {
            Joined::Left(old) => Pair {
                id: old.id,
                owner: old.owner,
                old: state(&old),
                new: Some(State::Absent),
            },
            Joined::Right(new) => Pair {
                id: new.id,
                owner: new.owner,
                old: Some(State::Absent),
                new: state(&new),
            },
            Joined::Both(old, new) => Pair {
                id: new.id,
                owner: if self.owners.left_says_more() {
                    old.owner
                } else {
                    new.owner
                },
                old: state(&old),
                new: state(&new),
            },
        }
    }
}

fn temporary(error: std::io::Error) -> Halt {
    Halt::Failed(DiffError::Temporary(error))
}

fn ended(thread: ScopedJoinHandle<'_, Result<Skipped, Halt>>) -> Result<Skipped, Halt> {
    thread
        .join()
        .unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
}

fn entries(batches: Batches) -> impl Iterator<Item = Result<Entry, CutOff>> {
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
                Err(_) => {
                    ended = true;
                    return Some(Err(CutOff));
                }
            }
        }
    })
}
