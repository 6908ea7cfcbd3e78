//! Finds PostgreSQL's server programs: in the configured folder, or on PATH and then where packages install them.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::os_user::RunAs;
use super::trust::{is_trusted, weak_step};

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

/// Finds the programs to use: those of the version of the existing data, or else the first that are new enough.
pub(super) fn find(
    asked: Option<&Path>,
    cluster: &Path,
    data_major: Option<u32>,
    run_as: &RunAs,
) -> Result<Binaries, Error> {
    let mut unusable = None;
    let dirs = match asked {
        // A configured folder is trusted.
        Some(dir) => server_dir(dir).into_iter().collect(),
        None => {
            let mut dirs = search(env::var_os("PATH").as_deref(), PLACES);
            // A program that another user may have put there is not run, not even for its version.
            dirs.retain(
                |dir| match weak_step(&dir.join("postgres")).or_else(|| weak_step(&dir.join("initdb"))) {
                    None => true,
                    Some(step) => {
                        tracing::debug!(
                            "{} is skipped: other users may change {}",
                            dir.display(),
                            step.display()
                        );
                        unusable.get_or_insert(Error::Untrusted { dir: dir.clone(), step });
                        false
                    }
                },
            );
            dirs
        }
    };
    let mut found = Vec::new();
    for dir in dirs {
        match version_of(&dir, run_as) {
            Ok(major) => found.push(Binaries { dir, major }),
            Err(e) => unusable = unusable.or(Some(e)),
        }
    }
    if found.is_empty() {
        return Err(unusable.unwrap_or_else(|| Error::NoPrograms {
            asked: asked.map(Path::to_owned),
        }));
    }
    choose(found, cluster, data_major)
}

fn choose(mut found: Vec<Binaries>, cluster: &Path, data_major: Option<u32>) -> Result<Binaries, Error> {
    // `found` is not empty. Errors name the newest.
    let newest = found.iter().max_by_key(|p| p.major).cloned();
    let fits = |p: &Binaries| match data_major {
        Some(data) => p.major == data,
        None => p.major >= MINIMUM_MAJOR,
    };
    match (found.iter().position(fits), data_major, newest) {
        (_, Some(data), _) if data < MINIMUM_MAJOR => Err(Error::DataTooOld {
            cluster: cluster.to_owned(),
            data,
        }),
        (Some(index), _, _) => Ok(found.swap_remove(index)),
        (None, Some(data), Some(newest)) => Err(Error::OtherMajor {
            cluster: cluster.to_owned(),
            data,
            found: newest.major,
            dir: newest.dir,
        }),
        (None, None, Some(newest)) => Err(Error::TooOld {
            found: newest.major,
            dir: newest.dir,
        }),
        (None, _, None) => Err(Error::NoPrograms { asked: None }),
    }
}

/// Folders of server programs: those on PATH in its order, then those of `places`, newest first.
fn search(path: Option<&OsStr>, places: &[&str]) -> Vec<PathBuf> {
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

        let found = search(Some(&path), &[&place]);

        let expected: Vec<PathBuf> = ["14/bin", "own", "16/bin", "9.6/bin"]
            .iter()
            .map(|d| root.join(d))
            .collect();
        assert_eq!(found, expected);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn existing_data_decides_the_version() {
        let found = || vec![binaries("/a", 17), binaries("/b", 15), binaries("/c", 13)];
        let cluster = Path::new("/data");
        assert_eq!(choose(found(), cluster, None).unwrap().major, 17);
        assert_eq!(choose(found(), cluster, Some(15)).unwrap().major, 15);
        let refused = choose(found(), cluster, Some(16)).unwrap_err().to_string();
        assert!(
            refused.contains("by PostgreSQL 16") && refused.contains("found are 17, in /a"),
            "{refused}"
        );
        assert!(matches!(
            choose(found(), cluster, Some(13)),
            Err(Error::DataTooOld { .. })
        ));
        assert!(matches!(
            choose(vec![binaries("/c", 13)], cluster, None),
            Err(Error::TooOld { .. })
        ));
    }
}
