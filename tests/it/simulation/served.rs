//! The pages that the service served for one namespace: the truth for a published walk (promise 1).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, ensure};
use cloudflare_simulator::{Fault, Flag, Id, hex};

pub type Objects = BTreeMap<Id, Flag>;

#[derive(Debug, Clone)]
struct Page {
    /// The arrival time of the request. If the client left, its response may come after those to later requests.
    at: Instant,
    cursor: Option<String>,
    rows: Vec<(Id, Flag)>,
    next: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Page>>>);

impl Log {
    /// Must be the last fault of a plan, so that it sees each page as it is sent.
    pub fn fault(&self) -> Fault {
        let log = self.0.clone();
        Fault::edit(move |request, page| {
            log.lock().unwrap_or_else(PoisonError::into_inner).push(Page {
                at: request.at,
                cursor: request.param("cursor").map(str::to_owned),
                rows: page.rows.clone(),
                next: page.next().map(str::to_owned),
            });
        })
    }

    /// The objects that the newest walk received, following the cursors from its first page to the end. If a page was
    /// served several times, the last time counts, because the walk requests a page again only if it did not keep the
    /// earlier one. If an object was listed several times, the last flag counts.
    pub fn walked(&self) -> anyhow::Result<Objects> {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        pages.sort_by_key(|page| page.at);
        let first = pages.iter().rposition(|page| page.cursor.is_none());
        let walk = &pages[first.context("no first page was ever served")?..];
        let by_cursor: HashMap<_, _> = walk.iter().map(|page| (page.cursor.as_deref(), page)).collect();
        let (mut objects, mut cursor, mut steps) = (Objects::new(), None, 0);
        loop {
            // After an expired cursor the walk continues at the id before the last one that it has.
            let before_last = objects.keys().next_back().map(|last| hex(&predecessor(*last)));
            let pages = [cursor, before_last.as_deref().filter(|_| cursor.is_some())].map(|at| by_cursor.get(&at));
            let page = pages.into_iter().flatten().max_by_key(|page| page.at);
            let page = page.with_context(|| format!("the page at {cursor:?} was never served"))?;
            objects.extend(page.rows.iter().copied());
            match page.next.as_deref() {
                None => return Ok(objects),
                next => cursor = next,
            }
            steps += 1;
            ensure!(steps <= by_cursor.len(), "the pages go in a circle");
        }
    }
}

/// The greatest id below this one; ids of simulated objects are never zero.
fn predecessor(mut id: Id) -> Id {
    for byte in id.iter_mut().rev() {
        let (less, borrow) = byte.overflowing_sub(1);
        *byte = less;
        if !borrow {
            break;
        }
    }
    id
}
