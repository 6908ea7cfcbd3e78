//! Files that are gone when the program is, however it ends: they lose their names as soon as they are made. They are
//! in the folder for temporary files, which TMPDIR names.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

pub fn nameless_file() -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("durable-inventory-{}-{next}", std::process::id()));
        let mut options = File::options();
        match options.read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            // Another's, such as a process of this number in another container.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let place = std::env::temp_dir();
                return Err(io::Error::new(
                    error.kind(),
                    format!("no temporary file could be made in {}: {error}", place.display()),
                ));
            }
        }
    }
}
