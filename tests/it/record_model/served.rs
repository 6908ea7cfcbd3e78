//! Makes the simulator serve a state in a given way.

use std::sync::Mutex;

use cloudflare_simulator::{Fault, Objects, Row, Simulator, When};

use super::cases::{Duplicates, Way};
use super::model::State;

pub fn serve(simulator: &Simulator, namespace: &str, state: &State, way: &Way) {
    simulator.with_namespace(namespace, |served| {
        served.set_objects(Objects::Stored(state.clone()));
        served.order = way.order;
        served.cursor_style = way.cursor_style;
        served.cursor_key = way.cursor_key;
        served.totals = way.totals;
        served.faults.clear();
        if let Some(n) = way.empty_middle {
            served.faults.add(When::Nth(n), Fault::EmptyMiddle);
        }
        match way.duplicates {
            Duplicates::None => {}
            Duplicates::Adjacent => served.faults.add(When::Always, adjacent()),
            Duplicates::AcrossPages => served.faults.add(When::Always, across_pages()),
            Duplicates::FarApart => served.faults.add(When::Always, far_apart()),
        }
    });
}

fn with_wrong_flag((id, flag): Row) -> Row {
    let wrong = match flag {
        Some(true) => Some(false),
        Some(false) => None,
        None => Some(true),
    };
    (id, wrong)
}

/// Lists every third row twice.
fn adjacent() -> Fault {
    Fault::edit(|_, page| {
        let rows = std::mem::take(&mut page.rows);
        for (n, row) in rows.into_iter().enumerate() {
            page.rows.extend((n % 3 == 0).then(|| with_wrong_flag(row)));
            page.rows.push(row);
        }
    })
}

fn across_pages() -> Fault {
    let waiting: Mutex<Option<Row>> = Mutex::new(None);
    Fault::edit(move |request, page| {
        let mut waiting = waiting.lock().unwrap();
        if request.param("cursor").is_none() {
            *waiting = None; // the walk restarted
        }
        if page.rows.is_empty() {
            return;
        }
        page.rows.splice(..0, waiting.take());
        if page.next().is_some()
            && let Some(last) = page.rows.last_mut()
        {
            *waiting = Some(*last);
            *last = with_wrong_flag(*last);
        }
    })
}

fn far_apart() -> Fault {
    let first: Mutex<Option<Row>> = Mutex::new(None);
    Fault::edit(move |request, page| {
        let mut first = first.lock().unwrap();
        if request.param("cursor").is_none() {
            *first = None;
        }
        if first.is_none()
            && let Some(row) = page.rows.first_mut()
        {
            *first = Some(*row);
            *row = with_wrong_flag(*row);
        }
        if page.next().is_none() {
            page.rows.extend(*first);
        }
    })
}
