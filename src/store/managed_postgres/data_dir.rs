//! The data directory: its place, its owner and its layout. Its owner runs the server, and nobody else can enter it.
//!
//! ```text
//! postgres/     the cluster: all committed data
//! programs/     server programs that came with a package: see `bundled.rs`
//! run/          the server's socket, unless its path would be too long
//! server.log    the server's log
//! start.lock    held to start or stop the server
//! users.lock    held, shared, by each program that uses the server
//! ```

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::Settings;
use super::error::Error;
use super::os_user::{OsUser, RunAs, name_of};
use super::socket;

const OWN_NAME: &str = "durable-inventory";

#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    pub run_as: RunAs,
}

impl DataDir {
    /// Whether the directory holds a cluster.
    pub fn has_cluster(settings: &Settings) -> Result<bool, Error> {
        let path = asked_path(settings, rustix::process::geteuid().is_root())?;
        Ok(path.join("postgres").join("PG_VERSION").exists())
    }

    /// Finds the directory, creates it if it is missing, and makes sure that only the user that runs the server can use
    /// it.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let root = rustix::process::geteuid().is_root();
        let asked = asked_path(settings, root)?;
        let run_as = choose_user(root, owner_of(&asked)?, &asked, settings.postgres_user.as_deref())?;
        check_parents(&asked, &run_as)?;
        create(&asked, &run_as)?;
        // Binaries that name one folder in two ways must agree on the place of its socket.
        let path = fs::canonicalize(&asked).map_err(Error::io("find", &asked))?;
        check_content(&path)?;
        give_to(&path, &run_as)?;
        Ok(Self { path, run_as })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn cluster(&self) -> PathBuf {
        self.path.join("postgres")
    }

    pub fn programs(&self) -> PathBuf {
        self.path.join("programs")
    }

    pub fn log(&self) -> PathBuf {
        self.path.join("server.log")
    }

    pub fn start_lock(&self) -> PathBuf {
        self.path.join("start.lock")
    }

    pub fn users_lock(&self) -> PathBuf {
        self.path.join("users.lock")
    }

    /// The folder of the server's socket.
    pub fn socket(&self) -> PathBuf {
        socket::folder_for(&self.path)
    }

    /// Creates the socket's folder. If it exists, makes sure that it is the server's own: it may lie in a folder that
    /// everyone can write to.
    pub fn prepare_socket(&self) -> Result<(), Error> {
        let socket = self.socket();
        create_closed(&socket)?;
        let meta = fs::symlink_metadata(&socket).map_err(Error::io("read", &socket))?;
        let ours = [self.run_as.uid(), rustix::process::geteuid().as_raw()].contains(&meta.uid());
        if !meta.is_dir() || !ours {
            return Err(Error::SocketFolderTaken(socket));
        }
        give_to(&socket, &self.run_as)
    }

    /// Opens a file of this directory for appending, and creates it if it is missing. The file is given to the
    /// directory's owner, who can then use the directory without root. Links are not followed: root must not write
    /// elsewhere.
    pub fn open_file(&self, path: &Path) -> Result<File, Error> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .map_err(Error::io("open", path))?;
        if let RunAs::User(user) = &self.run_as {
            fchown(&file, Some(user.uid), Some(user.gid)).map_err(Error::io("change the owner of", path))?;
        }
        Ok(file)
    }
}

/// The configured directory; by default a system directory for root, and one in the home by the XDG base directory
/// specification for everyone else.
fn asked_path(settings: &Settings, root: bool) -> Result<PathBuf, Error> {
    let asked = match &settings.data_dir {
        Some(dir) => dir.clone(),
        None => default_path(root, env::var_os("XDG_DATA_HOME"), env::var_os("HOME"))?,
    };
    std::path::absolute(&asked).map_err(Error::io("find", &asked))
}

fn default_path(root: bool, xdg: Option<OsString>, home: Option<OsString>) -> Result<PathBuf, Error> {
    if root {
        return Ok(Path::new("/var/lib").join(OWN_NAME));
    }
    // The specification demands that relative paths are ignored.
    let absolute = |dir: Option<OsString>| dir.map(PathBuf::from).filter(|d| d.is_absolute());
    absolute(xdg)
        .or_else(|| absolute(home).map(|home| home.join(".local/share")))
        .map(|base| base.join(OWN_NAME))
        .ok_or(Error::NoHome)
}

