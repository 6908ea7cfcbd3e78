//! A report as one HTML page that loads nothing: style and script are inline, and its Content-Security-Policy allows
//! only those two, by their hash. Without the script the page has all figures of the latest day, the totals by day and
//! the charts that matter most. The script adds sorting, a filter, the other charts and the numbers of every day, from
//! `data`.
//!
//! Names are untrusted text: maud escapes HTML, `text::shown` escapes what could reorder or hide text, and `bdi`
//! isolates right-to-left names. The script makes text of them only.

mod attention;
mod axis;
mod cards;
mod chart;
mod data;
mod namespaces;
mod overview;

use base64::prelude::{BASE64_STANDARD, Engine};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use self::axis::Axis;
use super::{NamespaceFigures, Report, words};
use crate::text::shown;
use crate::times::for_people;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = concat!(include_str!("charts.js"), include_str!("table.js"));
/// An empty icon. Without one, browsers request /favicon.ico.
const NO_ICON: &str = "data:,";

pub fn page(report: &Report) -> String {
    let accounts = accounts(report);
    let of = match accounts[..] {
        [] => String::new(),
        [account] => format!(" of {}", shown(account)),
        _ => format!(" of {} accounts", accounts.len()),
    };
    let title = format!("Durable Objects{of}, {}", report.at.date());
    let axis = Axis::of(report);
    // One day makes no chart, and the only namespace's is the one of all.
    let charts = axis.recorded() > 1;
    let cards = match charts && report.present().count() > 1 {
        true => cards::chosen(report),
        false => Vec::new(),
    };
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
                (header(report, &accounts))
                main {
                    @if report.namespaces.is_empty() {
                        (nothing(report))
                    } @else {
                        (overview::figures(report, &axis))
                        (attention::section(report))
                        @if charts { (overview::course(&axis)) }
                        (namespaces::table(report, &axis, &cards))
                        @if !cards.is_empty() { (cards::section(report, &axis, &cards)) }
                        @if charts { (packed(report, &axis)) }
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

/// The reported accounts' ids.
fn accounts(report: &Report) -> Vec<&str> {
    let mut accounts: Vec<_> = report
        .namespaces
        .iter()
        .map(|figures| figures.account_id.as_str())
        .collect();
    accounts.dedup();
    accounts
}

fn header(report: &Report, accounts: &[&str]) -> Markup {
    html! {
        header {
            h1 { "Durable Objects" }
            @if !accounts.is_empty() {
                p.accounts {
                    @if accounts.len() == 1 { "Account" } @else { "Accounts" }
                    @for account in accounts { " " span.id { (shown(account)) } (dashboard_link(account, "")) }
                }
            }
            p.muted {
                "As of " time datetime=(crate::times::for_programs(report.at)) { (for_people(report.at)) }
                @if let Some(run) = &report.last_run {
                    ". Last run: " (run.run_id) ", " (run.outcome) "."
                }
            }
        }
    }
}

/// The days of the totals, then those of each namespace.
fn packed(report: &Report, axis: &Axis) -> Markup {
    let namespaces = report.present().map(|figures| axis.cut(&figures.days));
    let series = std::iter::once(&axis.totals[..]).chain(namespaces);
    let first = axis.totals.first().map(|day| day.date.to_string());
    html! { data #packed hidden data-first=[first] data-days=(axis.days()) value=(data::packed(series)) {} }
}

fn nothing(report: &Report) -> Markup {
    html! {
        p.nothing {
            @if report.recorded == 0 {
                "Nothing is recorded yet. Run " code { "durable-inventory sync" } " first."
            } @else {
                "No recorded namespace matches."
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
                li { "Each change compares the latest snapshot with the newest one that is at least 1, 7 or 30 days old. \
                      A dash means that there is none that old." }
                li { "Days are in UTC. Objects, and objects with data, are those at the end of a day. Created and removed are \
                      the differences that the day\u{2019}s snapshots found; a namespace\u{2019}s first snapshot has none." }
                li { "The share is the percentage of objects that are known to hold data." }
                li { "Stale: no snapshot for more than " (words::duration(options.stale_after)) "." }
                li { "Growth: in the last day the namespace grew by at least " (words::objects(options.growth_floor))
                     ", and by more than " (words::decimal(options.growth_factor)) " times the mean daily growth of the 29 days \
                     before (at least 7 needed; shrinking days count as zero)." }
                li { "Missing: the account no longer lists the namespace, and its object list returns 404. Its recorded objects \
                      are kept, but are in no total. Retired: missing, and no recorded objects are left. The chart of all \
                      namespaces counts each one from its first snapshot until it was found missing." }
            }
        }
    }
}

/// A namespace's label, sanitized, isolated, and with line breaks allowed between its words.
fn name(figures: &NamespaceFigures) -> Markup {
    let label = shown(figures.label());
    html! {
        bdi { @for (index, part) in label.split_inclusive(['_', '.', '/', ':']).enumerate() { @if index > 0 { wbr; } (part) } }
    }
}

/// A link to Cloudflare's dashboard: an account's Durable Objects, or one namespace if there is an id. Other ids than
/// Cloudflare's, which are 32 hex digits, have no page there.
fn dashboard_link(account: &str, namespace: &str) -> Markup {
    let is_id = |id: &str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (linked, path) = match namespace {
        "" => (is_id(account), String::new()),
        _ => (is_id(account) && is_id(namespace), format!("/view/{namespace}")),
    };
    html! {
        @if linked {
            // Not alone on a line.
            "\u{a0}" a.out href={ "https://dash.cloudflare.com/" (account) "/workers/durable-objects" (path) } aria-label="in Cloudflare\u{2019}s dashboard" { "\u{2197}" }
        }
    }
}

/// The beginning of an id, to tell accounts apart in a table.
fn short_id(id: &str) -> String {
    match id.char_indices().nth(8) {
        Some((end, _)) => shown(&id[..end]) + "\u{2026}",
        None => shown(id),
    }
}

/// A signed change, or a dash.
fn change(change: Option<super::CountChange>) -> String {
    change.map_or_else(
        || words::NONE.to_owned(),
        |change| words::signed(change.objects, '\u{2212}'),
    )
}
