//! Checks of the pages of a Parquet column: a few bytes in a page can make the library allocate gigabytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};

use super::hardened::ColumnFile;

/// Bytes of pages that may still be read. Values keep their page in memory.
#[derive(Clone, Default)]
pub struct Room(Arc<AtomicUsize>);

impl Room {
    pub fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn take(&self, bytes: usize) {
        self.set(self.0.load(Ordering::Relaxed).saturating_sub(bytes));
    }
}

pub struct BoundedPages {
    pub pages: Box<dyn PageReader>,
    pub file: Arc<ColumnFile>,
    /// Whether the column is nullable.
    pub has_levels: bool,
    /// Whether the column lists an encoding whose values are built from the values before them.
    pub may_grow: bool,
    /// If it is empty, there is no further page for now.
    pub room: Room,
}

impl PageReader for BoundedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        if self.room.is_empty() {
            return Ok(None);
        }
        let Some(page) = self.pages.get_next_page()? else {
            return Ok(None);
        };
        self.check(&page)?;
        if page.is_data_page() {
            self.room.take(page.buffer().len().max(1));
        }
        Ok(Some(page))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

impl Iterator for BoundedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl BoundedPages {
    /// Makes room for the lengths of texts, for which the library allocates memory before it reads them.
    fn check(&self, page: &Page) -> Result<()> {
        let values = page.num_values() as usize;
        let (lengths, lists) = match page.encoding() {
            _ if page.is_dictionary_page() => return Ok(()),
            Encoding::DELTA_LENGTH_BYTE_ARRAY => {
                let lengths = self.values_of(page).and_then(|values| packed(&values));
                (lengths.map(|(lengths, _)| lengths), 1)
            }
            Encoding::DELTA_BYTE_ARRAY if self.may_grow => {
                let lengths = self.values_of(page).and_then(|values| {
                    let (prefixes, end) = packed(&values)?;
                    let (suffixes, _) = packed(values.get(end..)?)?;
                    // If the lengths ran out, the library would repeat the last one.
                    (prefixes == suffixes).then_some(prefixes)
                });
                (lengths, 2)
            }
            Encoding::DELTA_BYTE_ARRAY => {
                let what = "a page is in DELTA_BYTE_ARRAY, which its column does not list";
                return Err(ParquetError::General(what.to_owned()));
            }
            _ => return Ok(()),
        };
        match lengths.filter(|lengths| *lengths <= values) {
            Some(lengths) => self.file.hold(lengths.saturating_mul(lists * size_of::<i32>())),
            None => Err(ParquetError::General("a page has damaged lengths of texts".to_owned())),
        }
    }

    /// The bytes of a data page after its levels.
    fn values_of(&self, page: &Page) -> Option<Bytes> {
        let (all, levels) = match page {
            Page::DataPageV2 {
                buf,
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => (buf, *def_levels_byte_len as usize + *rep_levels_byte_len as usize),
            Page::DataPage {
                buf,
                num_values,
                def_level_encoding,
                ..
            } => match (self.has_levels, def_level_encoding) {
                (false, _) => (buf, 0),
                (true, Encoding::RLE) => {
                    let length = buf.first_chunk::<4>()?;
                    (buf, 4 + u32::from_le_bytes(*length) as usize)
                }
                // One bit per value.
                (true, _) => (buf, (*num_values as usize).div_ceil(8)),
            },
            Page::DictionaryPage { .. } => return None,
        };
        (levels <= all.len()).then(|| all.slice(levels..))
    }
}

/// Returns the number of values in DELTA_BINARY_PACKED data, and their length in bytes. The values are in blocks of
/// equal size, whose parts have bit widths of their own.
fn packed(text: &[u8]) -> Option<(usize, usize)> {
    let mut rest = text;
    let block = number(&mut rest)?;
    let parts = usize::try_from(number(&mut rest)?).ok()?;
    let count = usize::try_from(number(&mut rest)?).ok()?;
    let _first = number(&mut rest)?;
    let of_a_part = usize::try_from(block)
        .ok()?
        .checked_div(parts)
        .filter(|many| *many > 0)?;
    let mut left = count.saturating_sub(1);
    while left > 0 {
        let _least = number(&mut rest)?;
        let (widths, mut after) = rest.split_at_checked(parts)?;
        for width in widths {
            if left == 0 {
                break;
            }
            let bytes = of_a_part.checked_mul(usize::from(*width))? / 8;
            after = after.get(bytes..)?;
            left = left.saturating_sub(of_a_part);
        }
        rest = after;
    }
    Some((count, text.len() - rest.len()))
}

/// Reads a number of variable length.
fn number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_numbers_are_measured() {
        // Blocks of 128 in 4 parts; the numbers 0, 1 and 2.
        let three = [0x80, 1, 4, 3, 0, 2, 0, 0, 0, 0];
        assert_eq!(packed(&[&three[..], b"rest"].concat()), Some((3, three.len())));
        // The first number stands in the header.
        assert_eq!(packed(&[0x80, 1, 4, 1, 6, 9]), Some((1, 5)));
        // The first part has 32 numbers of 2 bits. The parts after the last number are empty, whatever their width.
        let wide = [&[0x80, 1, 4, 20, 0, 0, 2, 9, 9, 9][..], &[0; 8]].concat();
        assert_eq!(packed(&wide), Some((20, wide.len())));
        assert_eq!(packed(&wide[..wide.len() - 1]), None);
        for damaged in [&[][..], &[0, 4, 3, 0], &[0x80, 1, 0, 3, 0], &[0xff; 12]] {
            assert_eq!(packed(damaged), None);
        }
    }
}
