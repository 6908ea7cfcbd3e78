//! Is a side in order, and is each of its objects there once?

use std::cmp::Ordering;

use super::Entry;
use super::error::Duplicates;
use super::owners::{OwnerOrder, Owners};

/// An entry came after one that it should have come before.
#[derive(Debug, PartialEq, Eq)]
pub struct Disorder;

pub struct Check<'a> {
    owners: &'a Owners,
    order: OwnerOrder<'a>,
    last: Option<Entry>,
    pub duplicates: Duplicates,
}

impl<'a> Check<'a> {
    pub fn new(owners: &'a Owners) -> Self {
        Self {
            owners,
            order: owners.order(),
            last: None,
            duplicates: Duplicates::default(),
        }
    }

    /// Leaves one of each that are the same.
    pub fn check(&mut self, entries: &mut Vec<Entry>) -> Result<(), Disorder> {
        let mut in_order = true;
        let mut duplicates = false;
        let mut last = self.last;
        for entry in &*entries {
            match last.map(|last| self.compare(&last, entry)) {
                None | Some(Ordering::Less) => {}
                Some(Ordering::Equal) => duplicates = true,
                Some(Ordering::Greater) => in_order = false,
            }
            last = Some(*entry);
        }
        if !in_order {
            return Err(Disorder);
        }
        if duplicates {
            self.remove_duplicates(entries);
        }
        self.last = last;
        Ok(())
    }

    fn compare(&mut self, one: &Entry, other: &Entry) -> Ordering {
        self.order.compare(one.owner, other.owner).then(one.id.cmp(&other.id))
    }

    fn remove_duplicates(&mut self, entries: &mut Vec<Entry>) {
        let mut last = self.last;
        entries.retain(|entry| {
            let twice = last.is_some_and(|last| self.compare(&last, entry) == Ordering::Equal);
            if let (true, Some(last)) = (twice, last) {
                self.note(&last, entry);
            }
            last = Some(*entry);
            !twice
        });
    }

    fn note(&mut self, one: &Entry, other: &Entry) {
        let namespace = |entry: &Entry| self.owners.owner(entry.owner).namespace_id;
        if self.duplicates.count == 0
            && let (Some(one), Some(other)) = (namespace(one), namespace(other))
            && one != other
        {
            self.duplicates.namespaces = Some((one.to_string(), other.to_string()));
        }
        self.duplicates.add(other.id);
    }
}
