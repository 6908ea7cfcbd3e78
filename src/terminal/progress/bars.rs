//! Bars on a terminal: one for each namespace that is being read, and a line for the whole run below them.

use std::sync::Arc;
use std::time::Duration;

use durable_inventory::sync::Progress;
use durable_inventory::text::shown;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::estimate::{Estimate, duration, short};
use crate::terminal::look::{Look, USUAL_WIDTH};
use crate::terminal::shorten::{shortened, width};

const REDRAW: Duration = Duration::from_millis(200);
/// The columns of the figures at a bar's right.
const FIGURES: usize = 28;
/// A bar's brackets, and a space on either side.
const AROUND_A_BAR: usize = 4;

/// A namespace that is being read.
struct Bar {
    label: String,
    /// 0 to 1.
    fraction: f64,
    objects: u64,
    /// Objects per second.
    rate: f64,
}

/// Draws until it is dropped.
pub async fn draw(screen: MultiProgress, progress: Arc<Progress>) {
    // All lines are the message of one bar, so that they are drawn at once.
    let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let drawn = screen.add(ProgressBar::new_spinner().with_style(style));
    let mut estimate = Estimate::default();
    let mut ticks = tokio::time::interval(REDRAW);
    loop {
        ticks.tick().await;
        let walks = progress.walks();
        let total = estimate.update(&progress.planned(), &walks);
        let active = walks.iter().enumerate().filter(|(_, walk)| !walk.has_ended());
        let bars = active.map(|(index, walk)| Bar {
            label: shown(&walk.label),
            fraction: walk.fraction(),
            objects: walk.objects(),
            rate: estimate.rate(index, walk),
        });
        let (rows, look) = (console::Term::stderr().size().0, Look::stderr());
        // A terminal that went away has none.
        let columns = look.width.unwrap_or(USUAL_WIDTH);
        // One line for the total, and one for the cursor.
        let bars = bars.take(usize::from(rows).saturating_sub(2)).collect();
        let mut text = lines(bars, columns, &look);
        text.push(total.line(columns));
        drawn.set_message(text.join("\n"));
    }
}

/// One line for each bar, as wide as the terminal.
fn lines(bars: Vec<Bar>, columns: usize, look: &Look) -> Vec<String> {
    let labels: Vec<String> = bars.iter().map(|bar| bar.label.clone()).collect();
    // A third of what the figures leave is for the bar.
    let labels = shortened(
        &labels,
        columns.saturating_sub(FIGURES + AROUND_A_BAR) / 3 * 2,
        look.ellipsis(),
    );
    let widest = labels.iter().map(|label| width(label)).max().unwrap_or(0);
    let steps = columns.saturating_sub(widest + AROUND_A_BAR + FIGURES);
    let [full, empty] = if look.unicode { ["█", "░"] } else { ["#", "-"] };
    let line = |(bar, label): (Bar, String)| {
        let done = ((bar.fraction * steps as f64) as usize).min(steps);
        format!(
            "{label}{} [{}{}] {}",
            " ".repeat(widest - width(&label)),
            full.repeat(done),
            empty.repeat(steps - done),
            bar.figures()
        )
    };
    bars.into_iter().zip(labels).map(line).collect()
}

impl Bar {
    /// Percentage, objects, objects per second and time left, in columns of their own.
    fn figures(&self) -> String {
        let Self {
            fraction,
            objects,
            rate,
            ..
        } = *self;
        let left = (fraction > 0.0 && rate > 0.0).then(|| objects as f64 * (1.0 / fraction - 1.0) / rate);
        format!(
            "{:>3.0}%  {:>5}  {:>7}  {:>6}",
            fraction * 100.0,
            short(objects),
            format!("{}/s", short(rate as u64)),
            left.map(duration).unwrap_or_default()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_wide_as_the_terminal_and_their_names_differ() {
        let bars = || {
            let stages = ["production", "staging"].into_iter().zip([0.5, 0.25]);
            let mut bars: Vec<_> = stages
                .map(|(stage, fraction)| Bar {
                    label: format!("collab-editor-{stage}_DocumentRoomDurableObject"),
                    fraction,
                    objects: 60_000,
                    rate: 10_000.0,
                })
                .collect();
            bars[1].rate = 0.0;
            bars
        };
        let mut look = Look {
            width: None,
            colours: false,
            unicode: true,
        };
        assert_eq!(
            lines(bars(), 60, &look),
            [
                "colla…production_… [█████░░░░░]  50%    60k    10k/s      6s",
                "colla…staging_Doc… [██░░░░░░░░]  25%    60k      0/s        ",
            ]
        );
        look.unicode = false;
        for columns in 50..250 {
            let lines = lines(bars(), columns, &look);
            assert!(
                lines.iter().all(|line| line.is_ascii() && line.len() == columns),
                "{lines:#?}"
            );
        }
        assert!(lines(Vec::new(), 80, &look).is_empty());
    }
}
