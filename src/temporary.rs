//! Unnamed temporary files, which are gone when the program ends, however it ends. TMPDIR names their folder.

use std::fs::File;
use std::io;

pub fn unnamed_file() -> io::Result<File> {
    tempfile::tempfile().map_err(|error| {
        let folder = std::env::temp_dir();
        let message = format!("cannot create a temporary file in {}: {error}", folder.display());
        io::Error::new(error.kind(), message)
    })
}
