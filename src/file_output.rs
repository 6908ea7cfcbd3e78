//! Files that are replaced atomically: a file is written under a temporary name and renamed, so readers see the old
//! file or the whole new one.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fchmod, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use crate::text::shown;

pub struct FileOutput {
    to: BufWriter<File>,
    /// `None` for a pipe or a device, which is written to directly.
    names: Option<Names>,
}

/// The temporary and the final name in an open folder, which stays the same folder if its path is exchanged.
struct Names {
    folder: File,
    temporary: OsString,
    name: OsString,
}

impl FileOutput {
    /// Opens a file that the user named. A link is followed, as a rename would replace the link itself. A pipe or a
    /// device is written to directly.
    pub fn create(path: &Path) -> io::Result<Self> {
        refuse_planted_links(path)?;
        let place = match fs::canonicalize(path) {
            Ok(place) => place,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error),
        };
        if fs::metadata(&place).is_ok_and(|there| !there.is_file()) {
            let file = OpenOptions::new().write(true).open(&place)?;
            return Ok(Self::new(file, None));
        }
        let (folder, name) = split(&place)?;
        let replaced = plain_file(&folder, &name);
        Self::open(folder, name, replaced)
    }

    /// Opens a file in a folder to which others may write. A link is replaced and never followed, because it may lead
    /// to a file that its owner may not write.
    pub fn replace(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(not_plain(path));
        }
        let own = rustix::process::geteuid().as_raw();
        let (folder, name) = split(path)?;
        let replaced = plain_file(&folder, &name).filter(|there| there.st_uid == own);
        Self::open(folder, name, replaced)
    }

    /// Opens a file in a folder where only this program chooses names. A link or anything else that is not a plain file
    /// is an error, which names it by `path`.
    pub fn in_folder(folder: File, name: &str, path: &Path) -> io::Result<Self> {
        let replaced = match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => match FileType::from_raw_mode(there.st_mode) {
                FileType::RegularFile => Some(there),
                FileType::Symlink => return Err(link(path)),
                _ => return Err(not_plain(path)),
            },
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error.into()),
        };
        Self::open(folder, name.into(), replaced)
    }

    /// `replaced` is the file whose access rights the new one keeps.
    fn open(folder: File, name: OsString, replaced: Option<Stat>) -> io::Result<Self> {
        let temporary: OsString = format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()).into();
        // A killed process with this process id may have left its file.
        match unlinkat(&folder, &temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        // A user who opens the file before its mode is restricted could read everything that follows.
        let mode = if replaced.is_some() { 0o600 } else { 0o666 };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&folder, &temporary, flags, Mode::from_raw_mode(mode))?;
        let names = Names {
            folder,
            temporary,
            name,
        };
        let output = Self::new(file.into(), Some(names));
        if let Some(replaced) = replaced {
            keep_access(output.to.get_ref(), &replaced)?;
        }
        Ok(output)
    }

    fn new(file: File, names: Option<Names>) -> Self {
        let to = BufWriter::with_capacity(64 * 1024, file);
        Self { to, names }
    }

    /// Makes the file visible after its last byte was written.
    pub fn commit(mut self) -> io::Result<()> {
        self.to.flush()?;
        let Some(Names {
            folder,
            temporary,
            name,
        }) = &self.names
        else {
            return Ok(());
        };
        self.to.get_ref().sync_all()?;
        renameat(folder, temporary, folder, name)?;
        folder.sync_all()?;
        self.names = None;
        Ok(())
    }
}

pub fn link(path: &Path) -> io::Error {
    let path = shown(&path.to_string_lossy());
    io::Error::other(format!("{path} is a symbolic link, which is not followed: remove it"))
}

pub fn not_plain(path: &Path) -> io::Error {
    io::Error::other(format!("{} is not a plain file", shown(&path.to_string_lossy())))
}

fn parent(path: &Path) -> &Path {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn split(path: &Path) -> io::Result<(File, OsString)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    Ok((File::open(parent(path))?, name.to_owned()))
}

fn plain_file(folder: &File, name: &OsString) -> Option<Stat> {
    let there = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok();
    there.filter(|there| FileType::from_raw_mode(there.st_mode) == FileType::RegularFile)
}

