//! Detection of a file's format by its extension and its first bytes.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::RowError;
use crate::export::Format;
use crate::model::ObjectId;

#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error(transparent)]
    Row(#[from] RowError),
    #[error("the file is empty: an empty list needs at least a header row")]
    Empty,
    #[error("it is compressed: unpack it, as in `zcat FILE | durable-inventory diff - ...`")]
    Compressed,
}

/// The extension decides for a format whose files begin with a mark, so that a damaged file is reported as one. A file
/// without such an extension has the format of its mark, or is a list of ids or CSV, depending on its first line.
pub fn detect_format(name: &str, file: &File) -> Result<Format, Unreadable> {
    let mut buffer = [0; 256];
    let read = file.read_at(&mut buffer, 0).map_err(RowError::from)?;
    let start = &buffer[..read];
    match Format::by_extension(name) {
        Some(format) if format.mark().is_some() => return Ok(format),
        // An export of no ids is an empty file.
        Some(Format::Ids) if start.is_empty() => return Ok(Format::Ids),
        _ => {}
    }
    match start {
        [] => return Err(Unreadable::Empty),
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(Unreadable::Compressed),
        _ => {}
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let has_mark = |format: &Format| format.mark().is_some_and(|mark| text.starts_with(mark));
    let mut lines = text.split(|byte| matches!(byte, b'\n' | b'\r'));
    let is_id = |line: &[u8]| ObjectId::from_hex(line.trim_ascii_end()).is_ok();
    Ok(match Format::ALL.into_iter().find(has_mark) {
        Some(format) => format,
        None if lines.next().is_some_and(is_id) => Format::Ids,
        None => Format::Csv,
    })
}
