//! A file that is written beside its place and renamed: whoever looks finds the old one or the whole new one.

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
    /// `None` for what is no plain file, such as a pipe or a device.
    names: Option<Names>,
}

/// What the file is called now and what it will be, in a folder that stays the same whatever becomes of its path.
struct Names {
    folder: File,
    beside: OsString,
    place: OsString,
}

impl FileOutput {
    /// Where the person who names the file knows what stands there: a link leads to what it means, as a rename would
    /// put the file in the link's place; a pipe or a device is written to.
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
        let there = plain_file(&folder, &name);
        Self::beside(folder, name, there)
    }

    /// In a folder where others may have put something: a link is replaced, and never followed to a file that its
    /// maker may not write.
    pub fn replace(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(not_plain(path));
        }
        let own = rustix::process::geteuid().as_raw();
        let (folder, name) = split(path)?;
        let there = plain_file(&folder, &name).filter(|there| there.st_uid == own);
        Self::beside(folder, name, there)
    }

    /// In a folder where the program alone gives names. What is not a plain file, such as a link, is an error that names
    /// it by its path.
    pub fn in_folder(folder: File, name: &str, path: &Path) -> io::Result<Self> {
        let there = match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => match FileType::from_raw_mode(there.st_mode) {
                FileType::RegularFile => Some(there),
                FileType::Symlink => return Err(link(path)),
                _ => return Err(not_plain(path)),
            },
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error.into()),
        };
        Self::beside(folder, name.into(), there)
    }

    fn beside(folder: File, place: OsString, there: Option<Stat>) -> io::Result<Self> {
        let beside: OsString = format!(".{}.{}.tmp", place.to_string_lossy(), std::process::id()).into();
        // What a process of this number left when it was killed is nobody's.
        match unlinkat(&folder, &beside, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        // Who opens a file while it is open to all can read it ever after.
        let mode = if there.is_some() { 0o600 } else { 0o666 };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&folder, &beside, flags, Mode::from_raw_mode(mode))?;
        let names = Names { folder, beside, place };
        let output = Self::new(file.into(), Some(names));
        if let Some(there) = there {
            keep_access(output.to.get_ref(), &there)?;
        }
        Ok(output)
    }

    fn new(file: File, names: Option<Names>) -> Self {
        let to = BufWriter::with_capacity(64 * 1024, file);
        Self { to, names }
    }

    /// All was written: it may be seen now.
    pub fn commit(mut self) -> io::Result<()> {
        self.to.flush()?;
        let Some(Names { folder, beside, place }) = &self.names else {
            return Ok(());
        };
        self.to.get_ref().sync_all()?;
        renameat(folder, beside, folder, place)?;
        folder.sync_all()?;
        self.names = None;
        Ok(())
    }
}

pub fn link(path: &Path) -> io::Error {
    let path = shown(&path.to_string_lossy());
    io::Error::other(format!("{path} is a link, which is not followed: remove it"))
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

/// In a folder where everybody may put something, such as /tmp, a link of somebody else is not meant. Linux refuses to open
/// one (`fs.protected_symlinks`), but a file that is renamed into the place it leads to is not opened through it.
fn refuse_planted_links(path: &Path) -> io::Result<()> {
    const WRITABLE_BY_ALL: u32 = 0o1002; // and sticky
    let own = rustix::process::geteuid().as_raw();
    let mut path = path.to_owned();
    // A circle is told by whoever follows it.
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

/// Who could not read or write the file before can't do so now. Its owner stays too where that may be.
fn keep_access(file: &File, there: &Stat) -> io::Result<()> {
    // Only root gives files away. Rights of a group that can't be kept are not another group's.
    let (owner, group) = (there.st_uid, there.st_gid);
    let kept = fchown(file, Some(owner), Some(group)).or_else(|_| fchown(file, None, Some(group)));
    let mask = if kept.is_ok() { 0o777 } else { 0o707 };
    Ok(fchmod(file, Mode::from_raw_mode(there.st_mode & mask))?)
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
        if let Some(Names { folder, beside, .. }) = self.names.take() {
            // It may have been renamed, or its folder be gone; then there is nothing to remove.
            let _gone = unlinkat(folder, beside, AtFlags::empty());
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
    fn a_file_that_is_replaced_keeps_its_permissions() {
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
    fn a_link_is_followed_only_where_it_is_meant() {
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
            return; // only root makes others' links
        }
        // In a folder of one's own, whoever made the link was let in.
        write(FileOutput::create(&link)).unwrap();
        fs::write(&victim, "old").unwrap();
        fs::set_permissions(&shared, Permissions::from_mode(0o1777)).unwrap();
        for path in [&link, &own] {
            let refused = FileOutput::create(path).map(drop).unwrap_err().to_string();
            assert!(refused.contains("shared/a.csv is a link"), "{refused}");
        }
        lchown(&link, Some(rustix::process::geteuid().as_raw()), None).unwrap();
        write(FileOutput::create(&own)).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"new");
    }

    #[test]
    fn a_link_in_the_place_beside_is_not_written_through() {
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
