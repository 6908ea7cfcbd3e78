//! Charts as SVG, each beside a table of its numbers. The charts work without the script, and the script reads only the
//! tables.
//!
//! A day is ten units wide. Charts are stretched to the available width, their strokes are not.

use std::fmt::Write;

use maud::{Markup, html};

use crate::report::{Day, words};
use crate::text::number;

/// Units per day, and of a chart's height.
const STEP: usize = 10;
const HEIGHT: u64 = 200;
/// Height of the bars: one half up, one half down.
const BARS: u64 = 40;

/// Objects and objects with data above, created and removed per day below. The table of [`numbers`] with the same id
/// has the figures. `of` must be sanitized, `height` is in pixels.
pub fn figure(id: &str, of: &str, days: &[Day], height: u32) -> Markup {
    let width = days.len() * STEP;
    let most = days.iter().filter_map(|day| day.objects).max();
    let moved = days.iter().flat_map(|day| [day.created, day.removed]).flatten().max();
    let first = days.first().map(|day| day.date.to_string()).unwrap_or_default();
    html! {
        figure.chart data-of=(of) data-table={ (id) "-days" } data-days=(days.len()) data-first=(first) {
            p.axis aria-hidden="true" { span { (most.map_or_else(|| words::NONE.to_owned(), number)) } }
            div.plot {
                svg.course role="img" aria-label=(course(of, days)) viewBox={ "0 0 " (width) " " (HEIGHT) }
                    preserveAspectRatio="none" height=(height) {
                    path.area d=(area(days, most)) {}
                    (curve("objects", &line(days, most, |day| day.objects)))
                    (curve("data", &line(days, most, |day| day.with_data)))
                }
                svg.churn role="img" aria-label=(churned(of, days)) viewBox={ "0 0 " (width) " " (BARS) }
                    preserveAspectRatio="none" height=(BARS) {
                    path.created d=(bars(days, moved.unwrap_or(0), true)) {}
                    path.removed d=(bars(days, moved.unwrap_or(0), false)) {}
                }
            }
            p.axis aria-hidden="true" {
                span { (first) }
                @if let Some(moved) = moved { span { "up to " (number(moved)) " a day" } }
                @if let Some(last) = days.last() { span { (last.date) } }
            }
        }
    }
}

pub fn legend() -> Markup {
    html! {
        p.legend {
            span.key.objects { "objects" } " " span.key.data { "with data" } " "
            span.key.created { "created a day" } " " span.key.removed { "removed a day" }
        }
    }
}

/// The objects of the last 30 days, for a table cell.
pub fn spark(days: &[Day]) -> Markup {
    let days = &days[days.len().saturating_sub(30)..];
    let objects = || days.iter().filter_map(|day| day.objects);
    let (least, most) = (objects().min().unwrap_or(0), objects().max().unwrap_or(0));
    // From the fewest to the most, or a line in the middle if the number never changed.
    let place = |objects: u64| match most - least {
        0 => HEIGHT / 2,
        range => 10 + scaled(objects - least, range, HEIGHT - 20),
    };
    let path = path(days, |day| day.objects.map(place));
    html! {
        svg.spark aria-hidden="true" viewBox={ "0 0 " (days.len() * STEP) " " (HEIGHT) } preserveAspectRatio="none" {
            (curve("objects", &path))
        }
    }
}

/// A path of one day has no length: its end caps make it a dot.
fn curve(of: &str, path: &str) -> Markup {
    html! {
        @if path.is_empty() || path.contains('l') {
            path class={ "line " (of) } d=(path) {}
        } @else {
            path class={ "dot " (of) } d={ (path) "h0" } {}
        }
    }
}

