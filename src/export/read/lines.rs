//! Lines of a text, and records of CSV, in a buffer that is as long as the longest of them.

use std::io::Read;
use std::ops::Range;

use memchr::{memchr, memchr2};

use super::{At, RowError};

const BUFFER: usize = 256 * 1024;
/// What is longer is no row: without a bound, a file without line ends would be read into memory whole.
pub const LONGEST: usize = 1024 * 1024;

pub struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
    /// What was read and not handed on yet.
    start: usize,
    end: usize,
    /// Lines that were handed on.
    line: u64,
    /// Lines of the record that was handed on last.
    height: u64,
}

/// A record, without its line end.
pub struct Record {
    pub bytes: Range<usize>,
    pub quoted: bool,
}

impl<R: Read> Lines<R> {
    pub fn new(from: R) -> Self {
        Self {
            from,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            line: 0,
            height: 0,
        }
    }

    /// Of what came last.
    pub fn at(&self) -> At {
        At::Line(self.line - self.height.saturating_sub(1))
    }

    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    pub fn next_line(&mut self) -> Result<Option<&[u8]>, RowError> {
        let line = self.next::<false>()?;
        Ok(line.map(|line| &self.buffer[line.bytes]))
    }

    pub fn next_line_place(&mut self) -> Result<Option<Range<usize>>, RowError> {
        Ok(self.next::<false>()?.map(|line| line.bytes))
    }

    /// A line end within quotation marks is none.
    pub fn next_record(&mut self) -> Result<Option<Record>, RowError> {
        self.next::<true>()
    }

    /// The same once more.
    pub fn put_back(&mut self, place: Range<usize>) {
        self.start = place.start;
        self.line -= self.height;
    }

    fn next<const QUOTES: bool>(&mut self) -> Result<Option<Record>, RowError> {
        let (mut seen, mut quoted, mut inside) = (0, false, false);
        self.height = 1;
        let length = loop {
            let window = &self.buffer[self.start + seen..self.end];
            let found = match (QUOTES, inside) {
                (false, _) => memchr(b'\n', window),
                (true, false) => memchr2(b'\n', b'"', window),
                (true, true) => memchr(b'"', window),
            };
            let Some(found) = found else {
                if inside {
                    self.height += count_lines(window);
                }
                seen = self.end - self.start;
                if self.fill()? {
                    continue;
                }
                if inside {
                    return Err(RowError::OpenQuote(At::Line(self.line + 1)));
                }
                if seen == 0 {
                    return Ok(None);
                }
                break seen;
            };
            if window[found] == b'\n' {
                break seen + found + 1;
            }
            if inside {
                self.height += count_lines(&window[..found]);
            }
            (quoted, inside) = (true, !inside);
            seen += found + 1;
        };
        let mut bytes = self.start..self.start + length;
        self.start = bytes.end;
        self.line += self.height;
        for ending in *b"\n\r" {
            if self.buffer[bytes.clone()].last() == Some(&ending) {
                bytes.end -= 1;
            }
        }
        Ok(Some(Record { bytes, quoted }))
    }

    /// False at the end.
    fn fill(&mut self) -> Result<bool, RowError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            if self.end >= LONGEST {
                return Err(RowError::TooLong(At::Line(self.line + 1)));
            }
            self.buffer.resize(2 * self.end, 0);
        }
        loop {
            match self.from.read(&mut self.buffer[self.end..]) {
                Ok(read) => {
                    self.end += read;
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
