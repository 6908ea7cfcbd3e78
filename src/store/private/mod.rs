//! A PostgreSQL of the program's own, for those who configure none: the same SQL and the same schema, run from the
//! server programs on the machine, on a data folder of the user's, and reached by a socket in that folder alone.
//!
//! Programs that run at the same time share the server. The first that needs it starts it, the last to leave stops it,
//! and one that is killed leaves it to the next.

mod account;
mod cluster;
mod error;
mod folder;
mod log;
mod process;
mod programs;
mod server;
mod socket;
mod trust;
mod users;

use std::path::{Path, PathBuf};
use std::process::Child;

use sqlx::postgres::PgConnectOptions;

pub use error::Error;
use folder::DataFolder;
use programs::Programs;
pub(super) use programs::find_program;
use trust::is_trusted;
use users::{Seat, StartLock};

const DATABASE: &str = "durable_inventory";

/// What a user may say about the private server. Nothing has to be said.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--postgres-bin`: the only folder in which server programs are looked for.
    pub postgres_bin: Option<PathBuf>,
    /// `--postgres-user`: for root, who runs the server.
    pub postgres_user: Option<String>,
}

/// The running server, and our place among its users. Dropping it gives the place back and leaves the server to the
/// next program that joins; [`PrivateServer::leave`] is the proper end.
#[derive(Debug)]
pub struct PrivateServer {
    folder: DataFolder,
    programs: Programs,
    seat: Seat,
    /// The server's process, where we started it: it must be waited for when it ends.
    child: Option<Child>,
}

/// Whether there is a record in the data folder yet; looks, and creates nothing.
pub fn has_data(settings: &Settings) -> Result<bool, Error> {
    DataFolder::is_filled(settings)
}

impl PrivateServer {
    /// Starts the server, or joins those who use it already. Where there are no data yet, they are created.
    pub async fn join(settings: &Settings) -> Result<Self, Error> {
        let folder = DataFolder::open(settings)?;
        let lock = StartLock::take(&folder).await?;
        let data_major = cluster::major_version(&folder.cluster())?;
        let asked = settings.postgres_bin.as_deref();
        let programs = programs::find(asked, &folder.cluster(), data_major, &folder.runner)?;
        let seat = Seat::take(&folder, &lock)?;
        if data_major.is_none() {
            cluster::create(&folder, &programs, &lock).await?;
        }
        let child = server::start_or_share(&folder, &programs, &lock).await?;
        Ok(Self {
            folder,
            programs,
            seat,
            child,
        })
    }

    pub fn connect_options(&self) -> PgConnectOptions {
        server::connect_options(&self.folder)
    }

    /// The folder of the server's programs.
    pub fn bin_dir(&self) -> &Path {
        &self.programs.dir
    }

    /// The same, if the server's own psql is there too and nobody else may change it.
    pub fn psql_dir(&self) -> Option<&Path> {
        Some(self.bin_dir()).filter(|dir| is_trusted(&dir.join("psql")))
    }

    /// The data folder, for messages.
    pub fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    /// Gives our place back. The last to leave stops the server, and waits until everything is on disk.
    pub async fn leave(self) -> Result<(), Error> {
        let lock = StartLock::take(&self.folder).await?;
        if self.seat.was_last(&self.folder, &lock)? {
            server::stop(&self.folder, self.child, &lock).await?;
        }
        Ok(())
    }
}
