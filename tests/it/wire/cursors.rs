//! The place of the cursor, what ends a walk, and listings that would never end.

use std::sync::atomic::{AtomicU64, Ordering};

use cloudflare_simulator::{CursorKey, CursorStyle, Fault, Field, Page, Simulator, When, hex};

use super::{LIMIT, case, check, only};
use crate::support::database::fresh_database;
use crate::support::ledger::{objects, truth};
use crate::support::program::{ACCOUNT, run, simulator, sync};

fn key(simulator: &Simulator, namespace: &str, key: CursorKey) {
    simulator.with_namespace(namespace, |n| n.cursor_key = key);
}

/// Caps the page at the server's own size, with a cursor to match.
fn cap(page: &mut Page, size: usize) {
    if page.rows.len() > size {
        page.rows.truncate(size);
        page.count = size;
        page.cursor = Field::Text(hex(&page.rows[size - 1].0));
    }
    page.totals = Some((size, 250));
}

fn no_key(page: &mut Page) {
    (page.cursor, page.cursors_after) = (Field::Absent, Field::Absent);
}

#[tokio::test]
async fn a_cursor_may_stand_in_either_place_and_end_in_any_way() {
    check([
        case("cursor", |s, n| key(s, n, CursorKey::ResultInfoCursor)).in_requests(3),
        case("cursors.after", |s, n| key(s, n, CursorKey::CursorsAfter)).in_requests(3),
        case("both", |s, n| key(s, n, CursorKey::Both)).in_requests(3),
        case("null at the end", |s, n| key(s, n, CursorKey::NullAtEnd)).in_requests(3),
        case("absent at the end", |s, n| key(s, n, CursorKey::AbsentAtEnd)).in_requests(3),
        case("opaque", |s, n| {
            s.with_namespace(n, |n| n.cursor_style = CursorStyle::Opaque)
        })
        .in_requests(3),
        case("full last page", |_, _| {}).objects(300).in_requests(3),
        case("the two differ", |s, n| {
            s.fault(n, When::Nth(2), Fault::cursors_differ())
        })
        .fails(&[
            "page 2",
            "result_info.cursor is \"one\"",
            "cursors.after is \"another\"",
        ]),
        case("one of the two says the end", |s, n| {
            s.fault(
                n,
                When::Nth(1),
                Fault::edit(|_, page| page.cursors_after = Field::Text(String::new())),
            )
        })
        .fails(&["page 1", "result_info.cursor is", "cursors.after is \"\""]),
    ])
    .await;
}

#[tokio::test]
async fn an_end_must_be_proven() {
    check([
        case("full and without a key", |s, n| key(s, n, CursorKey::AbsentAtEnd))
            .objects(300)
            .in_requests(4),
        case("more follows", |s, n| s.fault(n, When::Nth(1), Fault::no_cursor_key()))
            .fails(&["page 1", "no cursor in the expected place"]),
        case("it does not say whether more follows", |s, n| {
            s.with_namespace(n, |n| {
                (n.cursor_style, n.cursor_key) = (CursorStyle::Opaque, CursorKey::AbsentAtEnd)
            });
        })
        .objects(300)
        .ends_interrupted(&["page 3", "the end can't be proven: use --limit 101"]),
        case("it starts from the front when asked whether more follows", |s, n| {
            s.fault(n, When::Nth(1), Fault::no_cursor_key());
            s.fault(n, When::Nth(2), Fault::IgnoreCursor);
        })
        .ends_interrupted(&["page 1", "the end can't be proven"]),
        case("nothing yet, and a cursor, when asked whether more follows", |s, n| {
            s.fault(n, When::Nth(1), Fault::no_cursor_key());
            s.fault(n, When::Nth(2), Fault::EmptyMiddle);
        })
        .ends_interrupted(&["page 1", "the end can't be proven"]),
        case("the last row again when asked whether more follows", |s, n| {
            key(s, n, CursorKey::AbsentAtEnd);
            let last = s.truth(n).into_iter().next_back().unwrap();
            s.fault(n, When::Nth(4), Fault::edit(move |_, page| page.rows.push(last)));
        })
        .objects(300)
        .in_requests(4),
        case("pages are capped", |s, n| {
            s.fault(n, When::Always, Fault::edit(|_, page| cap(page, 60)))
        })
        .in_requests(5),
        case("capped, and no key", |s, n| {
            let edit = |_: &_, page: &mut Page| {
                cap(page, 60);
                no_key(page);
            };
            s.fault(n, When::Nth(1), Fault::edit(edit));
        })
        .fails(&["page 1", "no cursor in the expected place"]),
        case("the total says more", |s, n| {
            let edit = |_: &_, page: &mut Page| {
                page.rows.truncate(30);
                page.totals = Some((100, 250));
                no_key(page);
            };
            s.fault(n, When::Nth(1), Fault::edit(edit));
        })
        .fails(&["page 1", "no cursor in the expected place"]),
        case("the total says more, and is wrong", |s, n| {
            key(s, n, CursorKey::AbsentAtEnd);
            s.fault(
                n,
                When::Always,
                Fault::edit(|_, page| page.totals = Some((100, 10_000))),
            );
        })
        .in_requests(4),
        case("the end comes early", |s, n| {
            s.fault(n, When::Nth(1), Fault::truncate())
        })
        .ends_held(&["150 of 250", "snapshots accept"]),
        case("empty last page that removes nothing", |s, n| {
            let last = s.truth(n).into_keys().next_back().unwrap();
            s.fault(n, When::Nth(3), Fault::edit(move |_, page| page.set_next(&hex(&last))));
        })
        .objects(300)
        .in_requests(4),
        case("empty last page once", |s, n| {
            s.fault(n, When::Nth(3), Fault::empty_end())
        })
        .in_requests(4),
        case("empty only page once", |s, n| {
            s.fault(n, When::Nth(1), Fault::empty_end())
        })
        .in_requests(4),
        case("empty only page twice", |s, n| {
            s.fault(n, When::First(2), Fault::empty_end())
        })
        .ends_held(&["all 250 objects", "snapshots accept"]),
    ])
    .await;
}

