//! How far a sync is: bars where a person looks, a log line every few seconds where none does.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use console::Term;
use durable_inventory::cli::{GlobalArgs, LogFormat};
use durable_inventory::sync::{Progress, WalkProgress};
use durable_inventory::text::shown;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use tokio::task::JoinHandle;
use tracing::info;
use tracing_subscriber::fmt::MakeWriter;

use super::table::number;

/// The upper limit, as in indicatif's own targets.
const REDRAWS_A_SECOND: u8 = 20;
const REDRAW: Duration = Duration::from_millis(200);
const LOG_LINE: Duration = Duration::from_secs(5);
/// A bar's length: a fraction of the id space, not a number of objects.
const STEPS: u64 = 10_000;

/// stderr, shared by log lines and bars, so that neither tears the other.
#[derive(Clone)]
pub struct Screen(MultiProgress);

impl Default for Screen {
    fn default() -> Self {
        let stderr = ProgressDrawTarget::stderr();
        let target = match stderr.is_hidden() {
            true => stderr,
            false => ProgressDrawTarget::term_like_with_hz(Box::new(Display::default()), REDRAWS_A_SECOND),
        };
        Self(MultiProgress::with_draw_target(target))
    }
}

impl Screen {
    pub fn is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Shows the walks until the returned value is told to end.
    pub fn show(&self, progress: Arc<Progress>, global: &GlobalArgs) -> Shown {
        if global.quiet {
            return Shown {
                task: None,
                screen: self.clone(),
            };
        }
        let task = if self.is_terminal() && global.log_format == LogFormat::Text {
            tokio::spawn(draw(self.0.clone(), progress))
        } else {
            tokio::spawn(log(progress))
        };
        Shown {
            task: Some(task),
            screen: self.clone(),
        }
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Writing never fails: tracing would report the failure on stderr, and panic because that fails too.
impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _lost = self.0.suspend(|| io::stderr().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The terminal on stderr, as something to draw on that never fails: after the first error nothing more is drawn.
/// indicatif panics when drawing fails, and a run has to survive its display.
#[derive(Debug)]
struct Display {
    terminal: Term,
    gone: AtomicBool,
}

impl Default for Display {
    fn default() -> Self {
        Self {
            terminal: Term::buffered_stderr(),
            gone: AtomicBool::new(false),
        }
    }
}

impl Display {
    fn draw(&self, drawn: impl FnOnce(&Term) -> io::Result<()>) -> io::Result<()> {
        // `Term` keeps what it could not write, so its buffer would grow with every later drawing.
        if !self.gone.load(Ordering::Relaxed) && drawn(&self.terminal).is_err() {
            self.gone.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl TermLike for Display {
    fn width(&self) -> u16 {
        self.terminal.size().1
    }

    fn height(&self) -> u16 {
        self.terminal.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.draw(|terminal| terminal.move_cursor_up(n))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.draw(|terminal| terminal.move_cursor_down(n))
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.draw(|terminal| terminal.move_cursor_right(n))
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.draw(|terminal| terminal.move_cursor_left(n))
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.draw(|terminal| terminal.write_line(line))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.draw(|terminal| terminal.write_str(text))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.draw(Term::clear_line)
    }

    fn flush(&self) -> io::Result<()> {
        self.draw(Term::flush)
    }
}

/// The display at work.
pub struct Shown {
    task: Option<JoinHandle<()>>,
    screen: Screen,
}

impl Shown {
    pub fn end(self) {
        if let Some(task) = self.task {
            task.abort();
        }
        let _gone = self.screen.0.clear();
    }
}

async fn draw(bars: MultiProgress, progress: Arc<Progress>) {
    let style = ProgressStyle::with_template("{prefix:>24!} [{bar:30}] {percent:>3} %  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let mut shown: HashMap<usize, (ProgressBar, Instant, u64)> = HashMap::new();
    let mut ticks = tokio::time::interval(REDRAW);
    loop {
        ticks.tick().await;
        for (index, walk) in progress.walks().iter().enumerate() {
            let (bar, begun, objects_at_begin) = shown.entry(index).or_insert_with(|| {
                let bar = bars.add(ProgressBar::new(STEPS).with_style(style.clone()));
                bar.set_prefix(shown_label(walk));
                (bar, Instant::now(), walk.objects())
            });
            if walk.has_ended() {
                bar.finish_and_clear();
                continue;
            }
            bar.set_position((walk.fraction() * STEPS as f64) as u64);
            let rate =
                walk.objects().saturating_sub(*objects_at_begin) as f64 / begun.elapsed().as_secs_f64().max(0.001);
            bar.set_message(message(walk, rate));
        }
    }
}

fn message(walk: &WalkProgress, rate: f64) -> String {
    let objects = walk.objects();
    let fraction = walk.fraction();
    let left = (fraction > 0.0 && rate > 0.0).then(|| objects as f64 * (1.0 / fraction - 1.0) / rate);
    let eta = left.map_or_else(String::new, |seconds| format!(", {} left", duration(seconds)));
    format!("{} objects, {}/s{eta}", number(objects), number(rate as u64))
}

fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

async fn log(progress: Arc<Progress>) {
    let mut ticks = tokio::time::interval(LOG_LINE);
    ticks.tick().await; // the first is at once
    loop {
        ticks.tick().await;
        for walk in progress.walks().iter().filter(|walk| !walk.has_ended()) {
            info!(
                namespace = %walk.namespace_id,
                objects = walk.objects(),
                pages = walk.pages(),
                "walking, {:.0} % done",
                walk.fraction() * 100.0
            );
        }
    }
}

fn shown_label(walk: &WalkProgress) -> String {
    shown(&walk.label)
}
