//! A buffered text and its lines. The buffer grows to the longest line.

use std::io::Read;
use std::ops::Range;

use memchr::{memchr2, memchr2_iter};

use super::{At, RowError};

const BUFFER: usize = 256 * 1024;
/// Maximum bytes per line. Without a limit, a file without line ends would fill the memory.
pub const LONGEST: usize = 1024 * 1024;
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Positions are relative to the first byte that was not consumed yet.
pub struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
    /// The range of bytes that were read but not consumed.
    start: usize,
    end: usize,
    started: bool,
    /// Number of consumed lines, and of lines that the last call consumed.
    line: u64,
    height: u64,
}

impl<R: Read> Lines<R> {
    pub fn new(from: R) -> Self {
        Self {
            from,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            started: false,
            line: 0,
            height: 0,
        }
    }

    /// The line at which the last consumed bytes begin.
    pub fn at(&self) -> At {
        At::Line(self.line - self.height.saturating_sub(1))
    }

    /// The first line that was not consumed, or the line that is `lines` after it.
    pub fn ahead(&self, lines: u64) -> At {
        At::Line(self.line + 1 + lines)
    }

    /// The bytes of a range in the buffer, which the last call returned.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    pub fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.buffer[range]
    }

    /// Bytes that were read but not consumed.
    pub fn peek(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[self.start + range.start..self.start + range.end]
    }

    /// Consumes a line. The range is without the line end, which is LF, CR LF or CR.
    pub fn next_line(&mut self) -> Result<Option<Range<usize>>, RowError> {
        let end = self.find(0, |bytes| memchr2(b'\n', b'\r', bytes))?;
        let next = self.after_line_end(end)?;
        if next == 0 {
            return Ok(None);
        }
        let start = self.consume(next, 1);
        Ok(Some(start..start + end))
    }

    /// Returns the position of the first match of `search` at or after `from`, or the end of the text.
    #[inline(always)]
    pub fn find(&mut self, from: usize, search: impl Fn(&[u8]) -> Option<usize>) -> Result<usize, RowError> {
        let mut from = from;
        loop {
            if let Some(found) = search(&self.buffer[self.start + from..self.end]) {
                return Ok(from + found);
            }
            from = self.end - self.start;
            if !self.fill()? {
                return Ok(from);
            }
        }
    }

    /// Returns `None` at the end of the text.
    #[inline(always)]
    pub fn byte(&mut self, at: usize) -> Result<Option<u8>, RowError> {
        while self.start + at >= self.end {
            if !self.fill()? {
                return Ok(None);
            }
        }
        Ok(Some(self.buffer[self.start + at]))
    }

    /// Returns the position after a line end. The end of the text is one.
    #[inline(always)]
    pub fn after_line_end(&mut self, at: usize) -> Result<usize, RowError> {
        Ok(match self.byte(at)? {
            None => at,
            Some(b'\r') if self.byte(at + 1)? == Some(b'\n') => at + 2,
            Some(_) => at + 1,
        })
    }

    /// Consumes `length` bytes, which have `lines` lines, and returns their position in the buffer.
    pub fn consume(&mut self, length: usize, lines: u64) -> usize {
        let start = self.start;
        self.start += length;
        self.line += lines;
        self.height = lines;
        start
    }

    /// Reads more bytes; false at the end.
    fn fill(&mut self) -> Result<bool, RowError> {
        if !self.started {
            self.started = true;
            while self.end < BYTE_ORDER_MARK.len() && self.read()? {}
            if self.buffer[..self.end].starts_with(BYTE_ORDER_MARK) {
                self.start = BYTE_ORDER_MARK.len();
            }
            return Ok(self.start < self.end || self.read()?);
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            if self.end >= LONGEST {
                return Err(RowError::TooLong(self.ahead(0)));
            }
            self.buffer.resize(2 * self.end, 0);
        }
        self.read()
    }

    /// Returns false at the end.
    fn read(&mut self) -> Result<bool, RowError> {
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

/// Counts the line ends in a text. Neither end of the text may lie within a CR LF.
pub fn line_ends(text: &[u8]) -> u64 {
    let ends = memchr2_iter(b'\n', b'\r', text);
    ends.filter(|at| text[*at] == b'\n' || text.get(at + 1) != Some(&b'\n'))
        .count() as u64
}
