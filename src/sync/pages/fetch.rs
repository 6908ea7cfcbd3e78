//! One page of a namespace at a time, for the walk itself or for a task that reads ahead.

use std::sync::Arc;

use crate::cloudflare::{self, Client, ErrorKind};
use crate::model::{AccountId, Cursor, NamespaceId, Next, ObjectId, Page};
use crate::sync::shutdown::{Shutdown, StopReason};
use crate::sync::task::Task;

/// Why a page could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    Stopped(StopReason),
    #[error("{0}")]
    CursorRefused(cloudflare::Error),
    #[error(transparent)]
    Api(cloudflare::Error),
    /// The pages contradict each other.
    #[error("{0}")]
    Contradiction(String),
}

/// A namespace's pages.
#[derive(Clone)]
pub struct PageSource {
    pub client: Arc<Client>,
    pub account: AccountId,
    pub namespace: NamespaceId,
    /// Its name, safe for a log.
    pub name: String,
    /// Objects per page: 10 to 10,000. Smaller than the account's limit if the API was too slow for larger pages.
    pub limit: u32,
    pub stop: Shutdown,
}

/// A page, and the cursor of its request.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchedPage {
    pub cursor: Option<Cursor>,
    pub page: Page,
}

impl PageSource {
    /// Fetches a page. It is parsed on another core than the one that compares the page before it.
    pub async fn page(&self, cursor: Option<&Cursor>) -> Result<Page, FetchError> {
        if let Some(reason) = self.stop.reason() {
            return Err(FetchError::Stopped(reason));
        }
        let (source, cursor) = (self.clone(), cursor.cloned());
        let mut request = Task::start(async move {
            let Self {
                client,
                account,
                namespace,
                limit,
                name: _,
                stop: _,
            } = source;
            client.list_objects(&account, &namespace, limit, cursor.as_ref()).await
        });
        tokio::select! {
            biased;
            reason = self.stop.stopped() => Err(FetchError::Stopped(reason)),
            answer = request.result() => answer.map_err(|source| match source.kind() {
                ErrorKind::CursorRefused => FetchError::CursorRefused(source),
                _ => FetchError::Api(source),
            }),
        }
    }

    pub async fn served(&self, cursor: Option<Cursor>) -> Result<FetchedPage, FetchError> {
        let page = self.page(cursor.as_ref()).await?;
        Ok(FetchedPage { cursor, page })
    }
}

impl FetchedPage {
    /// The cursor of the page after it.
    pub fn next(&self) -> Option<&Cursor> {
        match &self.page.next {
            Next::Cursor(cursor) => Some(cursor),
            Next::End | Next::NoCursorKey => None,
        }
    }

    pub fn ids(&self) -> impl Iterator<Item = ObjectId> {
        self.page.rows.iter().map(|row| row.id)
    }
}
