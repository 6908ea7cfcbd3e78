//! An object on one side, and the same object on both.

use crate::model::{ChangeKind, ObjectId, State, StoredData};

/// An object on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub id: ObjectId,
    /// The number that `Namespaces` gave its namespace.
    pub namespace: u32,
    /// `None` if the side has no such column.
    pub data: Option<StoredData>,
}

/// An object's states on both sides. A state is `None` if the side lists the object but has no column for its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    pub id: ObjectId,
    pub namespace: u32,
    pub old: Option<State>,
    pub new: Option<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Changed(ChangeKind),
    Same,
    /// Both sides list the object, but only one has a column for its data.
    NotComparable,
}

impl Pair {
    pub fn compare(&self) -> Comparison {
        match (self.old, self.new) {
            (Some(State::Absent), _) => Comparison::Changed(ChangeKind::Created),
            (_, Some(State::Absent)) => Comparison::Changed(ChangeKind::Removed),
            (old, new) if old == new => Comparison::Same,
            (Some(old), Some(new)) => Comparison::Changed(ChangeKind::of(old, new)),
            _ => Comparison::NotComparable,
        }
    }
}
