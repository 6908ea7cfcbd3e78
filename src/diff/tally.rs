//! How many objects differ, and how, by owner.

use super::{Pair, Verdict};
use crate::model;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Its counts of changes; nothing is counted as observed.
    pub changes: model::Counts,
    pub same: u64,
    pub not_comparable: u64,
}

impl Counts {
    pub fn changed(&self) -> u64 {
        let c = &self.changes;
        c.created + c.removed + c.data_gained + c.data_lost + c.data_known + c.data_unknown
    }

    pub fn plus(&self, other: &Self) -> Self {
        let (a, b) = (&self.changes, &other.changes);
        Self {
            changes: model::Counts {
                created: a.created + b.created,
                removed: a.removed + b.removed,
                data_gained: a.data_gained + b.data_gained,
                data_lost: a.data_lost + b.data_lost,
                data_known: a.data_known + b.data_known,
                data_unknown: a.data_unknown + b.data_unknown,
                ..model::Counts::default()
            },
            same: self.same + other.same,
            not_comparable: self.not_comparable + other.not_comparable,
        }
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
            (Verdict::Created, ..) => counts.changes.created += 1,
            (Verdict::Removed, ..) => counts.changes.removed += 1,
            (Verdict::Changed, Some(old), Some(new)) => counts.changes.change(old, new),
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
        self.0.iter().fold(Counts::default(), |sum, counts| sum.plus(counts))
    }
}
