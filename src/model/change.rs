//! How an object's state changes, and how often.

use std::fmt;
use std::ops::{AddAssign, Index, IndexMut};

use super::{ObjectId, State, StoredData};

/// An object whose state differs from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub id: ObjectId,
    pub old: State,
    pub new: State,
}

/// The kinds of change, in the order in which they are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Created,
    Removed,
    /// Without data to with data.
    DataGained,
    /// With data to without data.
    DataLost,
    /// Unknown to either.
    DataKnown,
    /// Either to unknown.
    DataUnknown,
}

impl ChangeKind {
    pub const ALL: [Self; 6] = [
        Self::Created,
        Self::Removed,
        Self::DataGained,
        Self::DataLost,
        Self::DataKnown,
        Self::DataUnknown,
    ];

    /// The kind of a change between two different states, as `inventory.change_name` defines it.
    pub fn of(old: State, new: State) -> Self {
        match (old, new) {
            (State::Absent, _) => Self::Created,
            (_, State::Absent) => Self::Removed,
            (_, State::Unknown) => Self::DataUnknown,
            (State::Unknown, _) => Self::DataKnown,
            (_, State::WithData) => Self::DataGained,
            (_, State::WithoutData) => Self::DataLost,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Removed => "removed",
            Self::DataGained => "data_gained",
            Self::DataLost => "data_lost",
            Self::DataKnown => "data_known",
            Self::DataUnknown => "data_unknown",
        }
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The number of changes of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChangeCounts([u64; ChangeKind::ALL.len()]);

impl ChangeCounts {
    pub fn iter(&self) -> impl Iterator<Item = (ChangeKind, u64)> {
        ChangeKind::ALL.into_iter().zip(self.0)
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Objects that are there before and after, with another flag.
    pub fn flags(&self) -> u64 {
        self.total() - self[ChangeKind::Created] - self[ChangeKind::Removed]
    }
}

impl FromIterator<(ChangeKind, u64)> for ChangeCounts {
    fn from_iter<T: IntoIterator<Item = (ChangeKind, u64)>>(counts: T) -> Self {
        let mut all = Self::default();
        for (kind, count) in counts {
            all[kind] += count;
        }
        all
    }
}

impl Index<ChangeKind> for ChangeCounts {
    type Output = u64;

    fn index(&self, kind: ChangeKind) -> &u64 {
        &self.0[kind as usize]
    }
}

impl IndexMut<ChangeKind> for ChangeCounts {
    fn index_mut(&mut self, kind: ChangeKind) -> &mut u64 {
        &mut self.0[kind as usize]
    }
}

impl AddAssign for ChangeCounts {
    fn add_assign(&mut self, other: Self) {
        for (kind, count) in other.iter() {
            self[kind] += count;
        }
    }
}

/// What a walk saw, and what it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub with_data: u64,
    pub without_data: u64,
    pub unknown: u64,
    pub changes: ChangeCounts,
}

impl Counts {
    pub fn objects(&self) -> u64 {
        self.with_data + self.without_data + self.unknown
    }

    pub fn observe(&mut self, data: StoredData) {
        match data {
            StoredData::Unknown => self.unknown += 1,
            StoredData::Without => self.without_data += 1,
            StoredData::With => self.with_data += 1,
        }
    }

    pub fn change(&mut self, old: State, new: State) {
        self.changes[ChangeKind::of(old, new)] += 1;
    }
}
