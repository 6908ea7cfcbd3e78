//! One range of ids, and the task that reads it ahead of the walk.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::model::{Cursor, ObjectId};
use crate::sync::task::Task;

use super::boundary::{MOST_PAGES, PastBoundary};
use super::fetch::{FetchError, FetchedPage, PageSource};

/// The reader stops when this is dropped.
pub struct Range {
    /// The last id of the range; `None` for the rest of the namespace.
    pub upper: Option<ObjectId>,
    /// Pages that were received to look at, and not handed out yet.
    head: VecDeque<FetchedPage>,
    pages: mpsc::Receiver<Result<FetchedPage, FetchError>>,
    _reader: Task<()>,
}

impl Range {
    /// Reads from `cursor` on, after the pages of `head`, at most `room` pages ahead. The reader continues past the end
    /// of the range until it has read a page's worth of the next one, which proves the boundary.
    pub fn read(
        source: PageSource,
        cursor: Option<Cursor>,
        upper: Option<ObjectId>,
        head: Vec<FetchedPage>,
        page_rows: usize,
        room: usize,
    ) -> Self {
        let (sender, pages) = mpsc::channel(room);
        let beyond = head.iter().map(|served| rows_above(served, upper.as_ref())).sum();
        let reader = Task::start(read(source, cursor, upper, beyond, page_rows, sender));
        Self {
            upper,
            head: head.into(),
            pages,
            _reader: reader,
        }
    }

    /// `None` if the reader is done.
    pub async fn receive(&mut self) -> Result<Option<FetchedPage>, FetchError> {
        match self.head.pop_front() {
            Some(served) => Ok(Some(served)),
            None => self.pages.recv().await.transpose(),
        }
    }

    /// The page that reaches the boundary, and those after it.
    pub async fn chain(
        &mut self,
        crossing: FetchedPage,
        boundary: &ObjectId,
        page_rows: usize,
    ) -> Result<Vec<FetchedPage>, FetchError> {
        let mut chain = vec![crossing];
        while chain.len() < MOST_PAGES && !PastBoundary::of(&chain, Some(boundary)).is_enough(page_rows) {
            match self.receive().await? {
                Some(served) => chain.push(served),
                None => break,
            }
        }
        Ok(chain)
    }

    /// The ids of the first pages, which are still to be received.
    pub async fn look_ahead(&mut self, page_rows: usize) -> Result<PastBoundary, FetchError> {
        loop {
            let beyond = PastBoundary::of(&self.head, None);
            if self.head.len() >= MOST_PAGES || beyond.is_enough(page_rows) {
                return Ok(beyond);
            }
            match self.pages.recv().await.transpose()? {
                Some(served) => self.head.push_back(served),
                None => return Ok(beyond),
            }
        }
    }

    pub fn take_head(&mut self) -> Vec<FetchedPage> {
        self.head.drain(..).collect()
    }
}

async fn read(
    source: PageSource,
    mut cursor: Option<Cursor>,
    upper: Option<ObjectId>,
    mut beyond: usize,
    page_rows: usize,
    pages: mpsc::Sender<Result<FetchedPage, FetchError>>,
) {
    while beyond < page_rows
        && let Some(asked) = cursor
    {
        let mut served = source.served(Some(asked)).await;
        cursor = None;
        if let Ok(served) = &mut served {
            // It may wait for a long time, beside many others.
            served.page.rows.shrink_to_fit();
            cursor = served.next().cloned();
            beyond += rows_above(served, upper.as_ref());
        }
        if pages.send(served).await.is_err() {
            return; // the range was dropped
        }
    }
}

fn rows_above(served: &FetchedPage, upper: Option<&ObjectId>) -> usize {
    upper.map_or(0, |upper| served.ids().filter(|id| id > upper).count())
}