/// The owner of a folder, or `None` if there is no such folder.
fn owner_of(path: &Path) -> Result<Option<u32>, Error> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(Some(meta.uid())),
        Ok(_) => Err(Error::NotAFolder(path.to_owned())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

fn choose_user(root: bool, owner: Option<u32>, path: &Path, asked: Option<&str>) -> Result<RunAs, Error> {
    if root {
        return user_for_root(owner, path, asked).map(RunAs::User);
    }
    let own = rustix::process::geteuid().as_raw();
    if let Some(name) = asked
        && OsUser::by_name(name).is_none_or(|user| user.uid != own)
    {
        return Err(Error::UserNeedsRoot(name.to_owned()));
    }
    match owner {
        Some(owner) if owner != own => Err(Error::NotOurs {
            path: path.to_owned(),
            owner: name_of(owner),
        }),
        _ => Ok(RunAs::Ourselves),
    }
}

/// The user that runs the server for root. A directory that belongs to another user than root keeps its owner.
fn user_for_root(owner: Option<u32>, path: &Path, asked: Option<&str>) -> Result<OsUser, Error> {
    let by_name = |name: &str| OsUser::by_name(name).ok_or_else(|| Error::NoSuchUser(name.to_owned()));
    let asked = asked.map(by_name).transpose()?;
    let Some(owner) = owner.filter(|uid| *uid != 0) else {
        let user = match asked {
            Some(user) => user,
            None => user_without_choice()?,
        };
        return if user.uid == 0 {
            Err(Error::UserIsRoot(user.name))
        } else {
            Ok(user)
        };
    };
    match asked {
        Some(asked) if asked.uid != owner => Err(Error::UserIsNotOwner {
            path: path.to_owned(),
            owner: name_of(owner),
            asked: asked.name,
        }),
        Some(asked) => Ok(asked),
        None => OsUser::by_uid(owner).ok_or_else(|| Error::OwnerWithoutAccount {
            path: path.to_owned(),
            owner,
        }),
    }
}

/// The user that PostgreSQL's packages create, or else the one that every system has for programs without rights.
fn user_without_choice() -> Result<OsUser, Error> {
    if let Some(user) = OsUser::by_name("postgres") {
        return Ok(user);
    }
    let user = OsUser::by_name("nobody").ok_or(Error::NoUserForServer)?;
    tracing::warn!(
        "the private PostgreSQL runs as the user nobody, because PostgreSQL refuses to run as root and there is no user \
         postgres: other programs that run as nobody can read the record. --postgres-user names another user"
    );
    Ok(user)
}

/// Makes sure, before anything is created, that the server's user can pass through every folder above the directory.
fn check_parents(path: &Path, run_as: &RunAs) -> Result<(), Error> {
    let RunAs::User(user) = run_as else {
        return Ok(());
    };
    let lowest = lowest_parent(path)?;
    if run_as.enter(&lowest).is_ok() {
        return Ok(());
    }
    let mut from_top: Vec<&Path> = lowest.ancestors().collect();
    from_top.reverse();
    for parent in from_top {
        match run_as.enter(parent) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::PermissionDenied && parent != Path::new("/") => {
                return Err(Error::Unreachable {
                    user: user.name.clone(),
                    parent: parent.to_owned(),
                });
            }
            // Everyone can enter the root folder, so switching to the user failed.
            Err(source) => {
                return Err(Error::CannotBecome {
                    user: user.name.clone(),
                    source,
                });
            }
        }
    }
    Ok(())
}

/// The lowest existing folder above `path`. Links are followed first: the folder that stops the user may be above a
/// link's target.
fn lowest_parent(path: &Path) -> Result<PathBuf, Error> {
    let real = if path.exists() {
        fs::canonicalize(path).map_err(Error::io("find", path))?
    } else {
        path.to_owned()
    };
    let existing = real
        .ancestors()
        .skip(1)
        .find(|parent| parent.is_dir())
        .unwrap_or(Path::new("/"));
    fs::canonicalize(existing).map_err(Error::io("find", existing))
}

