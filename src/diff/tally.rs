//! The number of differences of each kind, by namespace.

use std::ops::AddAssign;

use super::entry::Comparison;
use crate::model::ChangeCounts;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiffCounts {
    pub changes: ChangeCounts,
    pub same: u64,
    pub not_comparable: u64,
}

impl DiffCounts {
    pub fn changed(&self) -> u64 {
        self.changes.total()
    }
}

impl AddAssign for DiffCounts {
    fn add_assign(&mut self, other: Self) {
        self.changes += other.changes;
        self.same += other.same;
        self.not_comparable += other.not_comparable;
    }
}

/// Counts, indexed by a namespace's number.
#[derive(Debug, Clone, Default)]
pub struct Tally(Vec<DiffCounts>);

impl Tally {
    pub fn counts_mut(&mut self, namespace: u32) -> &mut DiffCounts {
        let index = namespace as usize;
        if index >= self.0.len() {
            self.0.resize(index + 1, DiffCounts::default());
        }
        &mut self.0[index]
    }

    pub fn add(&mut self, namespace: u32, comparison: Comparison) {
        let counts = self.counts_mut(namespace);
        match comparison {
            Comparison::Changed(kind) => counts.changes[kind] += 1,
            Comparison::Same => counts.same += 1,
            Comparison::NotComparable => counts.not_comparable += 1,
        }
    }

    /// Returns the namespaces with a count above zero.
    pub fn namespaces(&self) -> impl Iterator<Item = (u32, &DiffCounts)> {
        let all = (0..).zip(&self.0);
        all.filter(|(_, counts)| **counts != DiffCounts::default())
    }

    pub fn total(&self) -> DiffCounts {
        let mut total = DiffCounts::default();
        self.0.iter().for_each(|counts| total += *counts);
        total
    }
}
