//! Why the managed server can't be used. Each message is one line: what happened, to which folder or program, and what
//! to do next. Causes are in the source chain.

use std::io;
use std::path::{Path, PathBuf};

use super::binaries::MINIMUM_MAJOR;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("could not {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    #[error("no home folder to keep data in: set HOME, or name a folder with --data-dir")]
    NoHome,

    #[error("{} is not a folder: name another with --data-dir", .0.display())]
    NotAFolder(PathBuf),

    #[error("{} contains other files: name an empty or new folder with --data-dir", .0.display())]
    NotADataFolder(PathBuf),

    #[error("{} belongs to {owner}, not to you: run as that user, or name another folder with --data-dir", path.display())]
    NotOurs { path: PathBuf, owner: String },

    #[error("--postgres-user {0} needs root: without it, the server runs as you")]
    UserNeedsRoot(String),

    #[error("the user {0} does not exist on this system: name another with --postgres-user")]
    NoSuchUser(String),

    #[error(
        "PostgreSQL refuses to run as root, and neither the user postgres nor the user nobody exists: name another with \
         --postgres-user, or create one with useradd"
    )]
    NoUserForServer,

    #[error("PostgreSQL refuses to run as root, and {0} is root: name another user with --postgres-user")]
    UserIsRoot(String),

    #[error(
        "{} belongs to user id {owner}, which does not exist on this system: change the folder's owner to an existing \
         user",
        path.display()
    )]
    OwnerWithoutAccount { path: PathBuf, owner: u32 },

    #[error(
        "{} belongs to {owner}, who must run the server, but --postgres-user is {asked}: remove that option, or name \
         another folder with --data-dir",
        path.display()
    )]
    UserIsNotOwner {
        path: PathBuf,
        owner: String,
        asked: String,
    },

    #[error(
        "user {user}, who runs the server, can't enter {}: name a folder elsewhere with --data-dir, or allow it with chmod o+x",
        parent.display()
    )]
    Unreachable { user: String, parent: PathBuf },

    #[error(
        "could not run a program as user {user}: run as that user, or set DATABASE_URL to a PostgreSQL that runs elsewhere"
    )]
    CannotBecome { user: String, source: io::Error },

    #[error(
        "{} is in the way of the server's socket: remove it, or name a data folder with a shorter path with --data-dir",
        .0.display()
    )]
    SocketFolderTaken(PathBuf),

    #[error(
        "found no PostgreSQL server programs (postgres and initdb) {}: install PostgreSQL {MINIMUM_MAJOR} or later \
         (Debian and Ubuntu: apt install postgresql; Fedora: dnf install postgresql-server; Alpine: apk add postgresql; \
         Homebrew: brew install postgresql), name their folder with --postgres-bin, or set DATABASE_URL to a PostgreSQL that runs elsewhere",
        searched(asked.as_deref())
    )]
    NoPrograms { asked: Option<PathBuf> },

    #[error(
        "did not run the PostgreSQL in {}: a user other than you and root may change {}; install PostgreSQL as root, \
         or \
         name this folder with --postgres-bin if you trust that user",
        dir.display(), step.display()
    )]
    Untrusted { dir: PathBuf, step: PathBuf },

    #[error("{} is not readable as a part of PostgreSQL's package: install durable-inventory again", path.display())]
    DamagedPackage { path: PathBuf },

    #[error(
        "could not run {} as user {user}: name programs that this user can run with --postgres-bin, or set DATABASE_URL to a PostgreSQL that runs elsewhere",
        program.display()
    )]
    NotRunnable {
        program: PathBuf,
        user: String,
        source: io::Error,
    },

    #[error("{} --version printed no version: name the folder of another PostgreSQL with --postgres-bin", .0.display())]
    NoVersion(PathBuf),

    #[error(
        "the newest PostgreSQL found is {found}, in {}, but {MINIMUM_MAJOR} or later is required: install a later \
         one, or set DATABASE_URL to a PostgreSQL that runs elsewhere",
        dir.display()
    )]
    TooOld { found: u32, dir: PathBuf },

    #[error(
        "the data in {} was written by PostgreSQL {data}, but {MINIMUM_MAJOR} or later is required: upgrade it with \
         pg_upgrade, or move the folder away to start over",
        cluster.display()
    )]
    DataTooOld { cluster: PathBuf, data: u32 },

    #[error(
        "the data in {} was written by PostgreSQL {data}, but the server programs found are {found}, in {}: install PostgreSQL \
         {data}, or upgrade the data to {found} with pg_upgrade (docs/operations.md has the commands), or move the folder \
         away to start over",
        cluster.display(), dir.display()
    )]
    OtherMajor {
        cluster: PathBuf,
        data: u32,
        found: u32,
        dir: PathBuf,
    },

    #[error(
        "{} has no readable PG_VERSION, so it is not PostgreSQL data: restore it from a backup, or move it away to \
         start over",
        .0.display()
    )]
    DamagedCluster(PathBuf),

    #[error("initdb could not create a database in {}: {said}", folder.display())]
    Initdb { folder: PathBuf, said: String },

    #[error("the private PostgreSQL in {} did not start: {said}; its log is {}", folder.display(), log.display())]
    DidNotStart {
        folder: PathBuf,
        log: PathBuf,
        said: String,
    },

    #[error(
        "the private PostgreSQL in {} is running but did not respond in {seconds} s and is still starting: retry \
         later, and see its log, {}",
        folder.display(), log.display()
    )]
    NoAnswer {
        folder: PathBuf,
        log: PathBuf,
        seconds: u64,
        source: Option<sqlx::Error>,
    },

    #[error(
        "the private PostgreSQL in {} has not stopped after {seconds} s and is still stopping: see its log, {}",
        folder.display(), log.display()
    )]
    NotStopped {
        folder: PathBuf,
        log: PathBuf,
        seconds: u64,
    },

    #[error(
        "waited {seconds} s for another program that is starting or stopping the private PostgreSQL in {}: retry later",
        folder.display()
    )]
    Busy { folder: PathBuf, seconds: u64 },

    #[error(
        "the private PostgreSQL in {} stopped again after a restart: {said}; its log is {}",
        folder.display(), log.display()
    )]
    EndedAgain {
        folder: PathBuf,
        log: PathBuf,
        said: String,
    },

    /// The same server was found dead before, and starting it failed: with that message.
    #[error("{why}")]
    NotRestarted { why: String },

    #[error("could not create the database in the private PostgreSQL in {}", folder.display())]
    CreateDatabase { folder: PathBuf, source: sqlx::Error },
}

impl Error {
    /// Whether an option or a variable can mend it.
    pub const fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::NoHome | Self::UserNeedsRoot(_) | Self::NoSuchUser(_) | Self::NoUserForServer | Self::UserIsRoot(_)
        )
    }

    /// Converts an I/O error, with the action and the path: `.map_err(Error::io("open", path))`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

fn searched(asked: Option<&Path>) -> String {
    match asked {
        Some(dir) => format!("in {}", dir.display()),
        None => "on PATH or in the usual folders".to_owned(),
    }
}