/// If a cursor is overlooked, only the proof prevents a record that lacks most objects: a baseline has no removals that
/// the removal_guard could hold.
#[tokio::test]
async fn a_baseline_needs_the_same_proof() {
    for asked_after in [
        None,
        Some(Fault::IgnoreCursor),
        Some(Fault::EmptyMiddle),
        Some(Fault::RefuseCursor),
    ] {
        let (simulator, database) = (simulator().await, fresh_database().await);
        let namespace = simulator.add_namespace(ACCOUNT, "room");
        simulator.seed(&namespace, 250, 1);
        simulator.fault(&namespace, When::Nth(1), Fault::no_cursor_key());
        if let Some(fault) = asked_after {
            simulator.fault(&namespace, When::Nth(2), fault);
        }
        let ended = run(sync(&simulator, &database, LIMIT));
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        assert_eq!(objects(&database, &namespace).await, []);
        assert_eq!(run(sync(&simulator, &database, LIMIT)).code, Some(0));
        assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    }
}

/// Serves the first page repeatedly, each time with a new cursor.
fn same_page_for_ever(simulator: &Simulator, namespace: &str) {
    let count = AtomicU64::new(0);
    let edit = move |_: &_, page: &mut Page| page.set_next(&format!("new-{}", count.fetch_add(1, Ordering::Relaxed)));
    simulator.fault(namespace, When::Always, Fault::edit(edit));
    simulator.fault(namespace, When::Always, Fault::IgnoreCursor);
}

#[tokio::test]
async fn a_walk_that_would_never_end_is_an_error() {
    check([
        case("empty in the middle", |s, n| {
            s.fault(n, When::Nth(2), Fault::EmptyMiddle)
        })
        .in_requests(4),
        case("empty at the start", |s, n| {
            s.fault(n, When::First(3), Fault::EmptyMiddle)
        })
        .in_requests(6),
        case("repeated cursor", |s, n| {
            s.fault(n, When::Nth(2), Fault::repeat_cursor())
        })
        .fails(&["page 2", "the same cursor that was in the request"]),
        case("circle of 2", |s, n| s.fault(n, When::Always, Fault::cursor_cycle(2)))
            .args(&["--limit", "10"])
            .fails(&["repeat themselves", "never end"]),
        case("circle of 7", |s, n| s.fault(n, When::Always, Fault::cursor_cycle(7)))
            .args(&["--limit", "10"])
            .fails(&["only objects that were listed before"]),
        case("circle of empty pages", |s, n| {
            s.fault(n, When::Always, Fault::EmptyMiddle);
            s.fault(n, When::Always, Fault::cursor_cycle(7));
        })
        .fails(&["never end"]),
        case("the last row again, and a new cursor", |s, n| {
            let last = s.truth(n).into_iter().nth(99).unwrap();
            s.fault(n, When::Nth(2), Fault::edit(move |_, page| only(page, last)));
        })
        .fails(&["page 2", "only objects that were listed before"]),
        case("the same page for ever", same_page_for_ever).fails(&["page 2", "only objects that were listed before"]),
    ])
    .await;
}

#[tokio::test]
async fn empty_pages_are_followed_a_thousand_times() {
    check([
        case("999 empty pages", |s, n| {
            s.fault(n, When::First(999), Fault::EmptyMiddle)
        })
        .in_requests(1_002),
        case("1000 empty pages", |s, n| {
            s.fault(n, When::First(1_000), Fault::EmptyMiddle)
        })
        .fails(&["1000 empty pages in a row"]),
    ])
    .await;
}
