//! Protection of the Parquet library from damaged and malicious files, which become errors instead of panics or huge
//! allocations.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use brotli::Decompressor;
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use parquet::basic::Compression;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length, SerializedPageReader};

use super::RowError;
use super::foreign::Foreign;
use super::pages::{BoundedPages, Room};
use super::thrift::{self, Footer, PageHead};

/// Bytes of memory for one file: its footer, and the pages of its columns, which are decompressed as a whole. Most
/// writers make pages of 1 MiB; some make one page per column and row group.
const MEMORY: usize = 28 << 20;
/// What decompressing Brotli takes: its largest window.
const BROTLI_WINDOW: usize = 16 << 20;

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
            ParquetError::NYI(what) => Self::Refused(format!(
                "it uses a feature of Parquet that this program does not have ({what}): {}",
                rewrite("")
            )),
            error => Self::Parquet(error),
        }
    }
}

/// The advice to write the file in another way.
fn rewrite(options: &str) -> String {
    format!("rewrite it, as in `duckdb -c \"COPY (FROM 'FILE') TO 'NEW.parquet' (COMPRESSION zstd{options})\"`")
}

/// The memory that one file takes, in bytes.
#[derive(Default)]
struct Memory(AtomicUsize);

impl Memory {
    fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails if `more` bytes are too many.
    fn require(&self, more: usize, what: &str) -> Result<()> {
        match self.used().saturating_add(more) {
            needed if needed > MEMORY => Err(refused(format!(
                "{what} of it take {} MiB of memory, more than the {} MiB that there are for a file: {}",
                needed >> 20,
                MEMORY >> 20,
                rewrite(", ROW_GROUP_SIZE 100000")
            ))),
            _ => Ok(()),
        }
    }

    fn replace(&self, before: usize, after: usize) {
        self.0
            .store(self.used().saturating_sub(before) + after, Ordering::Relaxed);
    }
}

/// A Parquet file that refuses to be read if its footer or its pages are too large for memory.
pub struct BoundedFile {
    file: Arc<File>,
    memory: Arc<Memory>,
}

impl BoundedFile {
    pub fn open(file: File) -> std::result::Result<(Self, ParquetMetaData), RowError> {
        let length = Length::len(&file);
        let mut end = [0; END as usize];
        if length >= END {
            file.read_exact_at(&mut end, length - END)?;
        }
        let [a, b, c, d, mark @ ..] = end;
        if &mark == b"PARE" {
            return Err(RowError::Foreign(Foreign::encrypted_parquet()));
        }
        let memory = Memory::default();
        let footer = u64::from(u32::from_le_bytes([a, b, c, d]));
        // If the file is too short for them, the library reports it.
        if let Some(start) = length.checked_sub(END + footer) {
            let Some(found) = thrift::footer(file.get_read(start)?, footer) else {
                return Err(ParquetError::General("its footer is damaged, or too large".to_owned()).into());
            };
            if found.is_encrypted {
                return Err(RowError::Foreign(Foreign::encrypted_parquet()));
            }
            let taken = memory_of(&found, footer as usize);
            memory.require(taken, &format!("the descriptions of {} column parts", found.chunks))?;
            memory.replace(0, taken);
        }
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&file)?;
        let bounded = Self {
            file: Arc::new(file),
            memory: Arc::new(memory),
        };
        Ok((bounded, metadata))
    }

    /// Returns the pages of a column in a row group of `rows` rows.
    pub fn pages(&self, column: &ColumnChunkMetaData, rows: usize, may_grow: bool, room: Room) -> Result<BoundedPages> {
        let file = Arc::new(ColumnFile {
            file: self.file.clone(),
            codec: column.compression(),
            memory: self.memory.clone(),
            held: Mutex::default(),
        });
        Ok(BoundedPages {
            pages: Box::new(SerializedPageReader::new(file.clone(), column, rows, None)?),
            file,
            has_levels: column.column_descr().max_def_level() > 0,
            may_grow,
            room,
        })
    }
}

/// Texts in a footer are copied once.
fn memory_of(footer: &Footer, bytes: usize) -> usize {
    /// A schema element, with what the library keeps for each.
    const ELEMENT: usize = 512;
    let chunks = footer.chunks.saturating_mul(size_of::<ColumnChunkMetaData>());
    chunks
        .saturating_add(footer.elements.saturating_mul(ELEMENT))
        .saturating_add(2 * bytes)
}

