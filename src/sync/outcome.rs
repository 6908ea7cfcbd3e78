//! How a run ended, for each namespace and as a whole, and the exit code of `sync`.

use std::time::Duration;

use crate::model::{AccountId, Counts, NamespaceId, label};
use crate::store::RunOutcome;

use super::plan::Planned;
use super::shutdown::StopReason;

/// The outcome of one namespace in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Published.
    Complete,
    /// A mass removal: not published until a person accepts it.
    Held,
    /// The next run resumes it.
    Interrupted,
    Failed,
    /// A newer snapshot was published meanwhile.
    Superseded,
    /// Another run holds the namespace.
    Busy,
    /// The namespace is neither listed nor has an object list. Its objects stay as they were.
    Missing,
    /// Neither listed nor found, but not marked as missing: many vanished at once, so a person has to accept it.
    Vanished,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Held => "held",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::Busy => "busy",
            Self::Missing => "missing",
            Self::Vanished => "vanished",
        }
    }
}

/// What a run reports for one namespace.
#[derive(Debug, Clone)]
pub struct NamespaceOutcome {
    pub account: AccountId,
    pub namespace: NamespaceId,
    pub name: Option<String>,
    pub status: Status,
    pub snapshot_id: Option<i32>,
    pub baseline: bool,
    pub counts: Counts,
    pub pages: u64,
    pub requests: u64,
    pub resumed: u64,
    pub elapsed: Duration,
    /// What went wrong, and what to do about it.
    pub error: Option<String>,
    /// The account's credentials were refused altogether, which is reported once, among the failed accounts.
    pub is_refused: bool,
}

impl NamespaceOutcome {
    pub(super) fn refused(self) -> Self {
        Self {
            is_refused: true,
            ..self
        }
    }

    /// Before anything is known of its walk.
    pub(super) fn of(planned: &Planned<'_>, status: Status, error: Option<String>) -> Self {
        Self {
            account: planned.account.id.clone(),
            namespace: planned.namespace.id.clone(),
            name: planned.namespace.name.clone(),
            status,
            snapshot_id: None,
            baseline: false,
            counts: Counts::default(),
            pages: 0,
            requests: 0,
            resumed: 0,
            elapsed: Duration::ZERO,
            error,
            is_refused: false,
        }
    }

    /// The name, or else the id, for messages.
    pub fn label(&self) -> &str {
        label(self.name.as_deref(), self.namespace.as_str())
    }

    /// The status with what went wrong, for messages.
    pub fn problem(&self) -> Option<String> {
        let why = self.error.as_deref()?;
        Some(match self.status {
            Status::Held => format!("held for review. {why}"),
            status => format!("{}: {why}", status.as_str()),
        })
    }
}

/// An account in which nothing could be walked.
#[derive(Debug, Clone)]
pub struct AccountFailure {
    pub account: AccountId,
    pub error: String,
    /// A mistake in the arguments or the configuration: no namespace matches the selection, or this machine's settings
    /// don't lead to the API.
    pub is_mistake: bool,
}

/// An account whose namespace list may be cut short. Its listed namespaces were walked.
#[derive(Debug, Clone)]
pub struct DoubtfulList {
    pub account: AccountId,
    pub why: String,
}

/// An account whose namespaces vanished in such a number that none was marked as missing.
#[derive(Debug, Clone)]
pub struct MassVanishing {
    pub account: AccountId,
    pub why: String,
}

#[derive(Debug)]
pub struct Summary {
    pub run_id: i64,
    pub namespaces: Vec<NamespaceOutcome>,
    pub failed_accounts: Vec<AccountFailure>,
    pub doubtful_lists: Vec<DoubtfulList>,
    pub mass_vanishings: Vec<MassVanishing>,
    pub stopped: Option<StopReason>,
}

