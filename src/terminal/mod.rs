//! Where words leave the program: stdout is data, stderr is logs and progress.

pub mod logs;
pub mod progress;
pub mod table;
pub mod usage;

use std::io::{ErrorKind, Write};

pub use durable_inventory::times;

use crate::commands::Failure;

/// Writes data to stdout. Whoever read it and left, such as `head`, has what it wanted.
pub fn out(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
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
