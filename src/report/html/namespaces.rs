//! The table of namespaces. The script adds a filter, sorting, and the chart of any row.

use maud::{Markup, html};

use super::axis::Axis;
use super::cards::Card;
use super::{change, chart, dashboard_link, name, short_id};
use crate::report::{Count, CountChange, Day, NamespaceFigures, PERIODS, Previews, Report, ReportEntry, words};
use crate::text::{number, shown};
use crate::times::for_people;

/// The columns that say something, besides those of every table.
#[derive(Clone, Copy)]
struct Columns {
    accounts: bool,
    /// Periods of which at least one namespace has a change.
    periods: [bool; 3],
    trend: bool,
}

pub fn table(report: &Report, axis: &Axis, cards: &[Card<'_>]) -> Markup {
    let columns = Columns {
        accounts: report.several_accounts(),
        periods: report.totals.changes.map(|change| change.is_some()),
        trend: axis.recorded() > 1,
    };
    let table = Table { report, cards, columns };
    html! {
        section aria-labelledby="namespaces" {
            h2 #namespaces { "Namespaces" }
            table.namespaces #table {
                caption { "Objects per namespace, and how their number changed. Missing and retired namespaces are left out." }
                thead { (headings(columns)) }
                tbody.total { (table.total(axis)) }
                @for run in report.entries().chunk_by(|one, other| is_plain(one) && is_plain(other)) {
                    @match &run[0] {
                        ReportEntry::Previews(previews) => (table.previews(previews)),
                        ReportEntry::Namespace(_) => tbody { @for entry in run { (table.entry(entry)) } },
                    }
                }
            }
        }
    }
}

const fn is_plain(entry: &ReportEntry<'_>) -> bool {
    matches!(entry, ReportEntry::Namespace(_))
}

fn headings(columns: Columns) -> Markup {
    html! {
        tr {
            th scope="col" { "Namespace" }
            @if columns.accounts { th.wide scope="col" { "Account" } }
            th.n scope="col" { "Objects" }
            th.n.wide scope="col" { "With data" }
            th.n.wide scope="col" { "Share" }
            @for (days, _) in shown_periods(columns) {
                th.n.wide[days != 7] scope="col" { (words::period(days)) }
            }
            @if columns.trend { th.trend scope="col" { "Trend" } }
            th.n.narrow scope="col" { "Age" }
        }
    }
}

fn shown_periods(columns: Columns) -> impl Iterator<Item = (u16, usize)> {
    let periods = PERIODS.into_iter().zip(0..);
    periods.filter(move |(_, index)| columns.periods[*index])
}

struct Table<'a> {
    report: &'a Report,
    cards: &'a [Card<'a>],
    columns: Columns,
}

impl Table<'_> {
    fn total(&self, axis: &Axis) -> Markup {
        let totals = &self.report.totals;
        html! {
            tr {
                th scope="row" { "Total" }
                @if self.columns.accounts { td.wide {} }
                (self.figures(Some(totals.count), totals.changes, &axis.totals))
                td.n.narrow {}
            }
        }
    }

    fn entry(&self, entry: &ReportEntry<'_>) -> Markup {
        html! { @if let ReportEntry::Namespace(figures) = entry { (self.row(figures, None)) } }
    }

    fn previews(&self, previews: &Previews<'_>) -> Markup {
        let totals = &previews.totals;
        let oldest = previews
            .namespaces
            .iter()
            .filter_map(|figures| figures.age(self.report.at))
            .max();
        let account = previews.namespaces.first().map_or("", |first| &first.account_id);
        html! {
            tbody.previews {
                tr.group {
                    th scope="row" {
                        label {
                            input type="checkbox";
                            span.figure-text { (number(previews.namespaces.len() as u64)) " previews" }
                            " of " bdi { (shown(previews.script)) "_" wbr; (shown(previews.class)) }
                        }
                    }
                    @if self.columns.accounts { td.wide title=(shown(account)) { (short_id(account)) } }
                    (self.figures(Some(totals.count), totals.changes, &totals.days))
                    td.n.narrow title="the oldest" { (or_dash(oldest.map(words::age))) }
                }
                @for figures in &previews.namespaces { (self.row(figures, Some("member"))) }
            }
        }
    }

    fn row(&self, figures: &NamespaceFigures, class: Option<&str>) -> Markup {
        let place = [&figures.script, &figures.class]
            .into_iter()
            .flatten()
            .map(|word| shown(word));
        let place: Vec<_> = place.collect();
        let at = figures.newest.map(|newest| for_people(newest.recorded_at));
        let card = self.cards.iter().position(|card| std::ptr::eq(card.figures, figures));
        html! {
            tr class=[class] data-series=[self.series(figures)] data-id=(shown(&figures.namespace_id))
                data-place=(place.join(" \u{b7} ")) {
                th scope="row" {
                    @match card {
                        Some(card) => a href={ "#n" (card) } { (name(figures)) },
                        None => (name(figures)),
                    }
                    (dashboard_link(&figures.account_id, &figures.namespace_id))
                }
                @if self.columns.accounts {
                    td.wide title=(shown(&figures.account_id)) { (short_id(&figures.account_id)) }
                }
                (self.figures(figures.newest.map(|newest| newest.count), figures.changes, &figures.days))
                td.n.narrow title=[at] { (or_dash(figures.age(self.report.at).map(words::age))) }
            }
        }
    }

    /// The number of a namespace's series in the page's data, where 0 is the total. Nothing is drawn without a snapshot.
    fn series(&self, figures: &NamespaceFigures) -> Option<usize> {
        (self.columns.trend && figures.newest.is_some()).then(|| series(self.report, figures))
    }

    fn figures(&self, count: Option<Count>, changes: [Option<CountChange>; 3], days: &[Day]) -> Markup {
        html! {
            td.n { (or_dash(count.map(|count| number(count.objects)))) }
            td.n.wide { (or_dash(count.map(|count| number(count.with_data)))) }
            td.n.wide { (or_dash(count.and_then(|count| count.share()).map(words::percent))) }
            @for (days, index) in shown_periods(self.columns) {
                td.n.wide[days != 7] { (change(changes[index])) }
            }
            @if self.columns.trend { td.trend { (chart::spark(days)) } }
        }
    }
}

/// The number of a namespace's series in the page's data.
pub fn series(report: &Report, figures: &NamespaceFigures) -> usize {
    let place = report.present().position(|other| std::ptr::eq(other, figures));
    place.map_or(0, |place| place + 1)
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| words::NONE.to_owned())
}