impl Summary {
    /// The run's outcome and the exit code of `sync`: the first that applies.
    pub fn verdict(&self) -> (RunOutcome, u8) {
        let count = |wanted: &[Status]| self.namespaces.iter().filter(|n| wanted.contains(&n.status)).count();
        let failed = count(&[Status::Failed, Status::Interrupted, Status::Superseded]);
        let failures = failed + self.failed_accounts.len();
        let held = count(&[Status::Held, Status::Vanished]);
        let well = held + count(&[Status::Complete, Status::Missing]);
        let busy = count(&[Status::Busy]);
        match self.stopped {
            Some(StopReason::Signal) => return (RunOutcome::Interrupted, 130),
            Some(StopReason::Deadline) if failures > 0 => return (RunOutcome::Partial, 3),
            _ => {}
        }
        // A usage error comes first, but only if nothing else was selected.
        let mistaken = self.failed_accounts.iter().all(|failure| failure.is_mistake);
        let is_sure = self.doubtful_lists.is_empty();
        if self.namespaces.is_empty() && !self.failed_accounts.is_empty() && mistaken && is_sure {
            return (RunOutcome::Failed, 2);
        }
        if failures > 0 && well == 0 && busy == 0 {
            (RunOutcome::Failed, 1)
        } else if failures > 0 || !is_sure {
            (RunOutcome::Partial, 3)
        } else if held > 0 {
            (RunOutcome::Held, 5)
        } else if busy > 0 && well == 0 {
            (RunOutcome::Busy, 4)
        } else {
            (RunOutcome::Done, 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(statuses: &[Status], failed_accounts: usize, stopped: Option<StopReason>) -> Summary {
        let account: AccountId = "a".parse().unwrap();
        let namespaces = statuses
            .iter()
            .map(|status| NamespaceOutcome {
                account: account.clone(),
                namespace: "n".parse().unwrap(),
                name: None,
                status: *status,
                snapshot_id: None,
                baseline: false,
                counts: Counts::default(),
                pages: 0,
                requests: 0,
                resumed: 0,
                elapsed: Duration::ZERO,
                error: None,
                is_refused: false,
            })
            .collect();
        let failure = AccountFailure {
            account,
            error: String::new(),
            is_mistake: false,
        };
        Summary {
            run_id: 1,
            namespaces,
            failed_accounts: vec![failure; failed_accounts],
            doubtful_lists: Vec::new(),
            mass_vanishings: Vec::new(),
            stopped,
        }
    }

    #[test]
    fn what_nobody_has_is_usage() {
        let mut asked = summary(&[], 2, None);
        asked.failed_accounts[0].is_mistake = true;
        assert_eq!(asked.verdict().1, 1, "another account failed");
        asked.failed_accounts[1].is_mistake = true;
        assert_eq!(asked.verdict().1, 2);
    }

    #[test]
    fn a_list_that_may_be_cut_short_is_never_done() {
        use Status::*;
        for (statuses, stopped, code) in [
            (&[][..], None, 3),
            (&[Complete], None, 3),
            (&[Held], None, 3),
            (&[Busy], None, 3),
            (&[Complete], Some(StopReason::Deadline), 3),
            (&[Failed], None, 1),
            (&[Complete], Some(StopReason::Signal), 130),
        ] {
            let mut doubtful = summary(statuses, 0, stopped);
            doubtful.doubtful_lists.push(DoubtfulList {
                account: "a".parse().unwrap(),
                why: String::new(),
            });
            assert_eq!(doubtful.verdict().1, code, "{statuses:?} {stopped:?}");
        }
    }

    #[test]
    fn exit_codes_are_the_first_that_applies() {
        use Status::*;
        for (statuses, accounts, stopped, code) in [
            (&[][..], 0, None, 0),
            (&[Complete, Missing], 0, None, 0),
            (&[Complete, Busy], 0, None, 0),
            (&[Busy, Busy], 0, None, 4),
            (&[Held, Busy], 0, None, 5),
            (&[Held, Complete], 0, None, 5),
            (&[Vanished, Complete, Busy], 0, None, 5),
            (&[Vanished, Failed], 0, None, 3),
            (&[Held, Failed], 0, None, 3),
            (&[Complete, Interrupted], 0, None, 3),
            (&[Busy, Failed], 0, None, 3),
            (&[Failed, Interrupted], 0, None, 1),
            (&[], 1, None, 1),
            (&[Complete], 1, None, 3),
            (&[Interrupted], 0, Some(StopReason::Deadline), 3),
            (&[], 1, Some(StopReason::Deadline), 3),
            (&[Complete], 0, Some(StopReason::Deadline), 0),
            (&[Complete], 0, Some(StopReason::Signal), 130),
            (&[Failed], 1, Some(StopReason::Signal), 130),
        ] {
            assert_eq!(
                summary(statuses, accounts, stopped).verdict().1,
                code,
                "{statuses:?} {accounts} {stopped:?}"
            );
        }
    }
}
