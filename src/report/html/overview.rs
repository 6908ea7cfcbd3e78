//! The top of the page: totals, their charts, and what needs attention.

use maud::{Markup, html};

use super::chart;
use crate::report::{Attention, PERIODS, Report, Trouble, by_trouble, summary, words};
use crate::text::number;

pub fn section(report: &Report) -> Markup {
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
                @for (days, change) in PERIODS.iter().zip(totals.changes) {
                    p.figure { strong { (super::change(change)) } " in " (words::period(*days)) }
                }
            }
            @for note in notes(report) { p.muted.note { (note) "." } }
            (chart::legend())
            (chart::figure("total", "All namespaces", &totals.days, 160))
            (chart::numbers("total", "All namespaces", &totals.days))
        }
    }
}

/// Sentences without full stops.
fn notes(report: &Report) -> Vec<String> {
    let totals = &report.totals;
    let mut notes = Vec::new();
    if totals.count.unknown > 0 {
        notes.push(format!(
            "Of {} it is unknown whether they hold data",
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

fn capital(text: String) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

pub fn attention(report: &Report) -> Markup {
    html! {
        section aria-labelledby="attention" {
            h2 #attention { "Needs attention" }
            @if report.attention.is_empty() {
                p { "Nothing." }
            } @else {
                ul.attention {
                    @for (shown, rest) in by_trouble(&report.attention) {
                        @for entry in shown { (trouble(report, entry)) }
                        @if let Some(first) = rest.first() {
                            li.more {
                                details {
                                    summary { (number(rest.len() as u64)) " more: " (first.trouble.as_str()) }
                                    ul.attention { @for entry in rest { (trouble(report, entry)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn trouble(report: &Report, entry: &Attention) -> Markup {
    html! {
        li {
            span class={ "badge " (class(entry.trouble)) } { (entry.trouble.as_str()) }
            div {
                bdi.name { (entry.label) }
                @if report.several_accounts() { " " span.muted { "in " (entry.account_id) } }
                p { (commands(&entry.why)) }
            }
        }
    }
}

fn class(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Held | Trouble::Failed => "bad",
        Trouble::Stale | Trouble::Missing | Trouble::SuddenGrowth => "warn",
    }
}

/// Turns text in backquotes into code elements.
fn commands(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
