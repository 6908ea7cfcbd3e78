//! Finds PostgreSQL's server programs: in the configured folder, or on PATH and then where packages install them.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::client_lock::StartLock;
use super::data_dir::DataDir;
use super::error::Error;
use super::os_user::RunAs;
use super::trust::{is_trusted, weak_step};
use super::{Settings, bundled};
use crate::text;

/// The oldest supported major version; the schema uses its SQL.
pub(super) const MINIMUM_MAJOR: u32 = 14;

/// Folders of server programs that packages leave off PATH. A `*` stands for any text within one name.
const PLACES: &[&str] = &[
    "/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
    "/usr/pgsql-*/bin",                                   // packages of postgresql.org for Fedora and its kin
    "/usr/libexec/postgresql*",                           // Alpine
    "/usr/lib/postgresql*/bin",                           // SUSE
    "/opt/homebrew/opt/postgresql*/bin",                  // Homebrew, Apple silicon
    "/usr/local/opt/postgresql*/bin",                     // Homebrew, Intel
    "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",     // Homebrew, Linux
    "/opt/local/lib/postgresql*/bin",                     // MacPorts
    "/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
    "/usr/local/pgsql/bin",                               // built from source
    "/usr/bin",                                           // Fedora, Arch, where PATH is bare
    "/usr/local/bin",                                     // FreeBSD, where PATH is bare
];

/// A folder with a set of server programs, all of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub dir: PathBuf,
    pub major: u32,
}

impl Binaries {
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Finds the programs to use: those of the version of the existing data, or else the first that are new enough. Those
/// that are installed on the machine come before a package's, because they get the system's security updates.
pub(super) async fn find(
    settings: &Settings,
    data_dir: &DataDir,
    data_major: Option<u32>,
    lock: &StartLock,
) -> Result<Binaries, Error> {
    let cluster = data_dir.cluster();
    let mut search = Search::new(&data_dir.run_as);
    if let Some(dir) = &settings.postgres_bin {
        // A configured folder is trusted.
        search.add(server_dir(dir));
        return search.choose(Some(dir), &cluster, data_major);
    }
    search.add_trusted(search_places(env::var_os("PATH").as_deref(), PLACES));
    if search.position(data_major).is_some() {
        return search.choose(None, &cluster, data_major);
    }
    let copied = match &settings.bundled_postgres {
        Some(folder) => bundled::keep_for(folder, data_dir, data_major, lock).await,
        None => Ok(()),
    };
    search.add(bundled::kept(data_dir));
    if let Err(e) = copied {
        if search.position(data_major).is_none() {
            return Err(e);
        }
        tracing::warn!(
            "PostgreSQL stays at the version in {}: {}",
            data_dir.programs().display(),
            text::chain(&e)
        );
    }
    search.choose(None, &cluster, data_major)
}

/// The sets of programs that were found, and why the first of the others can't be used.
struct Search<'a> {
    run_as: &'a RunAs,
    found: Vec<Binaries>,
    unusable: Option<Error>,
}

impl<'a> Search<'a> {
    fn new(run_as: &'a RunAs) -> Self {
        Self {
            run_as,
            found: Vec::new(),
            unusable: None,
        }
    }

    /// Leaves out a program that another user may have put there: it is not run, not even for its version.
    fn add_trusted(&mut self, mut dirs: Vec<PathBuf>) {
        dirs.retain(|dir| {
            let Some(step) = weak_step(&dir.join("postgres")).or_else(|| weak_step(&dir.join("initdb"))) else {
                return true;
            };
            tracing::debug!(
                "{} is skipped: other users may change {}",
                dir.display(),
                step.display()
            );
            self.unusable.get_or_insert(Error::Untrusted { dir: dir.clone(), step });
            false
        });
        self.add(dirs);
    }

    fn add(&mut self, dirs: impl IntoIterator<Item = PathBuf>) {
        for dir in dirs {
            match version_of(&dir, self.run_as) {
                Ok(major) => self.found.push(Binaries { dir, major }),
                Err(e) => {
                    self.unusable.get_or_insert(e);
                }
            }
        }
    }

    /// The first that can use the data, or create it.
    fn position(&self, data_major: Option<u32>) -> Option<usize> {
        self.found.iter().position(|binaries| match data_major {
            Some(data) => binaries.major == data,
            None => binaries.major >= MINIMUM_MAJOR,
        })
    }

    fn choose(mut self, asked: Option<&Path>, cluster: &Path, data_major: Option<u32>) -> Result<Binaries, Error> {
        if let Some(data) = data_major.filter(|data| *data < MINIMUM_MAJOR) {
            return Err(Error::DataTooOld {
                cluster: cluster.to_owned(),
                data,
            });
        }
        if let Some(index) = self.position(data_major) {
            return Ok(self.found.swap_remove(index));
        }
        // Errors name the newest.
        let Some(Binaries { dir, major: found }) = self.found.into_iter().max_by_key(|binaries| binaries.major) else {
            let asked = asked.map(Path::to_owned);
            return Err(self.unusable.unwrap_or(Error::NoPrograms { asked }));
        };
        Err(match data_major {
            Some(data) => Error::OtherMajor {
                cluster: cluster.to_owned(),
                data,
                found,
                dir,
            },
            None => Error::TooOld { found, dir },
        })
    }
}

