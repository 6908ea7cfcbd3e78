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
    /// The namespace is neither listed nor has an object list: it has vanished.
    Vanished,
    /// A listed namespace has no object list. Whether it has vanished is for a fresh list to say.
    NotFound,
}

/// Decides by the error, by whether the account's list is whole and lacks the namespace, and by whether this attempt
/// got further than the one before it, if the walk has started over in this run.
///
/// A walk fails only if what the API served contradicts itself, or the stored rows contradict their digest: its pages
/// can't be trusted. After anything else a later run resumes it.
pub(super) fn classify(error: &WalkError, is_off_the_list: bool, got_further: bool) -> Fate {
    match error {
        WalkError::OutOfOrder { .. } => Fate::StartOver { unordered: true },
        WalkError::UnprovenEnd { resumed: true, .. } => Fate::StartOver { unordered: false },
        WalkError::CursorRefused { .. } | WalkError::SpoolLost if got_further => Fate::StartOver { unordered: false },
        WalkError::Contradiction { .. } => Fate::Ended(Ending::Failed),
        WalkError::Store(StoreError::FenceLost) => Fate::Left,
        WalkError::Store(error) if !error.leaves_walk_resumable() => Fate::Ended(Ending::Failed),
        WalkError::Stopped(_) | WalkError::Store(_) | WalkError::SpoolLost => Fate::Ended(Ending::Interrupted),
        WalkError::Api { source, .. } => match source.kind() {
            ErrorKind::NotFound if is_off_the_list => Fate::Vanished,
            ErrorKind::NotFound => Fate::NotFound,
            ErrorKind::Contradictory => Fate::Ended(Ending::Failed),
            _ => Fate::Ended(Ending::Stalled),
        },
        _ => Fate::Ended(Ending::Stalled),
    }
}

/// What a namespace's outcome says of a walk that ended.
pub(super) fn status(ending: Ending) -> Status {
    match ending {
        Ending::Interrupted | Ending::Stalled => Status::Interrupted,
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

    const INTERRUPTED: Fate = Fate::Ended(Ending::Interrupted);
    const STALLED: Fate = Fate::Ended(Ending::Stalled);
    const FAILED: Fate = Fate::Ended(Ending::Failed);

    fn api(kind: ErrorKind) -> WalkError {
        let source = Error::of_kind(kind);
        WalkError::Api { page: 1, source }
    }

    fn database(source: sqlx::Error) -> WalkError {
        WalkError::Store(StoreError::while_doing("work")(source))
    }

    fn unproven(resumed: bool) -> WalkError {
        WalkError::UnprovenEnd {
            page: 1,
            other: 9_999,
            resumed,
        }
    }

    /// Each error: what it means for a listed namespace, for one that the list lacks, and once the walk has started
    /// over and got no further.
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
        let behind = StoreError::SequencesBehind { statements: what() };
        for (error, [listed, off_the_list, no_further]) in [
            (WalkError::Stopped(StopReason::Signal), always(INTERRUPTED)),
            (WalkError::Stopped(StopReason::Deadline), always(INTERRUPTED)),
            (api(ErrorKind::Setup), always(STALLED)),
            (api(ErrorKind::Unauthorized), always(STALLED)),
            (api(ErrorKind::Forbidden), always(STALLED)),
            (
                api(ErrorKind::NotFound),
                [Fate::NotFound, Fate::Vanished, Fate::NotFound],
            ),
            (api(ErrorKind::CursorRefused), always(STALLED)),
            (api(ErrorKind::Exhausted), always(STALLED)),
            (api(ErrorKind::PageTooSlow), always(STALLED)),
            (api(ErrorKind::Contradictory), always(FAILED)),
            (api(ErrorKind::Wrong), always(STALLED)),
            (WalkError::Contradiction { page: 1, what: what() }, always(FAILED)),
            (unproven(false), always(STALLED)),
            (unproven(true), always(start_over(false))),
            (WalkError::OutOfOrder { page: 1 }, always(start_over(true))),
            (
                WalkError::CursorRefused { page: 1, what: what() },
                [start_over(false), start_over(false), STALLED],
            ),
            (
                WalkError::SpoolLost,
                [start_over(false), start_over(false), INTERRUPTED],
            ),
            (WalkError::Store(StoreError::FenceLost), always(Fate::Left)),
            (WalkError::Store(StoreError::CheckpointLost), always(INTERRUPTED)),
            (database(sqlx::Error::PoolTimedOut), always(INTERRUPTED)),
            (database(sqlx::Error::RowNotFound), always(INTERRUPTED)),
            (WalkError::Store(unreachable), always(INTERRUPTED)),
            (WalkError::Store(behind), always(INTERRUPTED)),
            (WalkError::Store(inconsistent), always(FAILED)),
        ] {
            assert_eq!(classify(&error, false, true), listed, "{error:?}");
            assert_eq!(classify(&error, true, true), off_the_list, "{error:?}, off the list");
            assert_eq!(classify(&error, false, false), no_further, "{error:?}, no further");
        }
    }
}
