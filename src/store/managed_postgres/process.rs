//! The server's process while this program uses it: noticing that it ended, and starting it again once.

use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::sleep;

use super::binaries::Binaries;
use super::client_lock::StartLock;
use super::data_dir::DataDir;
use super::error::Error;
use super::log;
use super::server;

/// How often a waiting program looks for the process. A server that runs is never without one. Elsewhere than on Linux,
/// a look runs `ps`.
const POLL: Duration = Duration::from_millis(if cfg!(target_os = "linux") { 500 } else { 2_000 });

/// The process of a managed server. Its clones share one attempt to start the server again.
#[derive(Debug, Clone)]
pub struct ProcessHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    data_dir: DataDir,
    binaries: Binaries,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The server's process if this program started it: it must be waited for when it ends.
    child: Option<Child>,
    /// Byte offset in the log at which the current process begins.
    log_begin: u64,
    restart: Restart,
}

#[derive(Debug)]
enum Restart {
    Unused,
    Used,
    /// What every later call returns, too.
    Failed(String),
}

impl ProcessHandle {
    pub(super) fn new(data_dir: DataDir, binaries: Binaries, child: Option<Child>) -> Self {
        let log_begin = log::length(&data_dir);
        Self(Arc::new(Shared {
            data_dir,
            binaries,
            state: Mutex::new(State {
                child,
                log_begin,
                restart: Restart::Unused,
            }),
        }))
    }

    pub(super) fn data_dir(&self) -> &DataDir {
        &self.0.data_dir
    }

    pub(super) fn bin_dir(&self) -> &Path {
        &self.0.binaries.dir
    }

    /// Waits until the server has no process any more. One that is starting, recovering or stopping has one.
    pub async fn ended(&self) {
        while !server::has_ended(self.data_dir()) {
            sleep(POLL).await;
        }
    }

    /// Starts the server again if it has ended, for the first time only. Another program that uses the server may have
    /// been faster. An error is final: waiting does not bring the server back.
    pub async fn restart_once(&self) -> Result<(), Error> {
        let mut state = self.0.state.lock().await;
        if let Restart::Failed(why) = &state.restart {
            return Err(Error::NotRestarted { why: why.clone() });
        }
        if !server::has_ended(self.data_dir()) {
            return Ok(());
        }
        let restarted = self.try_restart(&mut state).await;
        if let Err(error) = &restarted {
            state.restart = Restart::Failed(crate::text::chain(error));
        }
        restarted
    }

    async fn try_restart(&self, state: &mut State) -> Result<(), Error> {
        let reason = log::last_fatal(self.data_dir(), state.log_begin);
        let reason = reason.unwrap_or_else(|| "its log gives no reason".to_owned());
        if let Restart::Used = state.restart {
            return Err(Error::EndedAgain {
                folder: self.data_dir().path().to_owned(),
                log: self.data_dir().log(),
                said: reason,
            });
        }
        tracing::warn!(
            "the private PostgreSQL in {} stopped: {reason}; restarting it; its log is {}",
            self.data_dir().path().display(),
            self.data_dir().log().display()
        );
        state.restart = Restart::Used;
        let lock = StartLock::take(self.data_dir()).await?;
        if let Some(child) = &mut state.child {
            server::reap(self.data_dir(), child)?;
        }
        state.log_begin = log::length(self.data_dir());
        let child = server::start_or_share(self.data_dir(), &self.0.binaries, &lock).await?;
        state.child = child.or(state.child.take());
        Ok(())
    }

    pub(super) async fn stop(&self, lock: &StartLock) -> Result<(), Error> {
        let child = self.0.state.lock().await.child.take();
        server::stop(self.data_dir(), child, lock).await
    }
}