/// Refuses another user's link in a folder to which everybody may write, such as /tmp. Linux refuses to open such a
/// link (`fs.protected_symlinks`), but this module resolves links and renames, so the kernel's rule does not apply.
fn refuse_planted_links(path: &Path) -> io::Result<()> {
    const WRITABLE_BY_ALL: u32 = 0o1002; // and sticky
    let own = rustix::process::geteuid().as_raw();
    let mut path = path.to_owned();
    // A cycle of links becomes an error when the path is resolved.
    for _ in 0..40 {
        let Ok(there) = fs::symlink_metadata(&path) else {
            return Ok(());
        };
        if !there.is_symlink() {
            return Ok(());
        }
        let folder = fs::metadata(parent(&path))?;
        let shared = folder.mode() & WRITABLE_BY_ALL == WRITABLE_BY_ALL;
        if shared && ![own, folder.uid()].contains(&there.uid()) {
            return Err(link(&path));
        }
        path = parent(&path).join(fs::read_link(&path)?);
    }
    Ok(())
}

/// Gives the file the access rights of the one that it replaces, and its owner if permitted. Nobody gains access.
fn keep_access(file: &File, replaced: &Stat) -> io::Result<()> {
    // Only root can change the owner. If the group can't be kept, its rights must not go to another group.
    let (owner, group) = (replaced.st_uid, replaced.st_gid);
    let kept = fchown(file, Some(owner), Some(group)).or_else(|_| fchown(file, None, Some(group)));
    let mask = if kept.is_ok() { 0o777 } else { 0o707 };
    Ok(fchmod(file, Mode::from_raw_mode(replaced.st_mode & mask))?)
}

impl Write for FileOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Drop for FileOutput {
    fn drop(&mut self) {
        if let Some(Names { folder, temporary, .. }) = self.names.take() {
            // The file or its folder may have been removed; then there is nothing to do.
            let _removed = unlinkat(folder, temporary, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    use super::*;

    fn write(output: io::Result<FileOutput>) -> io::Result<()> {
        let mut output = output?;
        output.write_all(b"new")?;
        output.commit()
    }

    #[test]
    fn a_replaced_file_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("private.csv");
        for create in [FileOutput::create, FileOutput::replace] {
            for mode in [0o600, 0o640, 0o444] {
                fs::write(&path, "old").unwrap();
                fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
                write(create(&path)).unwrap();
                assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
                assert_eq!(fs::read(&path).unwrap(), b"new");
                fs::remove_file(&path).unwrap();
            }
        }
    }

    #[test]
    fn a_link_is_followed_by_create_and_replaced_by_replace() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old").unwrap();
        symlink(&target, &link).unwrap();
        write(FileOutput::create(&link)).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert!(link.is_symlink());

        fs::write(&target, "old").unwrap();
        write(FileOutput::replace(&link)).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(fs::read(&link).unwrap(), b"new");
        assert!(!link.is_symlink());
    }

    #[test]
    fn a_link_of_another_user_in_a_shared_folder_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let shared = folder.path().join("shared");
        let (victim, link, own) = (
            folder.path().join("victim"),
            shared.join("a.csv"),
            folder.path().join("own"),
        );
        fs::write(&victim, "old").unwrap();
        fs::create_dir(&shared).unwrap();
        symlink(&victim, &link).unwrap();
        symlink(&link, &own).unwrap();
        if lchown(&link, Some(12345), None).is_err() {
            return; // only root can create links of other users
        }
        // A folder to which not everybody may write admits its links' owners on purpose.
        write(FileOutput::create(&link)).unwrap();
        fs::write(&victim, "old").unwrap();
        fs::set_permissions(&shared, Permissions::from_mode(0o1777)).unwrap();
        for path in [&link, &own] {
            let refused = FileOutput::create(path).map(drop).unwrap_err().to_string();
            assert!(refused.contains("shared/a.csv is a symbolic link"), "{refused}");
        }
        lchown(&link, Some(rustix::process::geteuid().as_raw()), None).unwrap();
        write(FileOutput::create(&own)).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"new");
    }

    #[test]
    fn a_link_at_the_temporary_name_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (folder.path().join("victim"), folder.path().join("a.prom"));
        let beside = folder.path().join(format!(".a.prom.{}.tmp", std::process::id()));
        fs::write(&victim, "old").unwrap();
        symlink(&victim, &beside).unwrap();
        write(FileOutput::replace(&path)).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"old");
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
