//! Servers with every kind of paging seen so far, and any counts beside it.

use super::*;
use crate::cloudflare::wire::UnusableRow;

/// How a server understands `per_page` and `page`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Server {
    size: Size,
    page: Page,
    says: Says,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Size {
    Requested,
    /// The maximum number of rows, and whether `per_page` reports it.
    Capped(u64, bool),
    /// All rows, always.
    Ignored,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Page {
    Requested,
    Ignored,
    /// The last page again, beyond it.
    Clamped,
    /// Pages after this one are empty, and report zeros.
    EmptyAfter(u64),
    /// Pages after this one are refused.
    RefusedAfter(u64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Says {
    Nothing,
    Count,
    /// `count` as the documentation defines it.
    CountOfAll,
    TotalPages,
    Everything,
    PagesTooFew,
    PagesTooMany,
    TotalTooSmall,
    TotalTooLarge,
    TotalOfThePage,
    CountTooLarge,
}

const SIZES: [Size; 5] = [
    Size::Requested,
    Size::Capped(20, true),
    Size::Capped(20, false),
    Size::Capped(100, true),
    Size::Ignored,
];
const PAGES: [Page; 7] = [
    Page::Requested,
    Page::Ignored,
    Page::Clamped,
    Page::EmptyAfter(1),
    Page::EmptyAfter(2),
    Page::RefusedAfter(1),
    Page::RefusedAfter(2),
];
const SAYS: [Says; 11] = [
    Says::Nothing,
    Says::Count,
    Says::CountOfAll,
    Says::TotalPages,
    Says::Everything,
    Says::PagesTooFew,
    Says::PagesTooMany,
    Says::TotalTooSmall,
    Says::TotalTooLarge,
    Says::TotalOfThePage,
    Says::CountTooLarge,
];

fn rows(ids: std::ops::Range<u64>) -> Vec<Namespace> {
    ids.map(|id| Namespace {
        id: format!("n{id}").parse().unwrap(),
        name: None,
        script: None,
        class: None,
        use_sqlite: None,
        preview: None,
    })
    .collect()
}

fn empty() -> ListPage<Namespace> {
    ListPage {
        items: Vec::new(),
        unusable: Vec::new(),
        is_null: false,
        bytes: 0,
        numbers: Numbers::default(),
    }
}

impl Server {
    fn page(self, all: u64, number: u32, per_page: u32) -> Result<ListPage<Namespace>, String> {
        let size = match self.size {
            Size::Requested => u64::from(per_page),
            Size::Capped(cap, _) => cap.min(per_page.into()),
            Size::Ignored => all.max(1),
        };
        let (number, pages) = (u64::from(number), all.div_ceil(size));
        let shown = match self.page {
            Page::Requested => number,
            Page::Ignored => 1,
            Page::Clamped => number.min(pages.max(1)),
            Page::EmptyAfter(last) if number > last => u64::MAX / size,
            Page::RefusedAfter(last) if number > last => return Err("HTTP 400".to_owned()),
            Page::EmptyAfter(_) | Page::RefusedAfter(_) => number,
        };
        let start = ((shown - 1) * size).min(all);
        let namespaces = rows(start..all.min(start + size));
        let came = namespaces.len() as u64;
        let everything = Numbers {
            per_page: Some(match self.size {
                Size::Capped(cap, true) => cap.min(per_page.into()),
                _ => per_page.into(),
            }),
            count: Some(came),
            total_count: Some(all),
            total_pages: Some(pages),
        };
        let is_accidental = matches!(self.page, Page::EmptyAfter(last) if number > last);
        let numbers = match self.says {
            Says::Nothing => Numbers::default(),
            Says::Count => Numbers {
                count: Some(came),
                ..Numbers::default()
            },
            Says::CountOfAll => Numbers {
                count: Some(all),
                ..Numbers::default()
            },
            Says::TotalPages => Numbers {
                total_pages: Some(pages),
                ..Numbers::default()
            },
            Says::Everything if is_accidental => Numbers {
                count: Some(0),
                total_count: Some(0),
                total_pages: Some(0),
                ..everything
            },
            Says::Everything => everything,
            Says::PagesTooFew => Numbers {
                total_pages: Some(1),
                ..everything
            },
            Says::PagesTooMany => Numbers {
                total_pages: Some(1_000),
                ..everything
            },
            Says::TotalTooSmall => Numbers {
                total_count: Some(all.saturating_sub(1)),
                ..everything
            },
            Says::TotalTooLarge => Numbers {
                total_count: Some(all + 1),
                ..everything
            },
            Says::TotalOfThePage => Numbers {
                total_count: Some(came),
                total_pages: None,
                ..everything
            },
            Says::CountTooLarge => Numbers {
                count: Some(came + 1),
                ..everything
            },
        };
        Ok(ListPage {
            items: namespaces,
            numbers,
            ..empty()
        })
    }

    fn list(self, all: u64) -> (PagedList<Namespace>, u64) {
        let (mut list, mut requests) = (PagedList::of(Some(100)), 0);
        while let Some((number, per_page)) = list.next() {
            requests += 1;
            assert!(requests < 1_000, "{self:?}: endless");
            match self.page(all, number, per_page.unwrap()) {
                Ok(page) => list.add(page),
                Err(error) => list.break_off(number, error),
            }
        }
        (list, requests)
    }

    /// Whether its responses are the same as those of a server with fewer namespaces.
    fn leaves_no_trace(self) -> bool {
        let says_nothing_of_all = matches!(self.says, Says::Nothing | Says::Count);
        let says_that_this_is_all = matches!(self.says, Says::TotalOfThePage | Says::TotalTooSmall);
        match (self.page, self.size) {
            (Page::EmptyAfter(_), _) => says_nothing_of_all || says_that_this_is_all,
            (Page::Ignored, Size::Capped(20, echoes)) => says_that_this_is_all && !echoes,
            _ => false,
        }
    }
}

const COUNTS: [u64; 13] = [0, 1, 2, 19, 20, 21, 40, 99, 100, 101, 130, 200, 201];

fn servers() -> impl Iterator<Item = Server> {
    let sized = |size| PAGES.map(|page| SAYS.map(|says| Server { size, page, says }));
    SIZES.into_iter().flat_map(sized).flatten()
}

#[test]
fn a_short_list_is_not_taken_for_a_whole_one() {
    for server in servers().filter(|server| !server.leaves_no_trace()) {
        for all in COUNTS {
            let (list, requests) = server.list(all);
            let (doubt, listed) = (list.doubt(), list.into_items().len() as u64);
            assert!(
                listed == all || doubt.is_some(),
                "{server:?} has {all}, listed {listed} in {requests} requests"
            );
        }
    }
}

#[test]
fn a_consistent_server_is_believed() {
    let is_honest = |server: &Server| {
        let says = [
            Says::Nothing,
            Says::Count,
            Says::CountOfAll,
            Says::TotalPages,
            Says::Everything,
            Says::PagesTooFew,
        ];
        let pages = server.page == Page::Requested || (server.page, server.size) == (Page::Ignored, Size::Ignored);
        says.contains(&server.says) && pages
    };
    for server in servers().filter(is_honest) {
        for all in COUNTS {
            let (list, requests) = server.list(all);
            let (doubt, listed) = (list.doubt(), list.into_items().len() as u64);
            // Without a total, as many rows as a usual page has may be one page of more.
            let may_be_cut = server.page == Page::Ignored && USUAL_PAGE_SIZES.contains(&all);
            assert!(
                listed == all && (doubt.is_none() || (may_be_cut && server.says != Says::Everything)),
                "{server:?} has {all}, listed {listed} in {requests} requests: {doubt:?}"
            );
        }
    }
}

#[test]
fn few_requests_are_enough() {
    let requests = |size, page, says, all| Server { size, page, says }.list(all).1;
    for (all, expected) in [(0, 1), (3, 1), (99, 1), (100, 2), (130, 2), (200, 3)] {
        let documented = requests(Size::Requested, Page::Requested, Says::Everything, all);
        assert_eq!(documented, expected, "{all}");
    }
    // As Cloudflare's local server pages.
    for (all, expected) in [(0, 1), (3, 2), (99, 2), (100, 3), (130, 2)] {
        assert_eq!(
            requests(Size::Ignored, Page::Ignored, Says::Count, all),
            expected,
            "{all}"
        );
    }
}

fn page(ids: std::ops::Range<u64>, numbers: Numbers) -> ListPage<Namespace> {
    ListPage {
        items: rows(ids),
        numbers,
        ..empty()
    }
}

#[test]
fn a_doubt_names_what_disagrees() {
    let total = |count, pages| Numbers {
        total_count: Some(count),
        total_pages: Some(pages),
        ..Numbers::default()
    };
    let count = |count| Numbers {
        count: Some(count),
        ..Numbers::default()
    };
    let none = Numbers::default;
    let pages = |pages| Numbers {
        total_pages: Some(pages),
        ..none()
    };
    for (served, doubt) in [
        (
            vec![page(0..100, total(130, 1)), page(0..0, total(130, 1))],
            "it lists 100, but its total_count is 130",
        ),
        (vec![page(0..0, total(3, 1))], "it lists 0, but its total_count is 3"),
        (
            // One was created and one deleted between the two pages.
            vec![
                page(0..100, total(130, 2)),
                page(101..131, total(131, 2)),
                page(0..0, total(131, 2)),
            ],
            "it lists 130, but its total_count is 131",
        ),
        (
            vec![page(0..100, none()), page(100..130, count(29)), page(0..0, none())],
            "the count of page 2 is 29, but its number of rows 30",
        ),
        (
            vec![page(0..100, pages(3)), page(100..130, pages(3)), page(0..0, pages(3))],
            "it ends after page 2, but its total_pages is 3",
        ),
        (
            vec![page(0..100, none()), page(99..130, none()), page(0..0, none())],
            "page 2 repeats some rows of earlier pages",
        ),
        (
            vec![page(0..100, none()), page(0..100, none()), page(0..99, none())],
            "every page is the first one, cut to the size of a page",
        ),
        (
            vec![page(0..100, none()), page(100..200, none()), page(100..200, none())],
            "page 3 repeats earlier pages instead of being empty",
        ),
    ] {
        let mut list = PagedList::of(Some(100));
        for page in served {
            assert!(list.next().is_some(), "{doubt}");
            list.add(page);
        }
        assert_eq!(list.next(), None, "{doubt}");
        assert_eq!(list.doubt().as_deref(), Some(doubt));
    }
}

#[test]
fn a_repeated_row_on_a_page_raises_no_doubt() {
    let mut list = PagedList::of(Some(100));
    let numbers = Numbers {
        count: Some(2),
        total_count: Some(2),
        total_pages: Some(1),
        ..Numbers::default()
    };
    let namespaces = [rows(0..2), rows(0..1)].concat();
    list.add(ListPage {
        items: namespaces,
        numbers,
        ..empty()
    });
    assert_eq!((list.next(), list.doubt()), (None, None));
    assert_eq!(list.into_items(), rows(0..2));
}

fn odd(fingerprint: u64) -> UnusableRow {
    UnusableRow {
        fingerprint,
        reason: format!("row {fingerprint}: odd"),
    }
}

#[test]
fn unusable_rows_count_and_raise_a_doubt() {
    let served = |ids, unusable: &[u64]| ListPage {
        unusable: unusable.iter().copied().map(odd).collect(),
        ..page(
            ids,
            Numbers {
                total_count: Some(4),
                ..Numbers::default()
            },
        )
    };
    // The second page has nothing but unusable rows, one of them new, and does not end the list.
    let mut list = PagedList::of(Some(100));
    for page in [served(0..1, &[7]), served(0..0, &[7, 8]), served(1..2, &[])] {
        assert!(list.next().is_some());
        list.add(page);
    }
    list.add(served(0..0, &[]));
    assert_eq!(list.next(), None);
    assert_eq!(
        list.doubt().as_deref(),
        Some("it has 2 rows that can't be used, first row 7: odd")
    );
    assert_eq!(list.into_items(), rows(0..2));
}

#[test]
fn a_null_is_an_empty_list_only_if_nothing_was_listed() {
    let null = || ListPage {
        is_null: true,
        bytes: 0,
        ..empty()
    };
    let mut list = PagedList::of(Some(100));
    list.add(null());
    assert_eq!((list.next(), list.is_null(), list.doubt()), (None, true, None));
    let mut list = PagedList::of(Some(100));
    list.add(page(0..100, Numbers::default()));
    list.add(null());
    assert_eq!((list.next(), list.is_null()), (None, false));
    assert_eq!(list.doubt().as_deref(), Some("the result of page 2 is null"));
}

#[test]
fn a_page_of_the_servers_own_size_does_not_end_the_list() {
    let mut list = PagedList::of(None);
    list.add(page(0..20, Numbers::default()));
    assert_eq!(list.next(), Some((2, None)));
    list.add(page(20..30, Numbers::default()));
    list.add(page(0..0, Numbers::default()));
    assert_eq!((list.next(), list.doubt()), (None, None));
}
