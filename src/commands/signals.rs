//! The signals that ask the program to stop: SIGINT, SIGTERM, and SIGHUP when its terminal goes away.

use std::io;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::terminal::Failure;

/// Signals within this time of the first are the same request to stop: `timeout` signals its child, and then the
/// child's whole group.
const ONE_STOP: Duration = Duration::from_millis(50);

pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` if SIGHUP is ignored, as under nohup: the program is to outlive its terminal.
    hangup: Option<Signal>,
}

impl Signals {
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: match outlives_its_terminal() {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    /// Waits for the next of them.
    pub async fn next(&mut self) -> SignalKind {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = hangup => SignalKind::hangup(),
        }
    }
}

/// Returns a token that the next signal cancels. A later SIGINT or SIGTERM ends the process at once.
pub fn stopped() -> Result<CancellationToken, Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::new(error, 1))?;
    let stopped = CancellationToken::new();
    let first = stopped.clone();
    tokio::spawn(async move {
        let mut asked: Option<Instant> = None;
        loop {
            let signal = signals.next().await;
            first.cancel();
            // When a terminal goes away, the shell and the kernel each send SIGHUP.
            if signal == SignalKind::hangup() {
                continue;
            }
            if asked.get_or_insert_with(Instant::now).elapsed() > ONE_STOP {
                end_at_once();
            }
        }
    });
    Ok(stopped)
}

#[expect(clippy::exit, reason = "a person asked twice; what was committed is kept")]
fn end_at_once() {
    std::process::exit(130);
}

/// Whether SIGHUP is ignored, or the system does not say. It is then left alone.
fn outlives_its_terminal() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return true;
    };
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_none_or(|mask| mask & 1 << (SignalKind::hangup().as_raw_value() - 1) != 0)
}
