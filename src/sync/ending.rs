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

/// What is known of the walk besides its error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    /// The account's list is whole and lacks the namespace.
    pub(super) is_off_the_list: bool,
    /// The walk was resumed: its first pages were read earlier, when the API may have listed the objects in another way.
    pub(super) is_resumed: bool,
    /// It got further than the attempt before it, if it has started over in this run.
    pub(super) got_further: bool,
}

/// A walk fails only if what the API served contradicts itself, or the stored rows contradict their digest: its pages
/// can't be trusted. After anything else a later run resumes it. A walk that was resumed first starts over, because its
/// pages need not be of one list, and a last page that is full may not be full from the start.
pub(super) fn classify(error: &WalkError, attempt: Attempt) -> Fate {
    let Attempt {
        is_off_the_list,
        is_resumed,
        got_further,
    } = attempt;
    match error {
        WalkError::OutOfOrder { .. } => Fate::StartOver { unordered: true },
        WalkError::UnprovenEnd { .. } | WalkError::Contradiction { .. } if is_resumed => {
            Fate::StartOver { unordered: false }
        }
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

    /// Each error: what it means for a listed namespace, for one that the list lacks, once the walk has started over
    /// and got no further, and for a walk that was resumed.
    #[test]
    fn every_error_has_its_fate() {
        let what = || "what".to_owned();
        let start_over = |unordered| Fate::StartOver { unordered };
        let always = |fate| [fate; 4];
        let unproven = WalkError::UnprovenEnd { page: 1, other: 9_999 };
        let inconsistent = StoreError::Inconsistent { what: what() };
        let unreachable = StoreError::Unreachable {
            place: what(),
            source: sqlx::Error::PoolClosed.into(),
        };
        let behind = StoreError::SequencesBehind { statements: what() };
        for (error, [listed, off_the_list, no_further, resumed]) in [
            (WalkError::Stopped(StopReason::Signal), always(INTERRUPTED)),
            (WalkError::Stopped(StopReason::Deadline), always(INTERRUPTED)),
            (api(ErrorKind::Setup), always(STALLED)),
            (api(ErrorKind::Unauthorized), always(STALLED)),
            (api(ErrorKind::Forbidden), always(STALLED)),
            (
                api(ErrorKind::NotFound),
                [Fate::NotFound, Fate::Vanished, Fate::NotFound, Fate::NotFound],
            ),
            (api(ErrorKind::CursorRefused), always(STALLED)),
            (api(ErrorKind::Exhausted), always(STALLED)),
            (api(ErrorKind::PageTooSlow), always(STALLED)),
            (api(ErrorKind::Contradictory), always(FAILED)),
            (api(ErrorKind::Wrong), always(STALLED)),
            (
                WalkError::Contradiction { page: 1, what: what() },
                [FAILED, FAILED, FAILED, start_over(false)],
            ),
            (unproven, [STALLED, STALLED, STALLED, start_over(false)]),
            (WalkError::OutOfOrder { page: 1 }, always(start_over(true))),
            (
                WalkError::CursorRefused { page: 1, what: what() },
                [start_over(false), start_over(false), STALLED, start_over(false)],
            ),
            (
                WalkError::SpoolLost,
                [start_over(false), start_over(false), INTERRUPTED, start_over(false)],
            ),
            (WalkError::Store(StoreError::FenceLost), always(Fate::Left)),
            (WalkError::Store(StoreError::CheckpointLost), always(INTERRUPTED)),
            (database(sqlx::Error::PoolTimedOut), always(INTERRUPTED)),
            (database(sqlx::Error::RowNotFound), always(INTERRUPTED)),
            (WalkError::Store(unreachable), always(INTERRUPTED)),
            (WalkError::Store(behind), always(INTERRUPTED)),
            (WalkError::Store(inconsistent), always(FAILED)),
        ] {
            let fate = |is_off_the_list, got_further, is_resumed| {
                let attempt = Attempt {
                    is_off_the_list,
                    is_resumed,
                    got_further,
                };
                classify(&error, attempt)
            };
            assert_eq!(fate(false, true, false), listed, "{error:?}");
            assert_eq!(fate(true, true, false), off_the_list, "{error:?}, off the list");
            assert_eq!(fate(false, false, false), no_further, "{error:?}, no further");
            assert_eq!(fate(false, true, true), resumed, "{error:?}, resumed");
        }
    }
}