/// Folders of server programs: those on PATH in its order, then those of `places`, newest first.
fn search_places(path: Option<&OsStr>, places: &[&str]) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    let on_path = path.into_iter().flat_map(env::split_paths);
    for dir in on_path.chain(expand_newest_first(places)) {
        // A relative entry of PATH would depend on the current folder.
        if let Some(dir) = Some(dir).filter(|d| d.is_absolute()).and_then(|d| server_dir(&d))
            && !dirs.contains(&dir)
        {
            dirs.push(dir);
        }
    }
    dirs
}

/// Finds a program on PATH, or in one of the folders where packages install PostgreSQL, that no other user may change.
pub(in crate::store) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH");
    let on_path = path.iter().flat_map(env::split_paths).filter(|dir| dir.is_absolute());
    on_path
        .chain(expand_newest_first(PLACES))
        .map(|dir| dir.join(name))
        .find(|program| is_program(program) && is_trusted(program))
}

/// The folder of the real `postgres` if the one in `dir` is a link, for initdb is beside it; otherwise `dir`.
fn server_dir(dir: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(dir.join("postgres")).ok()?.parent()?.to_owned();
    [real, std::path::absolute(dir).ok()?]
        .into_iter()
        .find(|dir| is_program(&dir.join("postgres")) && is_program(&dir.join("initdb")))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

fn expand_newest_first(places: &[&str]) -> Vec<PathBuf> {
    let mut dirs: Vec<(u32, PathBuf)> = places.iter().flat_map(|place| expand(place)).collect();
    // A stable sort: places of one version stay in the order of the list.
    dirs.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    dirs.into_iter().map(|(_, dir)| dir).collect()
}

/// The folders that a place stands for, each with the major version in its name, or 0 if there is none.
fn expand(place: &str) -> Vec<(u32, PathBuf)> {
    let Some((before, after)) = place.split_once('*') else {
        return vec![(0, PathBuf::from(place))];
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let rest = after.trim_start_matches('/');
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let middle = name.as_bytes().strip_prefix(prefix.as_bytes())?;
            let version = leading_number(&String::from_utf8_lossy(middle)).unwrap_or(0);
            Some((version, entry.path().join(rest)))
        })
        .collect()
}

/// The major version that `postgres --version` prints. It runs as the server's user, who may not be able to run it.
fn version_of(dir: &Path, run_as: &RunAs) -> Result<u32, Error> {
    let program = dir.join("postgres");
    let output = run_as.command(&program, Path::new("/")).arg("--version").output();
    let output = output.map_err(|source| Error::NotRunnable {
        program: program.clone(),
        user: run_as.name(),
        source,
    })?;
    parse_version(&String::from_utf8_lossy(&output.stdout)).ok_or(Error::NoVersion(program))
}

/// Parses "postgres (PostgreSQL) 17.2 (Debian 17.2-1)" as 17, and "postgres (PostgreSQL) 18beta1" as 18.
fn parse_version(text: &str) -> Option<u32> {
    leading_number(text.split_once("(PostgreSQL)")?.1.trim_start())
}

/// The first number in a text, such as 17 in the folder name "@17".
fn leading_number(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binaries(dir: &str, major: u32) -> Binaries {
        Binaries {
            dir: PathBuf::from(dir),
            major,
        }
    }

    fn install(dir: &Path) {
        fs::create_dir_all(dir).unwrap();
        for name in ["postgres", "initdb"] {
            let path = dir.join(name);
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn versions_are_parsed() {
        assert_eq!(
            parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_version("postgres"), None);
    }

    #[test]
    fn path_comes_first_then_the_newest_of_the_places() {
        let root = fs::canonicalize(tempfile::tempdir().unwrap().keep()).unwrap();
        for version in ["9.6", "16", "14"] {
            install(&root.join(version).join("bin"));
        }
        let own = root.join("own");
        install(&own);
        let links = root.join("links");
        fs::create_dir(&links).unwrap();
        std::os::unix::fs::symlink(root.join("14/bin/postgres"), links.join("postgres")).unwrap();
        let path = env::join_paths([root.join("nothing"), links, own.clone()]).unwrap();
        let place = format!("{}/*/bin", root.display());

        let found = search_places(Some(&path), &[&place]);

        let expected: Vec<PathBuf> = ["14/bin", "own", "16/bin", "9.6/bin"]
            .iter()
            .map(|d| root.join(d))
            .collect();
        assert_eq!(found, expected);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn existing_data_decides_the_version() {
        let choose = |found: &[(&str, u32)], data_major| {
            let mut search = Search::new(&RunAs::Ourselves);
            search.found = found.iter().map(|(dir, major)| binaries(dir, *major)).collect();
            search.choose(None, Path::new("/data"), data_major)
        };
        let found = [("/a", 17), ("/b", 15), ("/c", 13)];
        assert_eq!(choose(&found, None).unwrap().major, 17);
        assert_eq!(choose(&found, Some(15)).unwrap().major, 15);
        let refused = choose(&found, Some(16)).unwrap_err().to_string();
        assert!(
            refused.contains("by PostgreSQL 16") && refused.contains("found are 17, in /a"),
            "{refused}"
        );
        assert!(matches!(choose(&found, Some(13)), Err(Error::DataTooOld { .. })));
        assert!(matches!(choose(&[("/c", 13)], None), Err(Error::TooOld { .. })));
        assert!(matches!(choose(&[], None), Err(Error::NoPrograms { .. })));
    }
}