/// Creates the directory and the missing folders above it. The server's user can pass through those, whatever root's
/// umask is.
fn create(path: &Path, run_as: &RunAs) -> Result<(), Error> {
    let mut missing: Vec<&Path> = path.ancestors().take_while(|dir| !dir.exists()).collect();
    missing.reverse();
    for dir in missing {
        create_closed(dir)?;
        if matches!(run_as, RunAs::User(_)) && dir != path {
            let passable = fs::set_permissions(dir, Permissions::from_mode(0o711));
            passable.map_err(Error::io("change the permissions of", dir))?;
        }
    }
    Ok(())
}

/// Creates a folder that only its owner can enter. Another program may be creating it at the same time.
fn create_closed(path: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(Error::io("create", path)(e)),
        _ => Ok(()),
    }
}

/// Refuses a folder that holds other files: it would be closed to everyone but the server's user.
fn check_content(path: &Path) -> Result<(), Error> {
    let is_ours = || {
        ["start.lock", "users.lock", "postgres/PG_VERSION"]
            .iter()
            .any(|name| path.join(name).exists())
    };
    let entries = fs::read_dir(path).map_err(Error::io("read", path))?;
    // Every new ext4 volume has a lost+found.
    let mut others = entries.flatten().filter(|entry| entry.file_name() != "lost+found");
    // Our own files are looked for last: another program may begin to use an empty folder at the same time.
    if others.next().is_some() && !is_ours() {
        return Err(Error::NotADataFolder(path.to_owned()));
    }
    Ok(())
}

/// Gives a folder to the user that runs the server, and closes it to everyone else. Works on the opened folder: in a
/// folder that others can write to, its name could be replaced in between.
fn give_to(path: &Path, run_as: &RunAs) -> Result<(), Error> {
    let folder = open_folder(path)?;
    let meta = folder.metadata().map_err(Error::io("read", path))?;
    if let RunAs::User(user) = run_as
        && meta.uid() != user.uid
    {
        fchown(&folder, Some(user.uid), Some(user.gid)).map_err(Error::io("change the owner of", path))?;
    }
    if meta.mode() & 0o7777 != 0o700 {
        let closed = folder.set_permissions(Permissions::from_mode(0o700));
        closed.map_err(Error::io("change the permissions of", path))?;
    }
    Ok(())
}

fn open_folder(path: &Path) -> Result<File, Error> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    opened.map_err(Error::io("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_an_xdg_folder_or_a_system_folder_for_root() {
        let path = |root, xdg: Option<&str>, home: Option<&str>| {
            default_path(root, xdg.map(OsString::from), home.map(OsString::from))
        };
        assert_eq!(
            path(true, Some("/x"), Some("/root")).unwrap(),
            Path::new("/var/lib/durable-inventory")
        );
        assert_eq!(
            path(false, Some("/x"), Some("/h")).unwrap(),
            Path::new("/x/durable-inventory")
        );
        let in_home = Path::new("/h/.local/share/durable-inventory");
        assert_eq!(path(false, None, Some("/h")).unwrap(), in_home);
        assert_eq!(path(false, Some("relative"), Some("/h")).unwrap(), in_home);
        assert!(matches!(path(false, Some(""), None), Err(Error::NoHome)));
    }

    #[test]
    fn a_folder_with_other_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        check_content(dir.path()).unwrap();
        fs::write(dir.path().join("thesis.txt"), "").unwrap();
        assert!(matches!(check_content(dir.path()), Err(Error::NotADataFolder(_))));
        fs::write(dir.path().join("users.lock"), "").unwrap();
        check_content(dir.path()).unwrap();
    }

    #[test]
    fn only_root_names_another_user() {
        let owner = rustix::process::geteuid().as_raw();
        let refused = choose_user(false, None, Path::new("/d"), Some("somebody-else"));
        assert!(matches!(refused, Err(Error::UserNeedsRoot(_))));
        assert_eq!(
            choose_user(false, Some(owner), Path::new("/d"), None).unwrap(),
            RunAs::Ourselves
        );
        let foreign = choose_user(false, Some(owner + 1), Path::new("/d"), None);
        assert!(matches!(foreign, Err(Error::NotOurs { .. })));
    }

    #[test]
    fn the_server_never_runs_as_root() {
        let refused = user_for_root(None, Path::new("/d"), Some("root"));
        assert!(matches!(refused, Err(Error::UserIsRoot(_))));
        let missing = user_for_root(None, Path::new("/d"), Some("no such user"));
        assert!(matches!(missing, Err(Error::NoSuchUser(_))));
    }
}
