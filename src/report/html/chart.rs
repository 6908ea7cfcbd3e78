//! Charts as SVG. They are drawn without the script; the script draws further ones like them, by copying one, and
//! `tests/browser` compares the two.
//!
//! A day is one unit wide. The pictures are stretched to the available width, their strokes and labels are not.

use std::fmt::Write;

use maud::{Markup, html};

use super::axis::{Axis, compact, round_up};
use crate::report::{Day, words};
use crate::text::number;

/// Units of a chart's height.
const HEIGHT: u64 = 200;
/// Units and pixels of the bars: one half up, one half down.
const BARS: u64 = 36;
/// Pixels above the upper picture, between the two, and below the lower one, where the dates are.
const ABOVE: u32 = 6;
const BETWEEN: u32 = 14;
const BELOW: u32 = 20;

/// Objects and objects with data above, created and removed per day below. `series` is the number of the days in the
/// page's data, see `data`. `of` must be sanitized, `height` is in pixels.
pub fn figure(series: usize, of: &str, axis: &Axis, days: &[Day], height: u32) -> Markup {
    let objects_top = top(days);
    let moved_top = moved_top(days);
    let (bars_at, bottom) = (ABOVE + height + BETWEEN, ABOVE + height + BETWEEN + BARS as u32);
    let view = |height: u64| format!("-.5 0 {} {height}", axis.days());
    html! {
        figure.chart data-series=(series) data-of=(of) {
            div.plot {
                svg.scales role="img" aria-label={ (course(of, days)) ". " (churned(of, days)) } height=(bottom + BELOW) {
                    @for (n, y) in [(objects_top, ABOVE), (objects_top / 2, ABOVE + height / 2), (0, ABOVE + height)] {
                        line x2="100%" y1=(y) y2=(y) {}
                        text.y x="-8" y=(y + 4) { (compact(n)) }
                    }
                    line x2="100%" y1=(bars_at + BARS as u32 / 2) y2=(bars_at + BARS as u32 / 2) {}
                    text.y x="-8" y=(bars_at + 8) { "+" (compact(moved_top)) }
                    text.y x="-8" y=(bottom) { "\u{2212}" (compact(moved_top)) }
                    @for tick in axis.ticks() {
                        @let x = format!("{:.2}%", (tick.day as f64 + 0.5) * 100.0 / axis.days() as f64);
                        line.tick x1=(x) x2=(x) y1=(ABOVE) y2=(bottom) {}
                        text x=(x) y=(bottom + 15) { (tick.label) }
                    }
                    svg.course y=(ABOVE) height=(height) viewBox=(view(HEIGHT)) preserveAspectRatio="none" {
                        path.area d=(area(days, objects_top)) {}
                        (curve("objects", &line(days, objects_top, |day| day.objects)))
                        (curve("data", &line(days, objects_top, |day| day.with_data)))
                    }
                    svg.churn y=(bars_at) height=(BARS) viewBox=(view(BARS)) preserveAspectRatio="none" {
                        path.created d=(bars(days, moved_top, true)) {}
                        path.removed d=(bars(days, moved_top, false)) {}
                    }
                }
            }
        }
    }
}

/// The number at the top of the upper picture. The one in its middle is round, too.
fn top(days: &[Day]) -> u64 {
    let most = days.iter().filter_map(|day| day.objects).max().unwrap_or(0);
    round_up(most.div_ceil(2)).saturating_mul(2)
}

fn moved_top(days: &[Day]) -> u64 {
    let moved = days.iter().flat_map(|day| [day.created, day.removed]).flatten();
    round_up(moved.max().unwrap_or(0))
}

pub fn legend() -> Markup {
    html! {
        p.legend {
            span.key.objects { "objects" } " " span.key.data { "with data" } " "
            span.key.created { "created per day" } " " span.key.removed { "removed per day" }
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
        svg.spark aria-hidden="true" viewBox={ "-.5 0 " (days.len()) " " (HEIGHT) } preserveAspectRatio="none" {
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
pub fn numbers(of: &str, days: &[Day]) -> Markup {
    let cell = |n: Option<u64>| n.map_or_else(|| words::NONE.to_owned(), number);
    html! {
        details {
            summary { "Numbers by day" }
            table.days {
                caption { bdi { (of) } ", by day. Days on which nothing changed are left out." }
                thead {
                    tr {
                        th scope="col" { "Day" }
                        th scope="col" { "Objects" }
                        th scope="col" { "With data" }
                        th scope="col" { "Created" }
                        th scope="col" { "Removed" }
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

/// A path through the middle of each day, from the first recorded one. Heights are measured from the bottom. Relative
/// steps are shorter, and so is one `l` for all of them.
fn path(days: &[Day], height: impl Fn(&Day) -> Option<u64>) -> String {
    let mut path = String::new();
    let mut at = None;
    for (index, day) in days.iter().enumerate() {
        let Some(height) = height(day) else { continue };
        let y = HEIGHT as i64 - height as i64;
        // Writing to a string does not fail.
        let _ = match at {
            None => write!(path, "M{index} {y}"),
            Some(last) => {
                let step = if path.contains('l') { ' ' } else { 'l' };
                write!(path, "{step}{}", pair(1, y - last))
            }
        };
        at = Some(y);
    }
    path
}

fn line(days: &[Day], top: u64, count: impl Fn(&Day) -> Option<u64>) -> String {
    path(days, |day| count(day).map(|count| scaled(count, top, HEIGHT)))
}

fn area(days: &[Day], top: u64) -> String {
    let mut area = line(days, top, |day| day.objects);
    if let Some(first) = days.iter().position(|day| day.objects.is_some()) {
        let _ = write!(area, "V{HEIGHT}H{first}z");
    }
    area
}

/// Bars from the middle, up for created and down for removed objects; even one object is visible. They are strokes, as
/// these take less markup than outlines and their width can follow the page.
fn bars(days: &[Day], top: u64, up: bool) -> String {
    let mut bars = String::new();
    let mut last: Option<(i64, i64)> = None;
    for (day, x) in days.iter().zip(0_i64..) {
        let n = if up { day.created } else { day.removed }.unwrap_or(0);
        if n == 0 {
            continue;
        }
        let height = scaled(n, top, BARS / 2).max(1) as i64;
        let height = if up { -height } else { height };
        // From the end of the last bar to the middle.
        let _ = match last {
            None => write!(bars, "M{x} {}v{height}", BARS / 2),
            Some((before, reached)) => write!(bars, "m{}v{height}", pair(x - before, -reached)),
        };
        last = Some((x, height));
    }
    bars
}

/// Two numbers of a path: a sign separates them as well as a space.
fn pair(x: i64, y: i64) -> String {
    if y < 0 { format!("{x}{y}") } else { format!("{x} {y}") }
}

/// Describes the upper picture to screen readers.
fn course(of: &str, days: &[Day]) -> String {
    let recorded = || days.iter().filter(|day| day.objects.is_some());
    let (Some(first), Some(last)) = (recorded().next(), recorded().next_back()) else {
        return format!("{of}: nothing is recorded in these days");
    };
    let counts = |day: &Day| {
        let (objects, with_data) = (day.objects.unwrap_or(0), day.with_data.unwrap_or(0));
        format!(
            "{} with {} holding data on {}",
            words::objects(objects),
            number(with_data),
            day.date
        )
    };
    format!("{of}: from {} to {}", counts(first), counts(last))
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
