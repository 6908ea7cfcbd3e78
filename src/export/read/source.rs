//! Opens a file of rows: recognizes it by its first bytes, unpacks and decodes it. This is the only place that decides
//! what a file is.

use std::fs::File;
use std::io::{Cursor, Read, Seek};

use super::RowError;
use super::foreign::Foreign;
use super::json_objects::Layout;
use super::lines::BYTE_ORDER_MARK;
use super::packing::Packing;
use super::utf16::{Utf16, encoding_of};
use super::values::is_id;
use crate::export::Format;

/// Bytes of a file's start by which it is recognized.
pub const START: u64 = 64 * 1024;

/// A file's content, from its start.
pub enum Source {
    Csv(TextStream),
    Ids(TextStream),
    Json(Layout, TextStream),
    Parquet(File),
}

/// UTF-8, or another encoding that has ASCII in it.
pub type TextStream = Box<dyn Read + Send>;

impl Source {
    /// Opens a file at its start. Its name matters only if the content does not say what it is.
    pub fn open(name: &str, mut file: File) -> Result<Self, RowError> {
        let start = start_of(&mut file)?;
        file.rewind()?;
        let Some(packing) = Packing::of(&start) else {
            let format = Format::by_extension(name);
            let is_parquet = is_parquet(&start);
            return match Foreign::of(&start).filter(|foreign| !foreign.is_unknown()) {
                None if is_parquet || format == Some(Format::Parquet) => Ok(Self::Parquet(file)),
                _ => Self::text(format, start, Box::new(file)),
            };
        };
        let mut unpacked = packing.unpack(file)?;
        let start = start_of(&mut unpacked)?;
        let inside = match Packing::of(&start) {
            Some(inside) => Some(inside.name()),
            None => is_parquet(&start).then_some("Parquet"),
        };
        if let Some(inside) = inside {
            return Err(RowError::Packed { packing, inside });
        }
        let format = Format::by_extension(packing.strip_extension(name));
        let text = Cursor::new(start.clone()).chain(unpacked);
        Self::text(format, start, Box::new(text))
    }

    /// `start` is the start of `text`, which was not consumed.
    fn text(format: Option<Format>, mut start: Vec<u8>, mut text: TextStream) -> Result<Self, RowError> {
        if let Some(encoding) = encoding_of(&start) {
            let mut decoded = Utf16::new(encoding, text);
            start = start_of(&mut decoded)?;
            text = Box::new(Cursor::new(start.clone()).chain(decoded));
        }
        if let Some(foreign) = Foreign::of(&start) {
            return Err(RowError::Foreign(foreign));
        }
        let content = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&start).trim_ascii_start();
        let first_line = content.split(|byte| matches!(byte, b'\n' | b'\r')).next();
        Ok(match (content.first(), format) {
            // An export of no ids, or of no rows in JSON Lines, is an empty file.
            (None, Some(Format::Ids)) => Self::Ids(text),
            (None, Some(Format::Jsonl)) => Self::Json(Layout::Lines, text),
            (None, _) if start.is_empty() => return Err(RowError::Empty),
            (Some(b'{' | b'['), _) => Self::Json(Layout::of(content), text),
            _ if first_line.is_some_and(is_id) => Self::Ids(text),
            // So that a damaged line is reported as one.
            (_, Some(Format::Jsonl)) => Self::Json(Layout::Lines, text),
            _ => Self::Csv(text),
        })
    }
}

/// Fails if the start of a file shows that it has no rows that can be read.
pub fn require_rows(start: &[u8]) -> Result<(), RowError> {
    match Foreign::of(start) {
        Some(foreign) if Packing::of(start).is_none() && !is_parquet(start) && encoding_of(start).is_none() => {
            Err(RowError::Foreign(foreign))
        }
        _ => Ok(()),
    }
}

fn is_parquet(start: &[u8]) -> bool {
    Format::Parquet.mark().is_some_and(|mark| start.starts_with(mark))
}

fn start_of(from: &mut impl Read) -> Result<Vec<u8>, RowError> {
    let mut start = Vec::new();
    from.take(START).read_to_end(&mut start)?;
    Ok(start)
}
