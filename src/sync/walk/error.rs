//! Why a walk did not come to a proven end.

use crate::cloudflare;
use crate::model::SMALLEST_PAGE;
use crate::store::StoreError;
use crate::sync::pages::FetchError;
use crate::sync::shutdown::StopReason;

/// None of these publishes or removes anything (promise 2). [`classify`](crate::sync::ending::classify) says what
/// becomes of the walk.
#[derive(Debug, thiserror::Error)]
pub(in crate::sync) enum WalkError {
    #[error("{0}")]
    Stopped(StopReason),
    #[error("page {page}: {source}")]
    Api { page: u64, source: cloudflare::Error },
    /// What the API served can't all be true.
    #[error("page {page}: {what}")]
    Contradiction { page: u64, what: String },
    #[error(
        "page {page}: it is full and has no cursor key, and the API does not show what follows its last id, so the \
         end can't be proven: use --limit {other}"
    )]
    UnprovenEnd {
        page: u64,
        /// A page size to try.
        other: u32,
        /// The walk was resumed. One from the start may have a last page that is not full.
        resumed: bool,
    },
    #[error("page {page}: the API's ids do not ascend")]
    OutOfOrder { page: u64 },
    #[error("page {page}: the API does not resume at the checkpoint: {what}")]
    CursorRefused { page: u64, what: String },
    #[error("a crash of the database emptied the sync's spool")]
    SpoolLost,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WalkError {
    pub(super) fn not_fetched(error: FetchError, page: u64) -> Self {
        match error {
            FetchError::Stopped(reason) => Self::Stopped(reason),
            FetchError::CursorRefused(source) => {
                let what = source.to_string();
                Self::CursorRefused { page, what }
            }
            FetchError::Api(source) => Self::Api { page, source },
            FetchError::Contradiction(what) => Self::Contradiction { page, what },
        }
    }

    pub(super) fn not_advancing(page: u64) -> Self {
        let what = "it lists only objects that were listed before".to_owned();
        Self::Contradiction { page, what }
    }

    pub(super) fn misplaced_cursor(page: u64) -> Self {
        let what = "it has no cursor in the expected place, but more objects follow it".to_owned();
        Self::Contradiction { page, what }
    }

    /// `limit` is that of the page. With another one, the last page is not full, unless the number of objects is a
    /// multiple of that as well.
    pub(super) fn unproven_end(page: u64, limit: u32, resumed: bool) -> Self {
        let other = if limit > SMALLEST_PAGE {
            limit - 1
        } else {
            SMALLEST_PAGE + 1
        };
        Self::UnprovenEnd { page, other, resumed }
    }
}
