//! The PostgreSQL that a package of this program brings along, such as the one from npm.
//!
//! Its programs are copied into the data directory, to `programs/VERSION`, and run from there: data can only be used by
//! the major version that created it, and the next update of the package may bring another one, or the cache of `npx`
//! may be emptied. So a record keeps the programs that can read it, for as long as it exists.
//!
//! All changes in the data directory are made by the server's user: it belongs to them, and root must not follow their
//! links. That user can't reach every package, so it is first copied to a temporary folder that everyone can read.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::client_lock::StartLock;
use super::data_dir::DataDir;
use super::error::Error;
use super::trust::weak_step;
use super::{initdb, server};

/// Copies the programs of the package in `folder` for data of this major version, or for new data. A running server
/// keeps its programs, and data of another version those that it was created with.
pub(super) async fn keep_for(
    folder: &Path,
    data_dir: &DataDir,
    data_major: Option<u32>,
    lock: &StartLock,
) -> Result<(), Error> {
    let package = Package::open(folder)?;
    match data_major {
        Some(data) if data != package.major => Ok(()),
        Some(_) if !server::has_ended(data_dir) => Ok(()),
        _ => package.keep(data_dir, lock).await,
    }
}

/// A package in the layout of npm's `@embedded-postgres/*`: `package.json`, and below `native` the folders `bin`, `lib`
/// and `share`, and the list of the links that belong there, which npm packages can't contain.
#[derive(Debug)]
struct Package {
    folder: PathBuf,
    version: String,
    major: u32,
}

/// The part of `package.json` that is needed.
#[derive(Deserialize)]
struct Manifest {
    version: String,
}

/// A link of the package. Both paths are relative to its folder.
#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

const MANIFEST: &str = "package.json";
const LINKS: &str = "pg-symlinks.json";

/// Run by the server's user in the data directory, with the folder to copy from, the version and its major version. A
/// complete copy appears at once. It replaces those of the same major version, which no server uses now.
const KEEP: &str = "set -e
mkdir -p programs
rm -rf programs/.new
cp -RP \"$1\" programs/.new
for old in programs/\"$3\".*; do if [ -e \"$old\" ]; then rm -rf \"$old\"; fi; done
mv programs/.new \"programs/$2\"";

impl Package {
    /// Reads which version the package in `folder` brings. Nothing in a folder that another user may change is used.
    fn open(folder: &Path) -> Result<Self, Error> {
        let programs = folder.join("native/bin");
        for program in ["postgres", "initdb"] {
            if let Some(step) = weak_step(&programs.join(program)) {
                return Err(Error::Untrusted { dir: programs, step });
            }
        }
        let path = folder.join(MANIFEST);
        let manifest: Manifest = read_json(&path)?;
        let version = manifest.version;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
        match major_of(&version) {
            Some(major) if version.chars().all(is_plain) => Ok(Self {
                folder: folder.to_owned(),
                version,
                major,
            }),
            _ => Err(Error::DamagedPackage { path }),
        }
    }

    /// Copies the programs into the data directory, unless this version is there already. No server may be running on
    /// the data.
    async fn keep(&self, data_dir: &DataDir, _: &StartLock) -> Result<(), Error> {
        let kept = data_dir.programs().join(&self.version);
        if kept.join("bin/postgres").exists() {
            return Ok(());
        }
        let staged = self.stage()?;
        let mut command = data_dir.run_as.command(Path::new("/bin/sh"), data_dir.path());
        command.args(["-c", KEEP, "sh"]).arg(staged.path());
        command.arg(&self.version).arg(self.major.to_string());
        let output = command.output().map_err(Error::io("copy PostgreSQL to", &kept))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
            return Err(Error::io("copy PostgreSQL to", &kept)(io::Error::other(said)));
        }
        tracing::debug!(folder = %kept.display(), "copied the package's PostgreSQL");
        // Otherwise a power failure could leave data without the programs that read it.
        initdb::flush(&data_dir.programs()).await
    }

    /// Copies what the server needs, with the links, to a temporary folder that everyone can read.
    fn stage(&self) -> Result<tempfile::TempDir, Error> {
        let native = self.folder.join("native");
        let staged = tempfile::tempdir().map_err(Error::io("create a folder in", &std::env::temp_dir()))?;
        let readable = fs::set_permissions(staged.path(), Permissions::from_mode(0o755));
        readable.map_err(Error::io("change the permissions of", staged.path()))?;
        for part in ["bin", "lib", "share"] {
            copy_folder(&native.join(part), &staged.path().join(part))?;
        }
        let path = native.join(LINKS);
        if path.exists() {
            for link in read_json::<Vec<Link>>(&path)? {
                let (at, name) = link.within(&path)?;
                let at = staged.path().join(at);
                match symlink(name, &at) {
                    Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(Error::io("create", &at)(e)),
                    _ => {}
                }
            }
        }
        Ok(staged)
    }
}

