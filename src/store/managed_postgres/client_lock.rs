//! The locks by which programs share one server. Both are `flock`s, which the system releases however their holder
//! ends, so a killed program leaves nothing to clean up.

use std::fs::File;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::time::{Instant, sleep};

use super::data_dir::DataDir;
use super::error::Error;

/// Longer than any start or stop that may hold the lock.
const TIMEOUT: Duration = Duration::from_secs(150);
const POLL: Duration = Duration::from_millis(20);

/// The lock under which the server is started and stopped, and client locks are taken and counted.
#[derive(Debug)]
pub(super) struct StartLock(File);

impl StartLock {
    /// Polls instead of blocking a thread, so that a shutdown does not wait for the lock.
    pub async fn take(data_dir: &DataDir) -> Result<Self, Error> {
        let path = data_dir.start_lock();
        let lock = Self(data_dir.open_file(&path)?);
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match flock(&lock.0, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(lock),
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < deadline => sleep(POLL).await,
                Err(Errno::WOULDBLOCK) => {
                    return Err(Error::Busy {
                        folder: data_dir.path().to_owned(),
                        seconds: TIMEOUT.as_secs(),
                    });
                }
                Err(e) => return Err(Error::io("lock", &path)(e.into())),
            }
        }
    }
}

impl Drop for StartLock {
    /// Closing the file is not enough: a child that is being spawned holds a copy of it until its exec.
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// A shared lock held by each client of the server, and released on drop.
#[derive(Debug)]
pub(super) struct ClientLock(File);

impl ClientLock {
    pub fn take(data_dir: &DataDir, _: &StartLock) -> Result<Self, Error> {
        let path = data_dir.users_lock();
        let client = Self(data_dir.open_file(&path)?);
        // It is held exclusively only under the start lock, which this program holds.
        flock(&client.0, FlockOperation::NonBlockingLockShared).map_err(|e| Error::io("lock", &path)(e.into()))?;
        Ok(client)
    }

    /// Releases the lock. Returns whether the server has no other client.
    pub fn was_last(self, data_dir: &DataDir, _: &StartLock) -> Result<bool, Error> {
        match flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(e) => Err(Error::io("lock", &data_dir.users_lock())(e.into())),
        }
    }
}

impl Drop for ClientLock {
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}
