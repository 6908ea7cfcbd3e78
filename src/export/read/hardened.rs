//! Protection of the Parquet library from damaged and malicious files, which become errors instead of panics or huge
//! allocations.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use super::{RowError, thrift};

/// Maximum bytes of a page, which is decompressed as a whole. A file of 10 KB can claim 2 GiB. Most writers use 1 MiB,
/// and no known writer exceeds 100 MB.
const LARGEST_PAGE: u32 = 128 << 20;

/// Bytes at the end of a file: the footer's length and the mark.
const END: u64 = 8;

/// A feature of a file that this program refuses to read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

pub fn refused(what: String) -> ParquetError {
    ParquetError::External(Box::new(Refused(what)))
}

impl From<ParquetError> for RowError {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(inner) => match inner.downcast::<Refused>() {
                Ok(refused) => Self::Refused(refused.0),
                Err(inner) => Self::Parquet(ParquetError::External(inner)),
            },
            error => Self::Parquet(error),
        }
    }
}

/// A file that refuses to read a footer or pages that are too large for memory.
pub struct BoundedFile(File);

impl BoundedFile {
    pub fn new(file: File) -> Result<Self> {
        let length = Length::len(&file);
        let mut end = [0; END as usize];
        if length >= END {
            file.read_exact_at(&mut end, length - END)?;
        }
        let [a, b, c, d, ..] = end;
        let footer = u64::from(u32::from_le_bytes([a, b, c, d]));
        // If the file is too short for them, the library reports it.
        if let Some(start) = length.checked_sub(END + footer)
            && !thrift::is_sound_footer(file.get_read(start)?, footer)
        {
            return Err(ParquetError::General("its footer is damaged, or too large".to_owned()));
        }
        Ok(Self(file))
    }
}

impl Length for BoundedFile {
    fn len(&self) -> u64 {
        Length::len(&self.0)
    }
}

impl ChunkReader for BoundedFile {
    type T = BufReader<File>;

    /// The library calls this for the header of each page and for the end of the file only.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        if start < self.len().saturating_sub(END) {
            let mut head = Vec::with_capacity(PageHead::LONGEST as usize);
            self.0.get_read(start)?.take(PageHead::LONGEST).read_to_end(&mut head)?;
            PageHead(&head).check()?;
            if !thrift::is_sound(self.0.get_read(start)?, self.len() - start) {
                return Err(ParquetError::General("a page is not where one should be".to_owned()));
            }
        }
        self.0.get_read(start)
    }

    /// The library allocates `length` bytes, which the file claims to have.
    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.len()) {
            return Err(ParquetError::General(
                "a part of it would lie beyond its end".to_owned(),
            ));
        }
        self.0.get_bytes(start, length)
    }
}

/// The first fields of a page's header in Thrift's compact protocol: the page's type, its decompressed size, and its
/// size in the file. Each one is a byte (next field, 32-bit number) and a number.
struct PageHead<'a>(&'a [u8]);

impl PageHead<'_> {
    const LONGEST: u64 = 3 * 6;
    const NEXT_FIELD_IS_A_NUMBER: u8 = 0x15;

    fn check(mut self) -> Result<()> {
        let fields = [self.number(), self.number(), self.number()];
        let [Some(_type), Some(decompressed), Some(compressed)] = fields else {
            return Err(ParquetError::General("a page is not where one should be".to_owned()));
        };
        // Data that can't be compressed grows a little.
        let larger = decompressed.max(compressed - compressed / 64);
        if larger > LARGEST_PAGE {
            let size = larger >> 20;
            return Err(refused(format!("a page of {size} MiB is too large to be valid")));
        }
        Ok(())
    }

    /// Reads a variable-length number with its sign in the lowest bit; `None` for a negative one.
    fn number(&mut self) -> Option<u32> {
        let mut rest = self.0.strip_prefix(&[Self::NEXT_FIELD_IS_A_NUMBER])?;
        let mut number = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let (byte, after) = rest.split_first()?;
            rest = after;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                self.0 = rest;
                return u32::try_from(number >> 1).ok().filter(|_| number & 1 == 0);
            }
        }
        None
    }
}

thread_local! {
    /// Whether a panic of this thread is caught and becomes an error.
    static MAY_PANIC: Cell<bool> = const { Cell::new(false) };
}

/// Turns a panic into an error: the library may panic on damaged numbers, which it uses as indexes.
pub fn caught<T>(read: impl FnOnce() -> std::result::Result<T, RowError>) -> std::result::Result<T, RowError> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let report = take_hook();
        set_hook(Box::new(move |panic| {
            if !MAY_PANIC.get() {
                report(panic);
            }
        }));
    });
    MAY_PANIC.set(true);
    // Unwind safety: after an error, the reader is not used any more.
    let ended = catch_unwind(AssertUnwindSafe(read));
    MAY_PANIC.set(false);
    ended.unwrap_or(Err(RowError::Damaged))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_no_larger_than_memory_allows() {
        let check = |head: &[u8]| PageHead(head).check().map_err(|error| error.to_string());
        assert_eq!(check(&[0x15, 0, 0x15, 0x80, 0x20, 0x15, 4, 0x2c]), Ok(()));
        // 128 MiB are 2^27, or 2^28 with the sign bit.
        let most = [0x15, 0, 0x15, 0x80, 0x80, 0x80, 0x80, 0x01, 0x15, 4];
        assert_eq!(check(&most), Ok(()));
        let more = [0x15, 0, 0x15, 0x82, 0x80, 0x80, 0x80, 0x01, 0x15, 4];
        assert!(check(&more).unwrap_err().contains("a page of 128 MiB"));
        let negative = [0x15, 0, 0x15, 0x01, 0x15, 4];
        // With fields in another order, the decompressed size could come last.
        let reordered = [0x15, 0, 0x25, 4, 0x05, 4, 0x80];
        for none in [&negative[..], &reordered, &[], &[0x15, 0x80]] {
            assert!(check(none).unwrap_err().contains("a page is not where one should be"));
        }
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let panics = || -> std::result::Result<(), RowError> { panic!("index out of range") };
        assert!(matches!(caught(panics), Err(RowError::Damaged)));
        assert!(matches!(caught(|| Ok(1)), Ok(1)));
        assert!(!MAY_PANIC.get());
    }
}
