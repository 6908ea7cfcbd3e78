//! Whether a side is in order, without duplicates.

use std::cmp::Ordering;

use super::entry::Entry;
use super::error::{Duplicates, Stopped};
use super::namespaces::{NamespaceOrder, Namespaces};

pub struct OrderCheck<'a> {
    namespaces: &'a Namespaces,
    order: NamespaceOrder<'a>,
    last: Option<Entry>,
    pub duplicates: Duplicates,
}

impl<'a> OrderCheck<'a> {
    pub fn new(namespaces: &'a Namespaces) -> Self {
        Self {
            namespaces,
            order: namespaces.order(),
            last: None,
            duplicates: Duplicates::default(),
        }
    }

    /// Checks the next entries, notes duplicates and removes all but the first of each.
    pub fn check(&mut self, entries: &mut Vec<Entry>) -> Result<(), Stopped> {
        let mut duplicates = false;
        let mut last = self.last;
        for entry in &*entries {
            match last.map(|last| self.order.compare(&last, entry)) {
                None | Some(Ordering::Less) => {}
                Some(Ordering::Equal) => duplicates = true,
                Some(Ordering::Greater) => return Err(Stopped::OutOfOrder),
            }
            last = Some(*entry);
        }
        if duplicates {
            self.remove_duplicates(entries);
        }
        self.last = last;
        Ok(())
    }

    fn remove_duplicates(&mut self, entries: &mut Vec<Entry>) {
        let mut last = self.last;
        entries.retain(|entry| {
            let repeated = last.filter(|last| self.order.compare(last, entry) == Ordering::Equal);
            if let Some(first) = repeated {
                self.note(&first, entry);
            }
            last = Some(*entry);
            repeated.is_none()
        });
    }

    fn note(&mut self, one: &Entry, other: &Entry) {
        let namespace = |entry: &Entry| self.namespaces.key(entry.namespace).namespace_id;
        if self.duplicates.count == 0
            && let (Some(one), Some(other)) = (namespace(one), namespace(other))
            && one != other
        {
            self.duplicates.namespaces = Some((one.to_string(), other.to_string()));
        }
        self.duplicates.add(other.id);
    }
}
