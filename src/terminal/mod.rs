//! Where words leave the program: stdout is data, stderr is logs and progress.

pub mod logs;
pub mod progress;
pub mod table;
pub mod usage;

use std::io::{ErrorKind, Write};

use durable_inventory::export::Stdout;
pub use durable_inventory::times;

use crate::commands::Failure;

/// Writes data to stdout. A reader that left, such as `head` or a closed terminal, is not an error.
pub fn out(text: &str) -> Result<(), Failure> {
    let mut stdout = Stdout::default();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(error, 1)),
        _ => Ok(()),
    }
}

/// One object a line, for programs.
pub fn json_lines(rows: impl Iterator<Item = serde_json::Value>) -> String {
    rows.map(|row| format!("{row}\n")).collect()
}

/// Writes one line to stderr.
pub fn err(line: &str) {
    // Where stderr is closed, nobody can be told.
    let _closed = writeln!(std::io::stderr().lock(), "{line}");
}
