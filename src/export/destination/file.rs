//! A file that is written beside its place and renamed: whoever looks finds the old one or the whole new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Output;

pub struct FileOutput {
    to: BufWriter<File>,
    /// Where it is now and where it belongs; `None` for what is no plain file, such as a pipe or a device.
    names: Option<(PathBuf, PathBuf)>,
}

impl FileOutput {
    pub fn create(path: &Path) -> io::Result<Self> {
        let wrap = |file| BufWriter::with_capacity(64 * 1024, file);
        // Through a link to what it means: a rename would put the file in the link's place.
        let place = match fs::canonicalize(path) {
            Ok(place) => place,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error),
        };
        if fs::metadata(&place).is_ok_and(|there| !there.is_file()) {
            let file = OpenOptions::new().write(true).open(&place)?;
            return Ok(Self {
                to: wrap(file),
                names: None,
            });
        }
        let name = place.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let beside = place.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
        // What a process of this number left when it was killed is nobody's.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
        Ok(Self {
            to: wrap(file),
            names: Some((beside, place)),
        })
    }
}

impl Write for FileOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Output for FileOutput {
    fn commit(mut self: Box<Self>) -> io::Result<()> {
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

impl Drop for FileOutput {
    fn drop(&mut self) {
        if let Some((beside, _)) = self.names.take() {
            // It may have been renamed, or its folder be gone; then there is nothing to remove.
            let _gone = fs::remove_file(beside);
        }
    }
}
