//! What it means for a namespace that its walk did not come to a proven end. Pure.

use crate::cloudflare::ErrorKind;
use crate::store::{Ending, StoreError};

use super::outcome::Status;
use super::walk::WalkError;

/// What becomes of a walk that an error ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The walk starts over at once, spooled if the API lists ids without order.
    StartOver { unordered: bool },
    /// The lease is gone, so nothing can be written: the run that took over decides.
    Left,
    /// The record says how the walk ended.
    Ended(Ending),
    /// The namespace is neither listed nor has an object list: the walk is discarded, and the namespace is missing.
    Vanished,
}

/// Decides by the error, by whether the account's list is whole and lacks the namespace, and by whether the walk already
/// started over in this run.
///
/// `Interrupted` keeps the walk for a later run to resume, so it is right only where the pages so far are.
pub(super) fn classify(error: &WalkError, is_off_the_list: bool, started_over: bool) -> Fate {
    match error {
        WalkError::OutOfOrder { .. } => Fate::StartOver { unordered: true },
        WalkError::CursorRefused { .. } | WalkError::SpoolLost if !started_over => Fate::StartOver { unordered: false },
        WalkError::Stopped(_) | WalkError::UnprovenEnd { .. } => Fate::Ended(Ending::Interrupted),
        WalkError::Store(StoreError::FenceLost) => Fate::Left,
        WalkError::Store(error) if error.leaves_walk_resumable() => Fate::Ended(Ending::Interrupted),
        WalkError::Api { source, .. } => match source.kind() {
            ErrorKind::Exhausted | ErrorKind::PageTooSlow | ErrorKind::Unauthorized | ErrorKind::Forbidden => {
                Fate::Ended(Ending::Interrupted)
            }
            ErrorKind::NotFound if is_off_the_list => Fate::Vanished,
            _ => Fate::Ended(Ending::Failed),
        },
        _ => Fate::Ended(Ending::Failed),
    }
}

/// What a namespace's outcome says of a walk that ended.
pub(super) fn status(ending: Ending) -> Status {
    match ending {
        Ending::Interrupted => Status::Interrupted,
        Ending::Failed | Ending::Discarded => Status::Failed,
        Ending::Superseded => Status::Superseded,
    }
}

/// The same of a statement that failed.
pub(super) fn status_after(error: &StoreError) -> Status {
    match error.leaves_walk_resumable() {
        true => Status::Interrupted,
        false => Status::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudflare::Error;
    use crate::sync::shutdown::StopReason;

    const ENDED_INTERRUPTED: Fate = Fate::Ended(Ending::Interrupted);
    const ENDED_FAILED: Fate = Fate::Ended(Ending::Failed);

    fn api(kind: ErrorKind) -> WalkError {
        let source = Error::of_kind(kind);
        WalkError::Api { page: 1, source }
    }

    fn database(source: sqlx::Error) -> WalkError {
        WalkError::Store(StoreError::while_doing("work")(source))
    }

    /// Each error: what it means for a listed namespace, for one that the list lacks, and once the walk has started over.
    #[test]
    fn every_error_has_its_fate() {
        let what = || "what".to_owned();
        let start_over = |unordered| Fate::StartOver { unordered };
        let always = |fate| [fate; 3];
        let inconsistent = StoreError::Inconsistent { what: what() };
        let unreachable = StoreError::Unreachable {
            place: what(),
            source: sqlx::Error::PoolClosed.into(),
        };
        for (error, [listed, off_the_list, started_over]) in [
            (WalkError::Stopped(StopReason::Signal), always(ENDED_INTERRUPTED)),
            (WalkError::Stopped(StopReason::Deadline), always(ENDED_INTERRUPTED)),
            (api(ErrorKind::Setup), always(ENDED_FAILED)),
            (api(ErrorKind::Unauthorized), always(ENDED_INTERRUPTED)),
            (api(ErrorKind::Forbidden), always(ENDED_INTERRUPTED)),
            (api(ErrorKind::NotFound), [ENDED_FAILED, Fate::Vanished, ENDED_FAILED]),
            (api(ErrorKind::CursorRefused), always(ENDED_FAILED)),
            (api(ErrorKind::Exhausted), always(ENDED_INTERRUPTED)),
            (api(ErrorKind::PageTooSlow), always(ENDED_INTERRUPTED)),
            (api(ErrorKind::Contradictory), always(ENDED_FAILED)),
            (api(ErrorKind::Wrong), always(ENDED_FAILED)),
            (WalkError::Contradiction { page: 1, what: what() }, always(ENDED_FAILED)),
            (
                WalkError::UnprovenEnd { page: 1, other: 9_999 },
                always(ENDED_INTERRUPTED),
            ),
            (WalkError::OutOfOrder { page: 1 }, always(start_over(true))),
            (
                WalkError::CursorRefused { page: 1, what: what() },
                [start_over(false), start_over(false), ENDED_FAILED],
            ),
            (
                WalkError::SpoolLost,
                [start_over(false), start_over(false), ENDED_FAILED],
            ),
            (WalkError::Store(StoreError::FenceLost), always(Fate::Left)),
            (WalkError::Store(StoreError::CheckpointLost), always(ENDED_INTERRUPTED)),
            (database(sqlx::Error::PoolTimedOut), always(ENDED_INTERRUPTED)),
            (database(sqlx::Error::RowNotFound), always(ENDED_INTERRUPTED)),
            (WalkError::Store(inconsistent), always(ENDED_FAILED)),
            (WalkError::Store(unreachable), always(ENDED_FAILED)),
        ] {
            assert_eq!(classify(&error, false, false), listed, "{error:?}");
            assert_eq!(classify(&error, true, false), off_the_list, "{error:?}, off the list");
            assert_eq!(classify(&error, false, true), started_over, "{error:?}, started over");
        }
    }
}
