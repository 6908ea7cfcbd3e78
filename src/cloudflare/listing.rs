//! The namespace list, page by page: where it ends, and whether it is known to be whole. Every number in a response is
//! optional and servers differ, so an end is believed only if nothing that the server sent contradicts it.

use std::collections::{HashMap, HashSet};

use super::wire::{NamespacePage, Numbers};
use crate::model::{Namespace, NamespaceId};

/// The requested number of namespaces per page. A server may send fewer or more.
pub(super) const PER_PAGE: u32 = 100;

/// The namespaces listed so far, and what each page reported.
#[derive(Default)]
pub(super) struct NamespaceList {
    /// In the order in which they were first listed, each id once.
    namespaces: Vec<Namespace>,
    places: HashMap<NamespaceId, usize>,
    pages: Vec<ListedPage>,
    /// Whether the server sent fewer rows when a smaller page was requested; `None` if that was not tried.
    cuts_to_size: Option<bool>,
    broke_off: Option<BrokeOff>,
}

/// The counts of one page: of its rows, and as reported by the server.
struct ListedPage {
    rows: u64,
    distinct: u64,
    new: u64,
    /// Namespaces listed up to and including this page.
    so_far: u64,
    reported: Numbers,
}

/// How the list ended at a page that could not be read.
enum BrokeOff {
    AfterItsEnd,
    BeforeItsEnd(String),
}

impl ListedPage {
    /// Whether the page has as many rows as fit, so that there may be more.
    fn is_full(&self) -> bool {
        self.rows == u64::from(PER_PAGE) || self.reported.per_page == Some(self.rows)
    }

    /// Whether both totals agree that page `number` is the last one.
    fn ends_at(&self, number: u32) -> bool {
        self.reported.total_count == Some(self.so_far)
            && self
                .reported
                .total_pages
                .is_some_and(|pages| pages <= u64::from(number))
    }
}

impl NamespaceList {
    /// Number and size of the page to request next; `None` at the end.
    pub(super) fn next(&self) -> Option<(u32, u32)> {
        if self.broke_off.is_some() {
            return None;
        }
        let (Some(first), Some(last)) = (self.pages.first(), self.pages.last()) else {
            return Some((1, PER_PAGE));
        };
        let number = self.pages.len() as u32;
        if last.new > 0 && (last.is_full() || !last.ends_at(number)) {
            return Some((number + 1, PER_PAGE));
        }
        // Every page is the first one. A server without paging sends everything, whatever is requested. One that limits
        // pages to the requested size may have cut this one, so a smaller page is tried.
        let is_open = self.repeats_a_full_page() && self.cuts_to_size.is_none() && first.rows > 1;
        is_open.then(|| (1, first.rows as u32 - 1))
    }

    /// Adds the page that was requested.
    pub(super) fn add(&mut self, page: NamespacePage) {
        let is_trial = self.next().is_some_and(|(_, size)| size != PER_PAGE);
        let ids: HashSet<_> = page.namespaces.iter().map(|namespace| namespace.id.clone()).collect();
        let (rows, before) = (page.namespaces.len() as u64, self.namespaces.len() as u64);
        for namespace in page.namespaces {
            self.merge(namespace);
        }
        let (distinct, so_far) = (ids.len() as u64, self.namespaces.len() as u64);
        if is_trial {
            self.cuts_to_size = Some(distinct != before || so_far != before);
            return;
        }
        self.pages.push(ListedPage {
            rows,
            distinct,
            new: so_far - before,
            so_far,
            reported: page.numbers,
        });
    }

    /// Ends the list at a page that could not be read. It does no harm beyond the last page, which some servers refuse.
    pub(super) fn break_off(&mut self, page: u32, error: String) {
        let is_at_its_end = self.pages.last().is_some_and(|last| last.ends_at(page - 1));
        self.broke_off = Some(match is_at_its_end {
            true => BrokeOff::AfterItsEnd,
            false => BrokeOff::BeforeItsEnd(format!("page {page} could not be read: {error}")),
        });
    }

    pub(super) fn has_broken_off(&self) -> bool {
        self.broke_off.is_some()
    }

    pub(super) fn has_no_page(&self) -> bool {
        self.pages.is_empty()
    }

    /// Why namespaces may be missing from the list; `None` if it is complete.
    pub(super) fn doubt(&self) -> Option<String> {
        if let Some(BrokeOff::BeforeItsEnd(error)) = &self.broke_off {
            return Some(error.clone());
        }
        if self.repeats_a_full_page() && self.cuts_to_size != Some(false) {
            return Some("every page is the first one, cut to the size of a page".to_owned());
        }
        let listed = self.namespaces.len() as u64;
        let numbered = || self.pages.iter().zip(1..);
        for (page, number) in numbered() {
            // A page beyond the end may report zeros.
            let is_after_end = page.rows == 0 && page.so_far > 0;
            let counted = |count: Option<u64>| count.filter(|count| !(is_after_end && *count == 0));
            if let Some(total) = counted(page.reported.total_count)
                && total != listed
            {
                return Some(format!("it lists {listed}, but its total_count is {total}"));
            }
            // The documentation calls it the total, Cloudflare's servers count the page, and others send the running total.
            if let Some(count) = counted(page.reported.count)
                && ![page.rows, page.distinct, page.so_far, listed].contains(&count)
            {
                let rows = page.rows;
                return Some(format!(
                    "the count of page {number} is {count}, but its number of rows {rows}"
                ));
            }
        }
        if self.pages.iter().any(|page| page.reported.total_count.is_some()) {
            return None;
        }
        self.doubt_without_a_total()
    }

    /// Without `total_count`, only the pages themselves show whether one is missing.
    fn doubt_without_a_total(&self) -> Option<String> {
        let brought = self.pages.iter().filter(|page| page.new > 0).count() as u64;
        let promised = self.pages.iter().filter_map(|page| page.reported.total_pages).max();
        if let Some(promised) = promised.filter(|promised| *promised > brought.max(1)) {
            return Some(format!(
                "it ends after page {brought}, but its total_pages is {promised}"
            ));
        }
        let overlap = |page: &ListedPage| page.new > 0 && page.new < page.distinct;
        if let Some(at) = self.pages.iter().position(overlap) {
            return Some(format!("page {} repeats some namespaces of earlier pages", at + 1));
        }
        let [first, .., before, last] = self.pages.as_slice() else {
            return None;
        };
        let is_repeated = last.rows > 0 && last.new == 0;
        (is_repeated && (before.is_full() || before.rows >= first.rows))
            .then(|| format!("page {} repeats earlier pages instead of being empty", self.pages.len()))
    }

    fn repeats_a_full_page(&self) -> bool {
        match self.pages.as_slice() {
            [first, second] => first.is_full() && second.rows > 0 && second.new == 0,
            _ => false,
        }
    }

    pub(super) fn into_namespaces(self) -> Vec<Namespace> {
        self.namespaces
    }

    /// Adds a namespace, or replaces an earlier row with the same id in its place.
    pub(super) fn merge(&mut self, namespace: Namespace) {
        match self
            .places
            .get(&namespace.id)
            .and_then(|place| self.namespaces.get_mut(*place))
        {
            Some(earlier) => *earlier = namespace,
            None => {
                self.places.insert(namespace.id.clone(), self.namespaces.len());
                self.namespaces.push(namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests;
