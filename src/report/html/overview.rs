//! The top of the page: totals, and their chart.

use maud::{Markup, html};

use super::axis::Axis;
use super::chart;
use crate::report::{PERIODS, Report, summary, words};
use crate::text::number;

pub fn figures(report: &Report, axis: &Axis) -> Markup {
    let totals = &report.totals;
    html! {
        section.overview aria-label="Totals" {
            div.figures {
                p.figure.main { strong { (number(totals.count.objects)) }
                    @if totals.count.objects == 1 { " object" } @else { " objects" }
                }
                p.figure.half { strong { (number(totals.count.with_data)) } " with data"
                    @if let Some(share) = totals.count.share() { ", " (words::percent(share)) }
                }
                p.figure.half { strong { (number(totals.namespaces as u64)) }
                    @if totals.namespaces == 1 { " namespace" } @else { " namespaces" }
                }
                @for (days, change) in PERIODS.iter().zip(totals.changes).filter(|(_, change)| change.is_some()) {
                    p.figure { strong { (super::change(change)) } " in " (words::period(*days)) }
                }
            }
            @for note in notes(report, axis) { p.muted.note { (note) "." } }
        }
    }
}

pub fn course(axis: &Axis) -> Markup {
    html! {
        section.overview aria-label="All namespaces" {
            (chart::legend())
            (chart::figure(0, "All namespaces", axis, &axis.totals, 160))
            (chart::numbers("All namespaces", &axis.totals))
        }
    }
}

/// Sentences without full stops.
fn notes(report: &Report, axis: &Axis) -> Vec<String> {
    let totals = &report.totals;
    let mut notes = Vec::new();
    notes.extend(first_snapshot(report, axis));
    if totals.count.unknown > 0 {
        notes.push(format!(
            "It is unknown whether {} hold data",
            words::objects(totals.count.unknown)
        ));
    }
    if totals.unrecorded > 0 {
        notes.push(format!("Not recorded yet: {}", words::namespaces(totals.unrecorded)));
    }
    notes.extend(summary::partial_changes(report).map(capital));
    notes.extend(summary::vanished(report).map(capital));
    notes
}

/// Stands for the changes until there are any.
fn first_snapshot(report: &Report, axis: &Axis) -> Option<String> {
    if report.totals.changes.iter().any(Option::is_some) {
        return None;
    }
    let first = axis.totals.iter().find(|day| day.objects.is_some())?;
    let when = match axis.recorded() {
        1 => "today".to_owned(),
        _ => format!("on {}", first.date),
    };
    Some(format!("First snapshot {when}; changes appear after the second day"))
}

fn capital(text: String) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
