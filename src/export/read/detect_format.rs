//! Which of our formats a file is in, by its first bytes, and by its name where those could mean more than one.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::RowError;
use crate::export::sink::Format;
use crate::model::ObjectId;

#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error(transparent)]
    Row(#[from] RowError),
    #[error("it is empty: a list of nothing would be a header row alone")]
    Empty,
    #[error("it is compressed: unpack it, as in `zcat FILE | durable-inventory diff - ...`")]
    Compressed,
}

pub fn guess(name: &str, file: &File) -> Result<Format, Unreadable> {
    let mut buffer = [0; 256];
    let read = file.read_at(&mut buffer, 0).map_err(RowError::from)?;
    let start = &buffer[..read];
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("parquet") => return Ok(Format::Parquet),
        Some("jsonl" | "ndjson") => return Ok(Format::Jsonl),
        // Our list of no ids.
        Some("txt") if start.is_empty() => return Ok(Format::Ids),
        _ => {}
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let line = text
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .next()
        .unwrap_or_default();
    Ok(match start {
        [] => return Err(Unreadable::Empty),
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(Unreadable::Compressed),
        [b'P', b'A', b'R', b'1', ..] => Format::Parquet,
        _ if text.first() == Some(&b'{') => Format::Jsonl,
        _ if ObjectId::from_hex(line.trim_ascii_end()).is_ok() => Format::Ids,
        _ => Format::Csv,
    })
}