impl Link {
    /// Where the link belongs, below `native`, and the name that it points at: another one in the same folder.
    fn within(&self, list: &Path) -> Result<(&Path, &std::ffi::OsStr), Error> {
        let damaged = || Error::DamagedPackage { path: list.to_owned() };
        let at = self.target.strip_prefix("native").map_err(|_| damaged())?;
        let is_inside = at.components().all(|part| matches!(part, Component::Normal(_)));
        let name = self
            .source
            .file_name()
            .filter(|_| self.source.parent() == self.target.parent());
        name.filter(|_| is_inside).map(|name| (at, name)).ok_or_else(damaged)
    }
}

/// The kept programs, newest version first.
pub(super) fn kept(data_dir: &DataDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(data_dir.programs()).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut versions: Vec<(u32, String)> = names.filter_map(|name| Some((major_of(&name)?, name))).collect();
    versions.sort_by(|a, b| b.cmp(a));
    let folder = |(_, name)| data_dir.programs().join(name).join("bin");
    versions.into_iter().map(folder).collect()
}

/// The major version in "18.4.0-beta.17"; `None` for the name of an unfinished copy.
fn major_of(version: &str) -> Option<u32> {
    version.split_once('.')?.0.parse().ok()
}

/// Copies folders and files; anything else, such as the links that an installation may have made, is left out. Everyone
/// can read the copies.
fn copy_folder(from: &Path, to: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().mode(0o755).create(to);
    made.map_err(Error::io("create", to))?;
    for entry in fs::read_dir(from).map_err(Error::io("read", from))? {
        let entry = entry.map_err(Error::io("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(Error::io("read", &source))?;
        if kind.is_dir() {
            copy_folder(&source, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target).map_err(Error::io("copy", &source))?;
            let mode = if from.ends_with("bin") { 0o755 } else { 0o644 };
            let readable = fs::set_permissions(&target, Permissions::from_mode(mode));
            readable.map_err(Error::io("change the permissions of", &target))?;
        }
    }
    Ok(())
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, Error> {
    let text = fs::read(path).map_err(Error::io("read", path))?;
    serde_json::from_slice(&text).map_err(|_| Error::DamagedPackage { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(source: &str, target: &str) -> Link {
        Link {
            source: source.into(),
            target: target.into(),
        }
    }

    #[test]
    fn links_stay_inside_the_package() {
        let list = Path::new("list");
        let good = link("native/lib/libpq.so.5.18", "native/lib/libpq.so.5");
        assert_eq!(
            good.within(list).unwrap(),
            (Path::new("lib/libpq.so.5"), "libpq.so.5.18".as_ref())
        );
        for (source, target) in [
            ("native/lib/a", "native/bin/b"),
            ("native/lib/../../a", "native/lib/../../b"),
            ("/etc/a", "/etc/b"),
            ("lib/a", "lib/b"),
            ("native/lib/..", "native/lib/b"),
        ] {
            assert!(link(source, target).within(list).is_err(), "{source} {target}");
        }
    }

    #[test]
    fn an_unfinished_copy_is_no_version() {
        assert_eq!(major_of("18.4.0-beta.17"), Some(18));
        assert_eq!(major_of(".new"), None);
        assert_eq!(major_of("programs"), None);
    }
}