/// A table without the days on which nothing changed.
pub fn numbers(id: &str, of: &str, days: &[Day]) -> Markup {
    let cell = |n: Option<u64>| n.map_or_else(|| words::NONE.to_owned(), number);
    html! {
        details {
        summary { "Numbers by day" }
        table id={ (id) "-days" } {
            caption { bdi { (of) } ", by day. Days on which nothing changed are left out." }
            thead {
                tr {
                    th scope="col" { "Day" }
                    th.n scope="col" { "Objects" }
                    th.n scope="col" { "With data" }
                    th.n scope="col" { "Created" }
                    th.n scope="col" { "Removed" }
                }
            }
            tbody {
                @for day in changed(days) {
                    tr {
                        th scope="row" { (day.date) }
                        td { (cell(day.objects)) }
                        td { (cell(day.with_data)) }
                        td { (cell(day.created)) }
                        td { (cell(day.removed)) }
                    }
                }
            }
        }
    }
    }
}

fn changed(days: &[Day]) -> impl Iterator<Item = &Day> {
    days.iter().enumerate().filter_map(|(index, day)| {
        let before = index.checked_sub(1).map(|before| &days[before]);
        let same = before.is_some_and(|before| (before.objects, before.with_data) == (day.objects, day.with_data));
        let still = day.created == Some(0) && day.removed == Some(0);
        (day.objects.is_some() && !(same && still)).then_some(day)
    })
}

fn scaled(n: u64, most: u64, height: u64) -> u64 {
    (n as f64 / most.max(1) as f64 * height as f64).round() as u64
}

/// A path through the middle of each day, from the first recorded one. Heights are measured from the bottom.
fn path(days: &[Day], height: impl Fn(&Day) -> Option<u64>) -> String {
    let mut path = String::new();
    let mut at = None;
    for (index, day) in days.iter().enumerate() {
        let Some(height) = height(day) else { continue };
        let y = HEIGHT as i64 - height as i64;
        // Relative steps are shorter. Writing to a string does not fail.
        let _ = match at {
            None => write!(path, "M{} {y}", index * STEP + STEP / 2),
            Some(last) => write!(path, "l{STEP} {}", y - last),
        };
        at = Some(y);
    }
    path
}

fn line(days: &[Day], most: Option<u64>, count: impl Fn(&Day) -> Option<u64>) -> String {
    let most = most.unwrap_or(0);
    path(days, |day| count(day).map(|count| scaled(count, most, HEIGHT - 2)))
}

fn area(days: &[Day], most: Option<u64>) -> String {
    let mut area = line(days, most, |day| day.objects);
    if let Some(first) = days.iter().position(|day| day.objects.is_some()) {
        let x = |index: usize| index * STEP + STEP / 2;
        let _ = write!(area, "V{HEIGHT}H{}z", x(first));
    }
    area
}

/// Bars from the middle, up for created and down for removed objects; even one object is visible. They are strokes, as
/// these take less markup than outlines and their width can follow the page.
fn bars(days: &[Day], most: u64, up: bool) -> String {
    let mut bars = String::new();
    for (index, day) in days.iter().enumerate() {
        let n = if up { day.created } else { day.removed }.unwrap_or(0);
        if n > 0 {
            let height = scaled(n, most, BARS / 2 - 1).max(1);
            let (x, sign) = (index * STEP + STEP / 2, if up { "-" } else { "" });
            let _ = write!(bars, "M{x} {}v{sign}{height}", BARS / 2);
        }
    }
    bars
}

/// Describes the chart to screen readers.
fn course(of: &str, days: &[Day]) -> String {
    let recorded = || days.iter().filter(|day| day.objects.is_some());
    let (Some(first), Some(last)) = (recorded().next(), recorded().next_back()) else {
        return format!("{of}: nothing is recorded in these days");
    };
    let said = |day: &Day| {
        let (objects, with_data) = (day.objects.unwrap_or(0), day.with_data.unwrap_or(0));
        format!(
            "{} with {} holding data on {}",
            words::objects(objects),
            number(with_data),
            day.date
        )
    };
    format!("{of}: from {} to {}", said(first), said(last))
}

fn churned(of: &str, days: &[Day]) -> String {
    let sum = |count: fn(&Day) -> Option<u64>| days.iter().filter_map(count).sum::<u64>();
    format!(
        "{of}: {} created and {} removed in {} days",
        number(sum(|day| day.created)),
        number(sum(|day| day.removed)),
        days.len()
    )
}

#[cfg(test)]
mod tests;
