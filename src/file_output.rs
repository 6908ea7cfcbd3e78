//! A file that is written beside its place and renamed: whoever looks finds the old one or the whole new one.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

pub struct FileOutput {
    to: BufWriter<File>,
    /// Where it is now and where it belongs; `None` for what is no plain file, such as a pipe or a device.
    names: Option<(PathBuf, PathBuf)>,
}

impl FileOutput {
    /// Where the person who names the file knows what stands there: a link leads to what it means, as a rename would
    /// put the file in the link's place; a pipe or a device is written to.
    pub fn create(path: &Path) -> io::Result<Self> {
        let place = match fs::canonicalize(path) {
            Ok(place) => place,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error),
        };
        let there = fs::metadata(&place).ok();
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            let file = OpenOptions::new().write(true).open(&place)?;
            return Ok(Self::new(file, None));
        }
        Self::beside(place, there)
    }

    /// In a folder where others may have put something: a link is replaced, and never followed to a file that its
    /// maker may not write.
    pub fn replace(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(io::Error::other("what stands there is no plain file"));
        }
        let own = rustix::process::geteuid().as_raw();
        let there = fs::symlink_metadata(path).ok();
        let there = there.filter(|there| there.is_file() && there.uid() == own);
        Self::beside(path.to_owned(), there)
    }

    fn beside(place: PathBuf, there: Option<Metadata>) -> io::Result<Self> {
        let name = place.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let beside = place.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
        // What a process of this number left when it was killed is nobody's.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Who opens a file while it is open to all can read it ever after.
        let mode = if there.is_some() { 0o600 } else { 0o666 };
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&beside)?;
        let output = Self::new(file, Some((beside, place)));
        if let Some(there) = there {
            keep_access(output.to.get_ref(), &there)?;
        }
        Ok(output)
    }

    fn new(file: File, names: Option<(PathBuf, PathBuf)>) -> Self {
        let to = BufWriter::with_capacity(64 * 1024, file);
        Self { to, names }
    }

    /// All was written: it may be seen now.
    pub fn commit(mut self) -> io::Result<()> {
        self.to.flush()?;
        let Some((beside, place)) = &self.names else {
            return Ok(());
        };
        self.to.get_ref().sync_all()?;
        fs::rename(beside, place)?;
        let folder = place.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        self.names = None;
        Ok(())
    }
}

/// Who could not read or write the file before can't do so now. Its owner stays too where that may be.
fn keep_access(file: &File, there: &Metadata) -> io::Result<()> {
    // Only root gives files away. Rights of a group that can't be kept are not another group's.
    let kept = fchown(file, Some(there.uid()), Some(there.gid())).or_else(|_| fchown(file, None, Some(there.gid())));
    let mask = if kept.is_ok() { 0o777 } else { 0o707 };
    file.set_permissions(Permissions::from_mode(there.mode() & mask))
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
        if let Some((beside, _)) = self.names.take() {
            // It may have been renamed, or its folder be gone; then there is nothing to remove.
            let _gone = fs::remove_file(beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

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
