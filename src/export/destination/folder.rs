//! A dataset in a local folder.
//!
//! Other users who may write to the folder may put links in it, so no link below the folder is followed: each step of a
//! name is opened relative to the folder before it, which nobody can exchange in between. The folder itself may be a
//! link, because the user named it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;

use super::{AtomicOutput, DatasetStore, FileOutput, LARGEST_SMALL_FILE, is_step, too_large};
use crate::file_output::{link, not_plain};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Opens a folder below this one; the empty name is this folder. `make` creates missing folders.
    fn open_folder(&self, name: &str, make: bool) -> io::Result<File> {
        let mut folder = File::from(openat(CWD, &self.0, FOLDER, Mode::empty())?);
        let mut end = 0;
        for step in name.split('/').filter(|_| !name.is_empty()) {
            require_step(step)?;
            end += step.len();
            if make {
                match mkdirat(&folder, step, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let opened = openat(&folder, step, FOLDER | OFlags::NOFOLLOW, Mode::empty());
            folder = opened
                .map_err(|error| self.refused(&folder, step, &name[..end], error))?
                .into();
            end += 1;
        }
        Ok(folder)
    }

    /// Opens the folder that contains a file, and returns it with the file's name in it.
    fn open_parent<'n>(&self, name: &'n str, make: bool) -> io::Result<(File, &'n str)> {
        let (above, last) = name.rsplit_once('/').unwrap_or(("", name));
        require_step(last)?;
        Ok((self.open_folder(above, make)?, last))
    }

    /// The error for a step that could not be opened. The error number for a link differs between systems and calls.
    fn refused(&self, folder: &File, step: &str, name: &str, error: Errno) -> io::Error {
        match is_link(folder, step) {
            true => link(&self.0.join(name)),
            false => error.into(),
        }
    }
}

fn require_step(step: &str) -> io::Result<()> {
    match is_step(step) {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidFilename,
            "the path leads out of the dataset",
        )),
    }
}

fn is_link(folder: &File, name: &str) -> bool {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|there| FileType::from_raw_mode(there.st_mode) == FileType::Symlink)
}

impl DatasetStore for Folder {
    fn prepare(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.0)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn AtomicOutput>> {
        let (folder, last) = self.open_parent(name, true)?;
        Ok(Box::new(FileOutput::in_folder(folder, last, &self.0.join(name))?))
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        match self.open(name) {
            Ok(file) => match file.take(LARGEST_SMALL_FILE + 1).read_to_end(&mut bytes)? as u64 {
                0..=LARGEST_SMALL_FILE => Ok(Some(bytes)),
                _ => Err(too_large()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open(&self, name: &str) -> io::Result<File> {
        let (folder, last) = self.open_parent(name, false)?;
        // NONBLOCK: opening a pipe would wait for its writer, and pipes are refused anyway.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(&folder, last, flags, Mode::empty());
        let file = File::from(opened.map_err(|error| self.refused(&folder, last, name, error))?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(not_plain(&self.0.join(name))),
        }
    }

    /// Also removes the folders that become empty, up to the dataset's folder.
    fn remove(&self, name: &str) -> io::Result<()> {
        match self.open_parent(name, false) {
            Ok((folder, last)) if is_link(&folder, last) => return Err(link(&self.0.join(name))),
            Ok((folder, last)) => match unlinkat(&folder, last, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut left = name;
        while let Some((above, _)) = left.rsplit_once('/') {
            let Ok((folder, last)) = self.open_parent(above, false) else {
                break;
            };
            if unlinkat(&folder, last, AtFlags::REMOVEDIR).is_err() {
                break; // not empty
            }
            left = above;
        }
        Ok(())
    }

    /// A link is an error: an engine that reads the folder may follow it.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(above) = folders.pop() {
            let folder = self.open_folder(&above, false)?;
            for entry in Dir::read_from(&folder)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy();
                if matches!(&*name, "." | "..") {
                    continue;
                }
                let path = match above.as_str() {
                    "" => name.to_string(),
                    above => format!("{above}/{name}"),
                };
                let there = statat(&folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                match FileType::from_raw_mode(there.st_mode) {
                    FileType::Symlink => return Err(link(&self.0.join(path))),
                    // A name that is not UTF-8 can't be in a manifest.
                    FileType::Directory if matches!(name, Cow::Owned(_)) => {}
                    FileType::Directory => folders.push(path),
                    _ => names.push(path),
                }
            }
        }
        Ok(names)
    }
}
