//! Small multiples: the same chart for the namespaces that matter most. The script draws that of any other.

use std::cmp::Reverse;

use maud::{Markup, html};

use super::axis::Axis;
use super::namespaces::series;
use super::{attention, change, chart, dashboard_link, name};
use crate::report::{NamespaceFigures, PERIODS, Report, Trouble, words};
use crate::text::{number, shown};

const MOST: usize = 12;

/// A namespace with a chart of its own, and what is wrong with it.
pub struct Card<'a> {
    pub figures: &'a NamespaceFigures,
    troubles: Vec<Trouble>,
}

/// Up to twelve: in turn, what needs attention, what changed most and what is largest. Those that need attention come
/// first, then the larger.
pub fn chosen(report: &Report) -> Vec<Card<'_>> {
    let recorded: Vec<_> = report.present().filter(|figures| figures.newest.is_some()).collect();
    let size = |figures: &NamespaceFigures| figures.newest.map_or(0, |newest| newest.count.objects);
    let changed = |figures: &NamespaceFigures| {
        let [day, week, _] = figures.changes;
        week.or(day).map_or(0, |change| change.objects.unsigned_abs())
    };
    let mut by_trouble: Vec<_> = recorded
        .iter()
        .filter(|figures| !troubles(report, figures).is_empty())
        .collect();
    by_trouble.sort_by_cached_key(|figures| troubles(report, figures).first().map(|worst| worst.rank()));
    let mut by_change: Vec<_> = recorded.iter().filter(|figures| changed(figures) > 0).collect();
    by_change.sort_by_key(|figures| Reverse(changed(figures)));
    let mut by_size: Vec<_> = recorded.iter().collect();
    by_size.sort_by_key(|figures| Reverse(size(figures)));

    let mut chosen: Vec<&NamespaceFigures> = Vec::new();
    let mut lists = [by_trouble, by_change, by_size].map(Vec::into_iter);
    while chosen.len() < MOST.min(recorded.len()) {
        for list in &mut lists {
            if let Some(next) = list.find(|figures| !chosen.iter().any(|other| std::ptr::eq(*other, **figures))) {
                chosen.push(next);
            }
        }
    }
    chosen.truncate(MOST);
    let mut cards: Vec<_> = chosen
        .into_iter()
        .map(|figures| Card {
            figures,
            troubles: troubles(report, figures),
        })
        .collect();
    cards.sort_by_key(|card| {
        (
            card.troubles.first().map_or(u8::MAX, |worst| worst.rank()),
            Reverse(size(card.figures)),
        )
    });
    cards
}

/// The most urgent first.
fn troubles(report: &Report, figures: &NamespaceFigures) -> Vec<Trouble> {
    let of = |entry: &&crate::report::Attention| {
        entry.account_id == figures.account_id && entry.namespace_id == figures.namespace_id
    };
    report.attention.iter().filter(of).map(|entry| entry.trouble).collect()
}

pub fn section(report: &Report, axis: &Axis, cards: &[Card<'_>]) -> Markup {
    let recorded = report.present().filter(|figures| figures.newest.is_some()).count();
    html! {
        section aria-labelledby="course" {
            h2 #course { "The last " (axis.days()) " days" }
            @if recorded > cards.len() {
                p.muted.note {
                    (cards.len()) " of " (number(recorded as u64))
                    " namespaces: those that need attention, changed most or are largest. "
                    span.scripted hidden { "The trend in the table above opens the chart of any other." }
                }
            }
            (chart::legend())
            div.cards { @for (index, card) in cards.iter().enumerate() { (article(report, axis, index, card)) } }
        }
    }
}

fn article(report: &Report, axis: &Axis, index: usize, card: &Card<'_>) -> Markup {
    let figures = card.figures;
    let count = figures.newest.map(|newest| newest.count).unwrap_or_default();
    let latest = PERIODS
        .iter()
        .zip(figures.changes)
        .take(2)
        .rfind(|(_, change)| change.is_some());
    html! {
        article.card id={ "n" (index) } {
            h3 {
                (name(figures)) (dashboard_link(&figures.account_id, &figures.namespace_id))
                @for trouble in &card.troubles { " " (attention::badge(*trouble)) }
            }
            p.sum {
                span { strong { (number(count.objects)) } @if count.objects == 1 { " object" } @else { " objects" } }
                @if let Some(share) = count.share() { span { (words::percent(share)) " with data" } }
                @if count.unknown > 0 { span { (number(count.unknown)) " unknown" } }
                @if let Some((days, of)) = latest { span { (change(of)) " in " (words::period(*days)) } }
            }
            (chart::figure(series(report, figures), &shown(figures.label()), axis, axis.cut(&figures.days), 96))
            p.muted.id {
                @if report.several_accounts() { (shown(&figures.account_id)) " \u{b7} " }
                (shown(&figures.namespace_id))
            }
        }
    }
}
