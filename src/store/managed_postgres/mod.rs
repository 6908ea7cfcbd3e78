//! The PostgreSQL that the program manages itself when no database is configured: the same SQL and the same schema, run
//! from the machine's server programs on a data directory of the user's, and reachable only by a socket in it.
//!
//! Programs that run at the same time share the server. The first one starts it and the last one stops it; if that one
//! is killed, the server keeps running for the next.

mod binaries;
mod bundled;
mod client_lock;
mod data_dir;
mod error;
mod initdb;
mod log;
mod os_user;
mod postmaster;
mod process;
mod server;
mod socket;
mod trust;

use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;

pub(super) use binaries::find_program;
use client_lock::{ClientLock, StartLock};
use data_dir::DataDir;
pub use error::Error;
pub use process::ProcessHandle;
use trust::is_trusted;

const DATABASE: &str = "durable_inventory";

/// What a user may configure. Everything has a default.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--postgres-bin`: the only folder in which server programs are looked for.
    pub postgres_bin: Option<PathBuf>,
    /// `--postgres-user`: the user that runs the server if this program runs as root.
    pub postgres_user: Option<String>,
    /// The folder of the PostgreSQL that a package of this program brings along. It is used if the machine has none.
    pub bundled_postgres: Option<PathBuf>,
}

/// The running server, and this program's lock as one of its clients. Dropping it releases the lock without stopping
/// the server; call [`ManagedServer::leave`] instead.
#[derive(Debug)]
pub struct ManagedServer {
    client_lock: ClientLock,
    process: ProcessHandle,
}

/// Whether the data directory holds a record yet. Creates nothing.
pub fn has_data(settings: &Settings) -> Result<bool, Error> {
    DataDir::has_cluster(settings)
}

impl ManagedServer {
    /// Starts the server, or joins the programs that use it already. Creates the data directory if there is none.
    pub async fn join(settings: &Settings) -> Result<Self, Error> {
        let data_dir = DataDir::open(settings)?;
        let lock = StartLock::take(&data_dir).await?;
        let data_major = initdb::major_version(&data_dir.cluster())?;
        let binaries = binaries::find(settings, &data_dir, data_major, &lock).await?;
        let client_lock = ClientLock::take(&data_dir, &lock)?;
        if data_major.is_none() {
            initdb::create_cluster(&data_dir, &binaries, &lock).await?;
        }
        let child = server::start_or_share(&data_dir, &binaries, &lock).await?;
        Ok(Self {
            client_lock,
            process: ProcessHandle::new(data_dir, binaries, child),
        })
    }

    pub fn connect_options(&self) -> PgConnectOptions {
        server::connect_options(self.process.data_dir())
    }

    /// The server's process, to notice its end and to start it again.
    pub fn process(&self) -> ProcessHandle {
        self.process.clone()
    }

    /// The folder of the server's programs.
    pub fn bin_dir(&self) -> &Path {
        self.process.bin_dir()
    }

    /// The folder of the server's programs, if it holds a psql that nobody else may change.
    pub fn psql_dir(&self) -> Option<&Path> {
        Some(self.bin_dir()).filter(|dir| is_trusted(&dir.join("psql")))
    }

    /// The data directory, for messages.
    pub fn data_dir(&self) -> &Path {
        self.process.data_dir().path()
    }

    /// Releases the client lock. The last client stops the server, and waits until everything is on disk.
    pub async fn leave(self) -> Result<(), Error> {
        let data_dir = self.process.data_dir();
        let lock = StartLock::take(data_dir).await?;
        if self.client_lock.was_last(data_dir, &lock)? {
            self.process.stop(&lock).await?;
        }
        Ok(())
    }
}
