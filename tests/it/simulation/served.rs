//! What the service really served of one namespace: the truth that a published walk is held against (promise 1).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, ensure};
use cloudflare_simulator::{Fault, Flag, Id};

pub type Objects = BTreeMap<Id, Flag>;

#[derive(Debug, Clone)]
struct Page {
    /// When its request came. A request whose client left may be answered after later ones.
    at: Instant,
    cursor: Option<String>,
    rows: Vec<(Id, Flag)>,
    next: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Page>>>);

impl Log {
    /// To be the last fault of a plan, so that it sees each page as it is sent.
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

    /// What the newest walk was told, from its first page along the cursors to the end: of a page that was served
    /// several times, the last time counts (the walk asked again, so it had not kept the earlier one), and of an object
    /// that was listed several times, the later flag.
    pub fn walked(&self) -> anyhow::Result<Objects> {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        pages.sort_by_key(|page| page.at);
        let first = pages.iter().rposition(|page| page.cursor.is_none());
        let walk = &pages[first.context("no first page was ever served")?..];
        let by_cursor: HashMap<_, _> = walk.iter().map(|page| (page.cursor.as_deref(), page)).collect();
        let (mut objects, mut cursor, mut steps) = (Objects::new(), None, 0);
        loop {
            let page = by_cursor
                .get(&cursor)
                .with_context(|| format!("the page at {cursor:?} was never served"))?;
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
