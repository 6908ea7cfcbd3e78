//! Two lists of objects, and what differs between them: two moments of the record, two files or datasets, or one of
//! each.
//!
//! Both sides are brought into one order and walked side by side (`run`). A side comes as it is, in batches, from a
//! thread of its own (`side`), for as long as its ids ascend; when they do not, it starts over and is sorted on disk
//! (`sort`). What was found waits in a file (`output`), so that stdout gets all of it or nothing. Two moments are
//! compared where they are stored (`moments`). Memory does not grow with rows.

mod asked;
mod check;
mod error;
mod moments;
mod output;
mod owners;
mod prepare;
mod record;
mod run;
mod side;
mod sort;
mod spool;
mod tally;
mod whose;

pub use self::asked::{Asked, InvalidSide};
pub use self::error::DiffError;
pub use self::moments::{MomentPair, compare_moments, owners_of};
pub use self::output::Listing;
pub use self::owners::{Owner, Owners, Selected, Selects, Skipped};
pub use self::prepare::{Prepared, prepare};
pub use self::record::{Requests, Stored, serve};
pub use self::run::{Found, Limits, compare_sides};
pub use self::side::{Files, Side};
pub use self::spool::Spool;
pub use self::tally::{Counts, Tally};

use crate::model::{ObjectId, State, StoredData};

/// An object of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub id: ObjectId,
    /// Whose it is: a number that `Owners` gave.
    pub owner: u32,
    /// `None` where the side says nothing of it.
    pub data: Option<StoredData>,
}

/// An object as both sides have it. A state is `None` where the side lists the object and says nothing of its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    pub id: ObjectId,
    pub owner: u32,
    pub old: Option<State>,
    pub new: Option<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Created,
    Removed,
    Changed,
    Same,
    /// One side says something of its data, the other does not.
    NotComparable,
}

impl Pair {
    pub fn verdict(&self) -> Verdict {
        match (self.old, self.new) {
            (Some(State::Absent), _) => Verdict::Created,
            (_, Some(State::Absent)) => Verdict::Removed,
            (old, new) if old == new => Verdict::Same,
            (Some(_), Some(_)) => Verdict::Changed,
            _ => Verdict::NotComparable,
        }
    }
}

#[cfg(test)]
mod tests;
