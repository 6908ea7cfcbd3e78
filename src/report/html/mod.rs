//! A report as one HTML page that loads nothing: style and script are inline, and its Content-Security-Policy allows
//! only those two, by their hash. All numbers are in tables, from which the script answers the pointer and the
//! keyboard.
//!
//! Names are untrusted text: maud escapes HTML, `text::shown` escapes what could reorder or hide text, and `bdi`
//! isolates right-to-left names.

mod chart;
mod namespaces;
mod overview;

use base64::prelude::{BASE64_STANDARD, Engine};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::{NamespaceFigures, Report, words};
use crate::text::shown;
use crate::times::for_people;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// An empty icon. Without one, browsers request /favicon.ico.
const NO_ICON: &str = "data:,";

pub fn page(report: &Report) -> String {
    let title = format!("Durable Objects, {}", report.at.date());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                meta name="robots" content="noindex";
                title { (title) }
                link rel="icon" href=(NO_ICON);
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header(report))
                main {
                    @if report.namespaces.is_empty() {
                        (nothing(report))
                    } @else {
                        (overview::section(report))
                        (overview::attention(report))
                        (namespaces::table(report))
                        (namespaces::cards(report))
                    }
                    (reading(report))
                }
                footer { p { "Written by durable-inventory " (env!("CARGO_PKG_VERSION")) "." } }
                // Hidden from screen readers, which get the same text from the sliders.
                div #tip aria-hidden="true" hidden {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn policy() -> String {
    let hash = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

fn header(report: &Report) -> Markup {
    html! {
        header {
            h1 { "Durable Objects" }
            p.muted {
                "As recorded on " time datetime=(crate::times::for_programs(report.at)) { (for_people(report.at)) }
                @if let Some(run) = &report.last_run {
                    ". Last run: " (run.run_id) ", " (run.outcome) "."
                }
            }
        }
    }
}

fn nothing(report: &Report) -> Markup {
    html! {
        p.nothing {
            @if report.recorded == 0 {
                "No namespace is recorded yet; " code { "durable-inventory sync" } " does it."
            } @else {
                "No recorded namespace is among those asked for."
            }
        }
    }
}

/// The definitions of the terms on the page.
fn reading(report: &Report) -> Markup {
    let options = &report.options;
    html! {
        section aria-labelledby="reading" {
            h2 #reading { "How to read this" }
            ul.plain {
                li { "A change is against what was recorded so long ago: the newest snapshot that was published by then. \
                      A dash stands where nothing was recorded yet." }
                li { "Days are UTC\u{2019}s. Objects and objects with data are those at a day\u{2019}s end; created and removed are \
                      what the day\u{2019}s snapshots found, and a namespace\u{2019}s first snapshot says only what was there." }
                li { "The share is of objects that hold data among all; some may be unknown." }
                li { "Stale: no snapshot for more than "
                     (words::duration(options.stale_after)) ". "
                     "Growth: more than " (words::decimal(options.growth_factor)) " times the usual in the last day, and "
                     (words::objects(options.growth_floor)) " or more. The usual is the average of up to 29 days before \
                     that, of which 7 have to be recorded; days on which a namespace shrank count as days without growth." }
                li { "Missing: no longer listed by the account, and its object list answers 404. Its objects stay as they \
                      were recorded and are in no total. Retired: missing, and nothing is left of it. The chart of all \
                      namespaces counts each from its first snapshot to the day on which it was found missing." }
            }
        }
    }
}

/// A namespace's label, sanitized, isolated, and with line breaks allowed between its words.
fn name(figures: &NamespaceFigures) -> Markup {
    let label = shown(figures.label());
    html! {
        bdi { @for part in label.split_inclusive(['_', '-', '.', '/', ':']) { (part) wbr; } }
    }
}

/// A signed change, or a dash.
fn change(change: Option<super::CountChange>) -> String {
    change.map_or_else(
        || words::NONE.to_owned(),
        |change| words::signed(change.objects, '\u{2212}'),
    )
}
