//! The locks by which programs share one server. Both are `flock`s, which the system drops when their holder ends in
//! any way at all, so a killed program leaves nothing behind that has to be cleaned up.

use std::fs::File;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::time::{Instant, sleep};

use super::error::Error;
use super::folder::DataFolder;

/// Longer than any start or stop that may hold the lock.
const PATIENCE: Duration = Duration::from_secs(150);
const POLL: Duration = Duration::from_millis(20);

/// The right to start and to stop the server. Whoever decides anything about the server holds it.
#[derive(Debug)]
pub(super) struct StartLock(File);

impl StartLock {
    /// Waits without a thread of its own, so that a program that is told to end does not have to wait for the lock.
    pub async fn take(folder: &DataFolder) -> Result<Self, Error> {
        let path = folder.start_lock();
        let lock = Self(folder.open_file(&path)?);
        let deadline = Instant::now() + PATIENCE;
        loop {
            match flock(&lock.0, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(lock),
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < deadline => sleep(POLL).await,
                Err(Errno::WOULDBLOCK) => {
                    return Err(Error::Busy {
                        folder: folder.path().to_owned(),
                        seconds: PATIENCE.as_secs(),
                    });
                }
                Err(e) => return Err(Error::io("lock", &path)(e.into())),
            }
        }
    }
}

impl Drop for StartLock {
    /// Closing the file would not do: a program that is just being spawned has a copy of it for an instant.
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// A place among the users of the server, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat(File);

impl Seat {
    pub fn take(folder: &DataFolder, _: &StartLock) -> Result<Self, Error> {
        let path = folder.users_lock();
        let seat = Self(folder.open_file(&path)?);
        // Nobody holds it alone but under the start lock, which is ours.
        flock(&seat.0, FlockOperation::NonBlockingLockShared).map_err(|e| Error::io("lock", &path)(e.into()))?;
        Ok(seat)
    }

    /// Whether nobody else uses the server. The seat is lost either way.
    pub fn was_last(self, folder: &DataFolder, _: &StartLock) -> Result<bool, Error> {
        match flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(e) => Err(Error::io("lock", &folder.users_lock())(e.into())),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}
