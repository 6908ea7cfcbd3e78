//! A text in a buffer that is as long as the longest of its lines, and the lines themselves.

use std::io::Read;
use std::ops::Range;

use memchr::{memchr2, memchr2_iter};

use super::{At, RowError};

const BUFFER: usize = 256 * 1024;
/// The longest line that is read. Without a limit, a file without line ends would fill the memory.
pub const LONGEST: usize = 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Positions in the text are counted from the first byte that was not handed on yet.
pub struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
    /// What was read and not handed on yet.
    start: usize,
    end: usize,
    started: bool,
    /// How many lines were handed on, and how many of them last.
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

    /// Where what was handed on last begins.
    pub fn at(&self) -> At {
        At::Line(self.line - self.height.saturating_sub(1))
    }

    /// Where the first line begins that was not handed on yet, or one of those after it.
    pub fn ahead(&self, lines: u64) -> At {
        At::Line(self.line + 1 + lines)
    }

    /// The bytes of a range that was handed on last.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    pub fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.buffer[range]
    }

    /// Bytes that were read and not handed on yet.
    pub fn waiting(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[self.start + range.start..self.start + range.end]
    }

    /// Without its end, which is LF, CR LF, or CR alone.
    pub fn next_line(&mut self) -> Result<Option<Range<usize>>, RowError> {
        let end = self.find(0, |bytes| memchr2(b'\n', b'\r', bytes))?;
        let next = self.after_line_end(end)?;
        if next == 0 {
            return Ok(None);
        }
        let start = self.hand_on(next, 1);
        Ok(Some(start..start + end))
    }

    /// The position from `from` on where `search` finds something; the end of the text where it finds nothing.
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

    /// `None` at the end of the text.
    #[inline(always)]
    pub fn byte(&mut self, at: usize) -> Result<Option<u8>, RowError> {
        while self.start + at >= self.end {
            if !self.fill()? {
                return Ok(None);
            }
        }
        Ok(Some(self.buffer[self.start + at]))
    }

    /// The position after a line end, of which the text's end is one.
    #[inline(always)]
    pub fn after_line_end(&mut self, at: usize) -> Result<usize, RowError> {
        Ok(match self.byte(at)? {
            None => at,
            Some(b'\r') if self.byte(at + 1)? == Some(b'\n') => at + 2,
            Some(_) => at + 1,
        })
    }

    /// Hands on the next bytes, which are so many lines, and returns where in the buffer they begin.
    pub fn hand_on(&mut self, length: usize, lines: u64) -> usize {
        let start = self.start;
        self.start += length;
        self.line += lines;
        self.height = lines;
        start
    }

    /// False at the end.
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

    /// False at the end.
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

/// How many lines end in a text that a line end does not cut in two.
pub fn line_ends(text: &[u8]) -> u64 {
    let ends = memchr2_iter(b'\n', b'\r', text);
    ends.filter(|at| text[*at] == b'\n' || text.get(at + 1) != Some(&b'\n'))
        .count() as u64
}
