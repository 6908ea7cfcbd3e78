//! Problems that need a person's attention, and what to do about them.

use time::{Duration, OffsetDateTime};

use super::figures::{NamespaceFigures, Presence, ReportOptions};
use super::words;
use crate::store::{LastRun, ReportRow};
use crate::text::{cut, shell_word, shown};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A held snapshot waits for a decision.
    Held,
    /// The newest walk received contradictory responses.
    Failed,
    /// The newest published snapshot is too old, or there is none.
    Stale,
    Missing,
    SuddenGrowth,
}

impl Trouble {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Stale => "stale",
            Self::Missing => "missing",
            Self::SuddenGrowth => "growth",
        }
    }

    /// Orders by urgency, the most urgent first.
    pub const fn rank(self) -> u8 {
        self as u8
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    pub trouble: Trouble,
    /// Empty for a run.
    pub account_id: String,
    pub namespace_id: String,
    /// Sanitized.
    pub label: String,
    /// A sanitized explanation.
    pub why: String,
    pub snapshot_id: Option<i32>,
}

/// Problems per kind that are shown at once. After days without a sync, every namespace is stale.
const AT_ONCE: usize = 10;

/// Groups by kind, the most urgent first, and splits each group into what is shown at once and the rest.
pub fn by_trouble(attention: &[Attention]) -> impl Iterator<Item = (&[Attention], &[Attention])> {
    let kinds = attention.chunk_by(|one, other| one.trouble == other.trouble);
    kinds.map(|kind| kind.split_at(kind.len().min(AT_ONCE)))
}

/// A run that failed as a whole. It left no failed snapshot that a namespace could report.
pub(super) fn of_run(run: &LastRun) -> Option<Attention> {
    (run.outcome == "failed").then(|| Attention {
        trouble: Trouble::Failed,
        account_id: String::new(),
        namespace_id: String::new(),
        label: format!("run {}", run.run_id),
        why: "the last run recorded nothing: see its log, or run `durable-inventory check`".to_owned(),
        snapshot_id: None,
    })
}

/// Adds the problems of one namespace.
pub(super) fn of_namespace(
    options: &ReportOptions,
    at: OffsetDateTime,
    row: &ReportRow,
    figures: &NamespaceFigures,
    found: &mut Vec<Attention>,
) {
    let mut report = |trouble, snapshot_id, why| {
        found.push(Attention {
            trouble,
            account_id: row.namespace.account_id.clone(),
            namespace_id: row.namespace.namespace_id.clone(),
            label: shown(figures.label()),
            why,
            snapshot_id,
        });
    };
    match figures.presence {
        // Nothing is left to do.
        Presence::Retired => return,
        Presence::Missing => {
            let since = figures.missing_since.unwrap_or(at);
            let objects = figures.newest.map_or(0, |newest| newest.count.objects);
            let why = format!(
                "no longer listed since {}; {} recorded until `durable-inventory namespaces retire {}`",
                words::day(since),
                words::stay(objects),
                shell_word(&row.namespace.namespace_id)
            );
            return report(Trouble::Missing, None, why);
        }
        Presence::Present => {}
    }
    if let Some(held) = row.unpublished.held_snapshot_id {
        let why = row
            .unpublished
            .held_error
            .as_deref()
            .map_or_else(|| "it waits for a decision".to_owned(), cut);
        report(Trouble::Held, Some(held), why);
    }
    let last_failed = row.unpublished.last_status.as_deref() == Some("failed");
    if last_failed {
        report(Trouble::Failed, row.unpublished.last_snapshot_id, last_error(row));
    }
    if let Some(why) = stale(options, at, row, figures) {
        report(Trouble::Stale, figures.newest.map(|newest| newest.snapshot_id), why);
    }
    if let Some(growth) = figures.growth.filter(|_| figures.sudden) {
        let why = format!(
            "grew by {} objects in the last day, usually by {}",
            words::decimal(growth.latest),
            words::decimal(growth.usual)
        );
        report(
            Trouble::SuddenGrowth,
            figures.newest.map(|newest| newest.snapshot_id),
            why,
        );
    }
}

fn last_error(row: &ReportRow) -> String {
    row.unpublished
        .last_error
        .as_deref()
        .map_or_else(|| "no reason was recorded".to_owned(), cut)
}

fn stale(options: &ReportOptions, at: OffsetDateTime, row: &ReportRow, figures: &NamespaceFigures) -> Option<String> {
    let limit = Duration::try_from(options.stale_after).unwrap_or(Duration::MAX);
    let why = match figures.age(at) {
        Some(age) if age > limit => format!("its latest snapshot is {} old", words::age(age)),
        None if at - row.namespace.first_seen_at > limit => {
            format!(
                "listed since {}, but not recorded yet",
                words::day(row.namespace.first_seen_at)
            )
        }
        _ => return None,
    };
    Some(match row.unpublished.last_status.as_deref() {
        Some("interrupted") => format!("{why}; its last sync was interrupted: {}", last_error(row)),
        _ => why,
    })
}
