//! Sentences about a whole report, for the terminal and the page.

use super::words::{namespaces, objects, percent, period};
use super::{PERIODS, Report};
use crate::text::number;

/// The totals in one line.
pub fn totals(report: &Report) -> String {
    let totals = &report.totals;
    let mut text = format!("{} in {}", objects(totals.count.objects), namespaces(totals.namespaces));
    if let Some(share) = totals.count.share() {
        text.push_str(&format!(", {} with data", percent(share)));
    }
    if totals.count.unknown > 0 {
        text.push_str(&format!(", {} unknown", number(totals.count.unknown)));
    }
    if totals.unrecorded > 0 {
        text.push_str(&format!("; {} not recorded yet", namespaces(totals.unrecorded)));
    }
    text
}

/// A note for each period whose total leaves out namespaces that were not recorded yet.
pub fn partial_changes(report: &Report) -> Option<String> {
    let recorded = report.totals.namespaces - report.totals.unrecorded;
    let partial: Vec<String> = PERIODS
        .iter()
        .zip(&report.totals.changes)
        .filter_map(|(days, change)| Some((days, change.as_ref()?.namespaces)))
        .filter(|(_, of)| *of < recorded)
        .map(|(days, of)| format!("{}: {of} of {recorded}", period(*days)))
        .collect();
    (!partial.is_empty()).then(|| {
        format!(
            "total changes include only namespaces that were recorded then: {}",
            partial.join(", ")
        )
    })
}

/// The missing and retired namespaces, which are in no total.
pub fn vanished(report: &Report) -> Option<String> {
    let totals = &report.totals;
    let missing = (totals.missing > 0).then(|| {
        format!(
            "{} missing, with {}",
            namespaces(totals.missing),
            objects(totals.missing_objects)
        )
    });
    let retired = (totals.retired > 0).then(|| format!("{} retired", namespaces(totals.retired)));
    let parts: Vec<_> = missing.into_iter().chain(retired).collect();
    (!parts.is_empty()).then(|| format!("not counted: {}", parts.join("; ")))
}
