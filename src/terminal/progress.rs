//! Progress of a sync: bars on a terminal, otherwise a log line every few seconds.

mod bars;
mod estimate;

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use console::Term;
use durable_inventory::cli::{GlobalArgs, LogFormat};
use durable_inventory::sync::Progress;
use durable_inventory::text::shown;
use indicatif::{MultiProgress, ProgressDrawTarget, TermLike};
use tokio::task::JoinHandle;
use tracing::info;
use tracing_subscriber::fmt::MakeWriter;

/// The upper limit, as in indicatif's own targets.
const REDRAWS_A_SECOND: u8 = 20;
const LOG_LINE: Duration = Duration::from_secs(5);

/// stderr, shared by log lines and bars, so that neither tears the other.
#[derive(Clone)]
pub struct Screen {
    bars: MultiProgress,
    /// Known from the first walk on, for the names in the log lines.
    progress: Arc<OnceLock<Arc<Progress>>>,
}

impl Default for Screen {
    fn default() -> Self {
        let stderr = ProgressDrawTarget::stderr();
        let target = match stderr.is_hidden() {
            true => stderr,
            false => ProgressDrawTarget::term_like_with_hz(Box::new(Display::default()), REDRAWS_A_SECOND),
        };
        Self {
            bars: MultiProgress::with_draw_target(target),
            progress: Arc::default(),
        }
    }
}

impl Screen {
    pub fn is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// The namespaces that the run has begun to walk: ids and names.
    pub fn names(&self) -> Vec<(String, String)> {
        let walks = self.progress.get().map(|progress| progress.walks()).unwrap_or_default();
        let names = walks
            .iter()
            .map(|walk| (walk.namespace_id.to_string(), shown(&walk.label)));
        names.collect()
    }

    /// Shows the walks until [`Shown::end`].
    pub fn show(&self, progress: Arc<Progress>, global: &GlobalArgs) -> Shown {
        if global.quiet {
            return Shown {
                task: None,
                screen: self.clone(),
            };
        }
        let _first = self.progress.set(progress.clone());
        let task = if self.is_terminal() && global.log_format == LogFormat::Text {
            tokio::spawn(bars::draw(self.bars.clone(), progress))
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
        let _lost = self.bars.suspend(|| io::stderr().write_all(bytes));
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

/// The running display.
pub struct Shown {
    task: Option<JoinHandle<()>>,
    screen: Screen,
}

impl Shown {
    pub fn end(self) {
        if let Some(task) = self.task {
            task.abort();
        }
        let _gone = self.screen.bars.clear();
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
                name = shown(&walk.label),
                objects = walk.objects(),
                pages = walk.pages(),
                "walking, {:.0}% done",
                walk.fraction() * 100.0
            );
        }
    }
}
