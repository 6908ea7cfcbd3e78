//! The namespaces: one table for comparison, and one card with charts per namespace.

use maud::{Markup, html};

use super::{change, chart, name};
use crate::report::{NamespaceFigures, PERIODS, Report, words};
use crate::text::{number, shown};
use crate::times::for_people;

pub fn table(report: &Report) -> Markup {
    let accounts = report.several_accounts();
    html! {
        section aria-labelledby="namespaces" {
            h2 #namespaces { "Namespaces" }
            table.namespaces {
                caption { "Objects a namespace, and how their number changed. Missing and retired ones are left out." }
                thead {
                    tr {
                        th scope="col" { "Namespace" }
                        @if accounts { th.wide scope="col" { "Account" } }
                        th.n scope="col" { "Objects" }
                        th.n.wide scope="col" { "With data" }
                        th.n.wide scope="col" { "Share" }
                        @for days in PERIODS {
                            th.n.wide[days != 7] scope="col" { (words::period(days)) }
                        }
                        th.trend scope="col" { "Trend" }
                        th.wide scope="col" { "Last snapshot" }
                        th.n.narrow scope="col" { "Age" }
                    }
                }
                tbody {
                    @for (index, figures) in report.present().enumerate() {
                        (row(report, figures, index, accounts))
                    }
                }
                tfoot { (total(report, accounts)) }
            }
        }
    }
}

fn row(report: &Report, figures: &NamespaceFigures, index: usize, accounts: bool) -> Markup {
    let count = figures.newest.map(|newest| newest.count);
    html! {
        tr {
            th scope="row" { a href={ "#n" (index) } { (name(figures)) } }
            @if accounts { td.wide { (figures.account_id) } }
            td.n { (or_dash(count.map(|count| number(count.objects)))) }
            td.n.wide { (or_dash(count.map(|count| number(count.with_data)))) }
            td.n.wide { (or_dash(count.and_then(|count| count.share()).map(words::percent))) }
            @for (days, of) in PERIODS.iter().zip(figures.changes) {
                td.n.wide[*days != 7] { (change(of)) }
            }
            td.trend { (chart::spark(&figures.days)) }
            td.wide { (or_dash(figures.newest.map(|newest| for_people(newest.recorded_at)))) }
            td.n.narrow { (or_dash(figures.age(report.at).map(words::age))) }
        }
    }
}

fn total(report: &Report, accounts: bool) -> Markup {
    let totals = &report.totals;
    html! {
        tr {
            th scope="row" { "Total" }
            @if accounts { td.wide {} }
            td.n { (number(totals.count.objects)) }
            td.n.wide { (number(totals.count.with_data)) }
            td.n.wide { (or_dash(totals.count.share().map(words::percent))) }
            @for (days, of) in PERIODS.iter().zip(totals.changes) {
                td.n.wide[*days != 7] { (change(of)) }
            }
            td.trend { (chart::spark(&totals.days)) }
            td.wide {}
            td.n.narrow {}
        }
    }
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| words::NONE.to_owned())
}

/// Small multiples: the same chart for every namespace.
pub fn cards(report: &Report) -> Markup {
    html! {
        section aria-labelledby="course" {
            h2 #course { "The last " (report.options.days) " days" }
            (chart::legend())
            div.cards {
                @for (index, figures) in report.present().enumerate() {
                    (card(report, figures, &format!("n{index}")))
                }
            }
        }
    }
}

fn card(report: &Report, figures: &NamespaceFigures, id: &str) -> Markup {
    let of = shown(figures.label());
    html! {
        article.card id=(id) {
            h3 { (name(figures)) }
            (place(report, figures))
            @match figures.newest {
                None => p.sum { "Not recorded yet." },
                Some(newest) => {
                    p.sum { strong { (number(newest.count.objects)) }
                        @if newest.count.objects == 1 { " object" } @else { " objects" }
                    }
                    p.part {
                        (number(newest.count.with_data)) " with data"
                        @if let Some(share) = newest.count.share() { ", " (words::percent(share)) }
                        @if newest.count.unknown > 0 { ", " (number(newest.count.unknown)) " unknown" }
                    }
                    (chart::figure(id, &of, &figures.days, 96))
                    dl {
                        @for (days, of) in PERIODS.iter().zip(figures.changes) {
                            div { dt { (words::period(*days)) } dd { (change(of)) } }
                        }
                        div { dt { "age" } dd { (or_dash(figures.age(report.at).map(words::age))) } }
                    }
                    p.muted.small { "Snapshot " (newest.snapshot_id) ", " (for_people(newest.recorded_at)) }
                    (chart::numbers(id, &of, &figures.days))
                }
            }
        }
    }
}

/// Script, class, account and id.
fn place(report: &Report, figures: &NamespaceFigures) -> Markup {
    let of = [&figures.script, &figures.class]
        .into_iter()
        .flatten()
        .map(|word| shown(word));
    let words: Vec<_> = of
        .chain(report.several_accounts().then(|| figures.account_id.clone()))
        .collect();
    html! {
        p.muted.small {
            @for (index, word) in words.iter().enumerate() {
                @if index > 0 { " \u{b7} " }
                bdi { (word) }
            }
        }
        p.muted.id { (shown(&figures.namespace_id)) }
    }
}
