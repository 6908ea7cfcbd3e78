//! What the program writes: data to stdout, logs and progress to stderr.

mod failure;
pub mod logs;
pub mod look;
pub mod progress;
pub mod question;
mod short_logs;
mod shorten;
pub mod suggested;
pub mod table;
pub mod usage_error;

use std::io::{ErrorKind, Write};

use durable_inventory::documents;
use durable_inventory::export::Stdout;
pub use durable_inventory::times;
pub use failure::Failure;
use serde::Serialize;

/// Writes data to stdout. A reader that left, such as `head` or a closed terminal, is not an error.
pub fn out(text: &str) -> Result<(), Failure> {
    let mut stdout = Stdout::default();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(error, 1)),
        _ => Ok(()),
    }
}

/// A document for programs, as one line.
pub fn json(document: impl Serialize) -> Result<String, Failure> {
    documents::line(&document).map_err(|error| Failure::new(error, 1))
}

/// One document per line, for programs.
pub fn json_lines(documents: impl Iterator<Item = impl Serialize>) -> Result<String, Failure> {
    documents.map(json).collect()
}

/// Writes one line to stderr.
pub fn err(line: &str) {
    // If stderr is closed, there is nowhere to report it.
    let _closed = writeln!(std::io::stderr().lock(), "{}", suggested::complete(line));
}