/// The file, as the library reads one column's pages from it.
pub struct ColumnFile {
    file: Arc<File>,
    codec: Compression,
    memory: Arc<Memory>,
    held: Mutex<Held>,
}

/// Bytes of memory that one column's pages take.
#[derive(Default)]
struct Held {
    dictionary: usize,
    data: usize,
    /// Bytes that the page should have after its levels, when it is decompressed.
    expected: usize,
    levels: usize,
}

impl ColumnFile {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for a page, whose header was read. The page before is freed only when the new one is there.
    fn hold_page(&self, head: &PageHead) -> Result<()> {
        let packed = match self.codec {
            Compression::UNCOMPRESSED => 0,
            Compression::BROTLI(_) => head.compressed + BROTLI_WINDOW,
            _ => head.compressed,
        };
        let entries = head.entries.saturating_mul(size_of::<ByteArray>());
        let size = head.decompressed.max(head.compressed).saturating_add(entries);
        self.memory.require(size.saturating_add(packed), "the pages")?;
        let mut held = self.held();
        (held.expected, held.levels) = (head.decompressed.saturating_sub(head.levels), head.levels);
        let place = match head.is_dictionary {
            true => &mut held.dictionary,
            false => &mut held.data,
        };
        self.memory.replace(*place, size);
        *place = size;
        Ok(())
    }

    /// Makes room for `bytes` that the library needs to read the current page.
    pub fn hold(&self, bytes: usize) -> Result<()> {
        self.memory.require(bytes, "the pages")?;
        let mut held = self.held();
        self.memory.replace(0, bytes);
        held.data += bytes;
        Ok(())
    }

    /// The library trusts these formats to end where they should.
    fn require_size(&self, page: &Bytes) -> Result<()> {
        let (expected, levels) = {
            let held = self.held();
            (held.expected as u64, held.levels)
        };
        let packed = page.get(levels..).unwrap_or_default();
        let exceeds = |from: &mut dyn Read| {
            let read = io::copy(&mut from.take(expected + 1), &mut io::sink());
            // The library reports damage.
            read.is_ok_and(|read| read > expected)
        };
        let is_larger = match self.codec {
            Compression::GZIP(_) => exceeds(&mut MultiGzDecoder::new(packed)),
            // A window of up to 1 GiB, which Parquet does not have.
            Compression::BROTLI(_) if packed.first().is_some_and(|first| first & 0x7f == 0x11) => true,
            Compression::BROTLI(_) => exceeds(&mut Decompressor::new(packed, 4096)),
            Compression::LZ4 if packed.starts_with(b"\x04\x22\x4d\x18") => {
                return Err(ParquetError::NYI("pages in LZ4 frames".to_owned()));
            }
            _ => false,
        };
        match is_larger {
            true => Err(ParquetError::General(
                "a page is larger than its header says".to_owned(),
            )),
            false => Ok(()),
        }
    }
}

impl Drop for ColumnFile {
    fn drop(&mut self) {
        let Held { dictionary, data, .. } = *self.held();
        self.memory.replace(dictionary + data, 0);
    }
}

impl Length for ColumnFile {
    fn len(&self) -> u64 {
        Length::len(&*self.file)
    }
}

impl ChunkReader for ColumnFile {
    type T = BufReader<File>;

    /// The library calls this for the header of each page only.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        let left = self.len().saturating_sub(start);
        let Some(head) = thrift::page_head(self.file.get_read(start)?, left) else {
            return Err(ParquetError::General("a page is not where one should be".to_owned()));
        };
        self.hold_page(&head)?;
        self.file.get_read(start)
    }

    /// The library allocates `length` bytes, which the file claims to have.
    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.len()) {
            return Err(ParquetError::General(
                "a part of it would lie beyond its end".to_owned(),
            ));
        }
        let page = self.file.get_bytes(start, length)?;
        self.require_size(&page)?;
        Ok(page)
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
    fn a_panic_becomes_an_error() {
        let panics = || -> std::result::Result<(), RowError> { panic!("index out of range") };
        assert!(matches!(caught(panics), Err(RowError::Damaged)));
        assert!(matches!(caught(|| Ok(1)), Ok(1)));
        assert!(!MAY_PANIC.get());
    }
}
