//! A list in numbered pages, of namespaces or accounts: where it ends, and whether it is known to be whole. Every number
//! in a response is optional and servers differ, so an end is believed only if nothing that the server sent contradicts
//! it.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::wire::{ListPage, Numbers};
use crate::model::{AccountId, ListedAccount, Namespace, NamespaceId};

/// The number of namespaces per page to request, in the order in which they are tried: a server may refuse one, and
/// none is documented. A server may also send fewer rows, or more. `None` is the server's default: its first page is
/// requested without any parameter.
pub(super) const PER_PAGE: [Option<u32>; 4] = [Some(100), None, Some(50), Some(20)];

/// The same for the list of accounts, which documents a maximum of 50.
pub(super) const ACCOUNTS_PER_PAGE: [Option<u32>; 3] = [Some(50), None, Some(20)];

/// Page sizes that services use. A server without paging that sends as many rows may have cut them to its own size.
const USUAL_PAGE_SIZES: [u64; 4] = [20, 25, 50, 100];

/// What a list has rows of, each with an id of its own.
pub(super) trait Listed {
    type Id: Clone + Eq + Hash;

    fn id(&self) -> &Self::Id;
}

impl Listed for Namespace {
    type Id = NamespaceId;

    fn id(&self) -> &NamespaceId {
        &self.id
    }
}

impl Listed for ListedAccount {
    type Id = AccountId;

    fn id(&self) -> &AccountId {
        &self.id
    }
}

/// The items listed so far, and what each page reported.
pub(super) struct PagedList<T: Listed> {
    per_page: Option<u32>,
    /// In the order in which they were first listed, each id once.
    items: Vec<T>,
    places: HashMap<T::Id, usize>,
    /// The fingerprints of the rows that can't be used.
    unusable: HashSet<u64>,
    first_unusable: Option<String>,
    pages: Vec<ListedPage>,
    /// Whether the server sent fewer rows when a smaller page was requested; `None` if that was not tried.
    cuts_to_size: Option<bool>,
    broke_off: Option<BrokeOff>,
}

/// The counts of one page: of its rows, and as reported by the server.
struct ListedPage {
    rows: u64,
    is_null: bool,
    distinct: u64,
    new: u64,
    /// Items listed up to and including this page.
    so_far: u64,
    requested: Option<u32>,
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
        self.requested.map(u64::from) == Some(self.rows) || self.reported.per_page == Some(self.rows)
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

impl<T: Listed> PagedList<T> {
    /// An empty list that requests pages of this size.
    pub(super) fn of(per_page: Option<u32>) -> Self {
        Self {
            per_page,
            items: Vec::new(),
            places: HashMap::new(),
            unusable: HashSet::new(),
            first_unusable: None,
            pages: Vec::new(),
            cuts_to_size: None,
            broke_off: None,
        }
    }

    /// Number and size of the page to request next; `None` at the end.
    pub(super) fn next(&self) -> Option<(u32, Option<u32>)> {
        if self.broke_off.is_some() {
            return None;
        }
        let (Some(first), Some(last)) = (self.pages.first(), self.pages.last()) else {
            return Some((1, self.per_page));
        };
        let number = self.pages.len() as u32;
        if last.new > 0 && (last.is_full() || !last.ends_at(number)) {
            return Some((number + 1, self.per_page));
        }
        // Every page is the first one. A server without paging sends everything, whatever is requested. One that limits
        // pages to the requested size may have cut this one, so a smaller page is tried.
        self.needs_trial().then(|| (1, Some(first.rows as u32 - 1)))
    }

    fn needs_trial(&self) -> bool {
        let is_open = self.repeats_a_full_page() && self.cuts_to_size.is_none();
        is_open && self.pages.first().is_some_and(|first| first.rows > 1)
    }

    /// Adds the page that was requested.
    pub(super) fn add(&mut self, page: ListPage<T>) {
        let is_trial = self.needs_trial();
        let ids: HashSet<_> = page.items.iter().map(|item| item.id().clone()).collect();
        let fingerprints: HashSet<_> = page.unusable.iter().map(|row| row.fingerprint).collect();
        let (rows, before) = ((page.items.len() + page.unusable.len()) as u64, self.listed());
        for item in page.items {
            self.merge(item);
        }
        if let Some(first) = page.unusable.into_iter().next() {
            self.first_unusable.get_or_insert(first.reason);
        }
        let distinct = (ids.len() + fingerprints.len()) as u64;
        self.unusable.extend(fingerprints);
        let so_far = self.listed();
        if is_trial {
            self.cuts_to_size = Some(distinct != before || so_far != before);
            return;
        }
        self.pages.push(ListedPage {
            rows,
            is_null: page.is_null,
            distinct,
            new: so_far - before,
            so_far,
            requested: self.per_page,
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

    /// The different rows so far.
    fn listed(&self) -> u64 {
        (self.items.len() + self.unusable.len()) as u64
    }

    /// Whether the whole list is a null.
    pub(super) fn is_null(&self) -> bool {
        self.listed() == 0 && self.pages.iter().any(|page| page.is_null)
    }

    /// Why items may be missing from the list; `None` if it is complete.
    pub(super) fn doubt(&self) -> Option<String> {
        if let Some(BrokeOff::BeforeItsEnd(error)) = &self.broke_off {
            return Some(error.clone());
        }
        if let Some(reason) = &self.first_unusable {
            return Some(match self.unusable.len() {
                1 => format!("it has a row that can't be used: {reason}"),
                more => format!("it has {more} rows that can't be used, first {reason}"),
            });
        }
        if self.repeats_a_full_page() && self.cuts_to_size != Some(false) {
            return Some("every page is the first one, cut to the size of a page".to_owned());
        }
        let listed = self.listed();
        let numbered = || self.pages.iter().zip(1..);
        if let Some((_, number)) = numbered().find(|(page, _)| page.is_null && listed > 0) {
            return Some(format!("the result of page {number} is null"));
        }
        for (page, number) in numbered() {
            // A page beyond the end may report zeros.
            let is_after_end = page.rows == 0 && page.so_far > 0;
            let counted = |count: Option<u64>| count.filter(|count| !(is_after_end && *count == 0));
            if let Some(total) = counted(page.reported.total_count)
                && total != listed
            {
                return Some(format!("it lists {listed}, but its total_count is {total}"));
            }
            // The documentation calls it the total, Cloudflare's servers count the page, and others send the running
            // total.
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
            return Some(format!("page {} repeats some rows of earlier pages", at + 1));
        }
        if let [first, second] = self.pages.as_slice()
            && second.rows > 0
            && second.new == 0
            && USUAL_PAGE_SIZES.contains(&first.rows)
        {
            let rows = first.rows;
            return Some(format!(
                "page 2 is page 1 again, and its {rows} rows may be one page of a longer list"
            ));
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

    pub(super) fn into_items(self) -> Vec<T> {
        self.items
    }

    /// Adds an item, or replaces an earlier row with the same id in its place.
    pub(super) fn merge(&mut self, item: T) {
        match self.places.get(item.id()).and_then(|place| self.items.get_mut(*place)) {
            Some(earlier) => *earlier = item,
            None => {
                self.places.insert(item.id().clone(), self.items.len());
                self.items.push(item);
            }
        }
    }
}

#[cfg(test)]
mod tests;
