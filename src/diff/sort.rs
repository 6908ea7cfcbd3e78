//! External merge sort: runs that fit into memory are sorted and written to one temporary file, then merged.
//!
//! Entries have a fixed size of 37 bytes on disk, and all runs share one unnamed file, so there is nothing to clean up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use super::entry::Entry;
use super::namespaces::Namespaces;
use crate::model::{ObjectId, StoredData};
use crate::temporary::unnamed_file;

/// The size of an entry on disk.
const BYTES: usize = 37;
/// Entries that all runs together read ahead.
const AHEAD: usize = 128 * 1024;
/// Entries that each run reads ahead at least, however many runs there are.
const LEAST_AHEAD: usize = 64;

pub struct Sorter<'a> {
    namespaces: &'a Namespaces,
    /// The greatest number of entries in memory.
    capacity: usize,
    entries: Vec<Entry>,
    file: Option<BufWriter<File>>,
    /// The number of entries in each run.
    runs: Vec<u64>,
}

impl<'a> Sorter<'a> {
    pub fn new(namespaces: &'a Namespaces, capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self {
            namespaces,
            capacity,
            // Pages that are never written are never resident.
            entries: Vec::with_capacity(capacity),
            file: None,
            runs: Vec::new(),
        }
    }

    pub fn push(&mut self, entries: &[Entry]) -> io::Result<()> {
        for entry in entries {
            if self.entries.len() == self.capacity {
                self.write_run()?;
            }
            self.entries.push(*entry);
        }
        Ok(())
    }

    fn sort(&mut self) {
        let ranks = self.namespaces.ranks();
        let key = |entry: &Entry| (ranks[entry.namespace as usize], entry.id.leading_bits());
        self.entries
            .sort_unstable_by(|one, other| key(one).cmp(&key(other)).then_with(|| one.id.cmp(&other.id)));
    }

    fn write_run(&mut self) -> io::Result<()> {
        self.sort();
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(BufWriter::with_capacity(64 * 1024, unnamed_file()?)),
        };
        for entry in &self.entries {
            file.write_all(&encode(entry))?;
        }
        self.runs.push(self.entries.len() as u64);
        self.entries.clear();
        Ok(())
    }

    /// Returns the entries in ascending order of namespace and id.
    pub fn finish(mut self) -> io::Result<Sorted> {
        if self.file.is_some() {
            self.write_run()?;
        }
        let Some(file) = self.file.take() else {
            self.sort();
            return Ok(Sorted::InMemory(self.entries.into_iter()));
        };
        // Frees memory for what the runs read ahead.
        self.entries = Vec::new();
        let file = file.into_inner().map_err(|error| error.into_error())?;
        Merge::new(file, &self.runs, self.namespaces.ranks()).map(Sorted::Merged)
    }
}

pub enum Sorted {
    InMemory(std::vec::IntoIter<Entry>),
    Merged(Merge),
}

impl Iterator for Sorted {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::InMemory(entries) => entries.next().map(Ok),
            Self::Merged(merge) => merge.next().transpose(),
        }
    }
}

pub struct Merge {
    file: File,
    ranks: Vec<u32>,
    runs: Vec<Run>,
    /// The next entry of each run, the smallest one on top.
    heap: BinaryHeap<Reverse<(u32, u64, ObjectId, usize)>>,
    ahead: usize,
}

#[derive(Default)]
struct Run {
    /// The offset in the file at which the next `left` entries are.
    at: u64,
    left: u64,
    entries: std::vec::IntoIter<Entry>,
    /// The entry that is in the heap.
    current: Option<Entry>,
}

impl Merge {
    fn new(file: File, lengths: &[u64], ranks: Vec<u32>) -> io::Result<Self> {
        let mut at = 0;
        let runs = lengths.iter().map(|left| {
            let run = Run {
                at,
                left: *left,
                ..Run::default()
            };
            at += left * BYTES as u64;
            run
        });
        let mut merge = Self {
            file,
            ranks,
            runs: runs.collect(),
            heap: BinaryHeap::with_capacity(lengths.len()),
            ahead: (AHEAD / lengths.len().max(1)).max(LEAST_AHEAD),
        };
        for (index, run) in merge.runs.iter_mut().enumerate() {
            if let Some(first) = run.advance(&merge.file, merge.ahead)? {
                merge.heap.push(Reverse(key(&merge.ranks, first, index)));
            }
        }
        Ok(merge)
    }

    fn next(&mut self) -> io::Result<Option<Entry>> {
        let Some(mut top) = self.heap.peek_mut() else {
            return Ok(None);
        };
        let Reverse((.., index)) = *top;
        let run = &mut self.runs[index];
        let entry = run.current.take();
        // Replacing the top is cheaper than a pop and a push.
        match run.advance(&self.file, self.ahead)? {
            Some(next) => *top = Reverse(key(&self.ranks, next, index)),
            None => drop(PeekMut::pop(top)),
        }
        Ok(entry)
    }
}

/// The leading bits almost always decide.
fn key(ranks: &[u32], entry: &Entry, run: usize) -> (u32, u64, ObjectId, usize) {
    (ranks[entry.namespace as usize], entry.id.leading_bits(), entry.id, run)
}

impl Run {
    fn advance(&mut self, file: &File, ahead: usize) -> io::Result<Option<&Entry>> {
        if self.entries.len() == 0 && self.left > 0 {
            self.fill(file, ahead)?;
        }
        self.current = self.entries.next();
        Ok(self.current.as_ref())
    }

    fn fill(&mut self, file: &File, ahead: usize) -> io::Result<()> {
        let count = self.left.min(ahead as u64) as usize;
        let mut bytes = vec![0; count * BYTES];
        file.read_exact_at(&mut bytes, self.at)?;
        self.at += bytes.len() as u64;
        self.left -= count as u64;
        let entries: Vec<_> = bytes.as_chunks::<BYTES>().0.iter().map(decode).collect();
        self.entries = entries.into_iter();
        Ok(())
    }
}

fn encode(entry: &Entry) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..32].copy_from_slice(entry.id.as_bytes());
    bytes[32..36].copy_from_slice(&entry.namespace.to_le_bytes());
    bytes[36] = match entry.data {
        None => 0,
        Some(StoredData::Unknown) => 1,
        Some(StoredData::Without) => 2,
        Some(StoredData::With) => 3,
    };
    bytes
}

fn decode(bytes: &[u8; BYTES]) -> Entry {
    let mut id = [0; 32];
    id.copy_from_slice(&bytes[..32]);
    Entry {
        id: ObjectId::from_bytes(id),
        namespace: u32::from_le_bytes([bytes[32], bytes[33], bytes[34], bytes[35]]),
        data: match bytes[36] {
            0 => None,
            1 => Some(StoredData::Unknown),
            2 => Some(StoredData::Without),
            _ => Some(StoredData::With),
        },
    }
}
