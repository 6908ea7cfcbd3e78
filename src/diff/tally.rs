//! How many objects differ, and how, by owner.

use std::ops::AddAssign;

use super::{Pair, Verdict};
use crate::model::{ChangeCounts, ChangeKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub changes: ChangeCounts,
    pub same: u64,
    pub not_comparable: u64,
}

impl Counts {
    pub fn changed(&self) -> u64 {
        self.changes.total()
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.changes += other.changes;
        self.same += other.same;
        self.not_comparable += other.not_comparable;
    }
}

/// By the numbers of owners.
#[derive(Debug, Clone, Default)]
pub struct Tally(Vec<Counts>);

impl Tally {
    pub fn of(&mut self, owner: u32) -> &mut Counts {
        let index = owner as usize;
        if index >= self.0.len() {
            self.0.resize(index + 1, Counts::default());
        }
        &mut self.0[index]
    }

    pub fn add(&mut self, pair: &Pair, verdict: Verdict) {
        let counts = self.of(pair.owner);
        match (verdict, pair.old, pair.new) {
            (Verdict::Same, ..) => counts.same += 1,
            (Verdict::NotComparable, ..) => counts.not_comparable += 1,
            (Verdict::Created, ..) => counts.changes[ChangeKind::Created] += 1,
            (Verdict::Removed, ..) => counts.changes[ChangeKind::Removed] += 1,
            (Verdict::Changed, Some(old), Some(new)) => counts.changes[ChangeKind::of(old, new)] += 1,
            (Verdict::Changed, ..) => {}
        }
    }

    /// Owners of which anything was counted.
    pub fn owners(&self) -> impl Iterator<Item = (u32, &Counts)> {
        let all = self.0.iter().zip(0..);
        all.filter(|(counts, _)| **counts != Counts::default())
            .map(|(counts, owner)| (owner, counts))
    }

    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.0.iter().for_each(|counts| total += *counts);
        total
    }
}
