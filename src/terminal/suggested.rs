//! The commands that messages suggest. With `--data-dir`, they are about another record unless they have it too.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::OnceLock;

use durable_inventory::cli::GlobalArgs;
use durable_inventory::text::shell_word;

/// How a suggested command begins.
const COMMAND: &str = "`durable-inventory ";

static DATA_DIR: OnceLock<String> = OnceLock::new();

/// Remembers the options of this call.
pub fn start(global: &GlobalArgs) {
    if let Some(folder) = &global.data_dir {
        DATA_DIR.get_or_init(|| shell_word(&folder.to_string_lossy()));
    }
}

/// Adds `--data-dir` to each command that a text for people suggests, if this call had it.
pub fn complete(text: &str) -> Cow<'_, str> {
    match DATA_DIR.get() {
        Some(folder) if text.contains(COMMAND) => {
            text.replace(COMMAND, &format!("{COMMAND}--data-dir {folder} ")).into()
        }
        _ => text.into(),
    }
}

/// A writer that completes what it is given, which is one log line at a time.
pub struct Completing<W>(pub W);

impl<W: Write> Write for Completing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(complete(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
