//! What was found, until it is certain that all of it could be: in memory while it is little, then in a temporary file.

use std::fs::File;
use std::io::{self, Seek, Write};

use crate::temporary::nameless_file;

const IN_MEMORY: usize = 4 * 1024 * 1024;

#[derive(Default)]
pub struct Spool {
    buffer: Vec<u8>,
    file: Option<File>,
}

impl Spool {
    /// All that was written, from the start.
    pub fn copy_to(mut self, to: &mut impl Write) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.rewind()?;
            io::copy(file, to)?;
        }
        to.write_all(&self.buffer)?;
        to.flush()
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > IN_MEMORY {
            let file = match &mut self.file {
                Some(file) => file,
                None => self.file.insert(nameless_file()?),
            };
            file.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
