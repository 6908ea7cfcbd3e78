//! Duplicate or unordered ids: the record is correct all the same.

use cloudflare_simulator::{Fault, Order, Page, Simulator, When};

use super::{LIMIT, case, check, is_unordered, move_on};
use crate::support::database::fresh_database;
use crate::support::ledger::{objects, statuses, texts, truth};
use crate::support::program::{ACCOUNT, run, simulator, sync};

fn flip(flag: &mut Option<bool>) {
    *flag = Some(*flag != Some(true));
}

/// Lists the last object of page 1 again as the first of page 2, where its flag is the true one.
fn again_on_the_next_page(simulator: &Simulator, namespace: &str) {
    let (id, flag) = simulator.truth(namespace).into_iter().nth(99).unwrap();
    simulator.fault(
        namespace,
        When::Nth(1),
        Fault::edit(|_, page| flip(&mut page.rows[99].1)),
    );
    let edit = move |_: &_, page: &mut Page| page.rows.insert(0, (id, flag));
    simulator.fault(namespace, When::Nth(2), Fault::edit(edit));
}

fn twice_on_a_page(simulator: &Simulator, namespace: &str) {
    let edit = |_: &_, page: &mut Page| {
        let mut outdated = page.rows[50];
        flip(&mut outdated.1);
        page.rows.insert(50, outdated);
    };
    simulator.fault(namespace, When::Nth(2), Fault::edit(edit));
}

/// Lists the first row of page 1 again at the end of an unordered page 3.
fn again_much_later(simulator: &Simulator, namespace: &str) {
    let (id, flag) = simulator.truth(namespace).into_iter().next().unwrap();
    let edit = move |_: &_, page: &mut Page| {
        if page.rows[0].0 == id {
            flip(&mut page.rows[0].1);
        }
        if page.next().is_none() {
            page.rows.push((id, flag));
        }
    };
    simulator.fault(namespace, When::Always, Fault::edit(edit));
}

#[tokio::test]
async fn of_two_rows_with_one_id_the_later_counts() {
    check([
        case("on the next page", again_on_the_next_page).in_requests(3),
        case("on the same page", twice_on_a_page).in_requests(3),
        case("much later", again_much_later),
        case("every row twice", |s, n| {
            let edit = |_: &_, page: &mut Page| {
                page.rows = page.rows.iter().flat_map(|row| [*row, *row]).collect();
            };
            s.fault(n, When::Always, Fault::edit(edit));
        })
        .in_requests(3),
    ])
    .await;
}

fn order(simulator: &Simulator, namespace: &str, order: Order) {
    simulator.with_namespace(namespace, |n| n.order = order);
}

#[tokio::test]
async fn no_order_is_as_right_as_any() {
    check([
        case("out of order once", |s, n| {
            s.fault(n, When::Nth(2), Fault::out_of_order())
        })
        .logs("do not ascend"),
        case("each page backwards", |s, n| {
            s.fault(n, When::Always, Fault::out_of_order())
        }),
        case("two rows exchanged", |s, n| order(s, n, Order::BrokenAt(120))),
        case("exchanged over two pages", |s, n| order(s, n, Order::BrokenAt(100))),
        case("shuffled", |s, n| order(s, n, Order::Shuffled(1))).logs("do not ascend"),
        case("shuffled, and an empty last page once", |s, n| {
            order(s, n, Order::Shuffled(1));
            s.fault(n, When::Nth(4), Fault::empty_end());
        }),
        case("shuffled, and an early end", |s, n| {
            order(s, n, Order::Shuffled(1));
            // The first walk ends at its first page because the ids are unordered.
            s.fault(n, When::From(2), Fault::truncate());
        })
        .ends_held(&["snapshots accept"]),
        case("out of order, and the cursor is elsewhere", |s, n| {
            s.fault(n, When::Nth(1), Fault::out_of_order());
            // While the first walk detects unordered ids on its first page, it already requests its second.
            s.fault(n, When::Nth(3), Fault::no_cursor_key());
        })
        .fails(&["page 1", "no cursor in the expected place"]),
    ])
    .await;
}

#[tokio::test]
async fn a_namespace_without_order_is_remembered() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "shuffled");
    simulator.seed(&namespace, 250, 1);
    order(&simulator, &namespace, Order::Shuffled(7));

    // A baseline with unordered ids.
    let first = run(sync(&simulator, &database, LIMIT));
    assert_eq!(first.code, Some(0), "{first:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    assert_eq!(statuses(&database, &namespace).await, ["discarded", "complete"]);
    assert!(is_unordered(&database, &namespace).await);

    let before = simulator.requests_to(&namespace).len();
    move_on(&simulator, &namespace);
    let second = run(sync(&simulator, &database, LIMIT));
    assert_eq!(second.code, Some(0), "{second:#?}");
    assert_eq!(objects(&database, &namespace).await, truth(&simulator, &namespace));
    assert_eq!(
        simulator.requests_to(&namespace).len() - before,
        3,
        "no page is walked twice"
    );
    assert_eq!(
        statuses(&database, &namespace).await,
        ["discarded", "complete", "complete"]
    );
    let spooled = "select s::text from inventory.spooled_object s where $1 <> ''";
    assert_eq!(
        texts(&database, spooled, &namespace).await,
        [""; 0],
        "the spool is cleared"
    );
}
