//! The records of CSV. One scanner finds the cells, and a record ends where its last cell ends.
//!
//! This is not the `csv` crate, which accepts malformed input such as text after a closing quotation mark, where rows
//! may get lost. For a million rows without quotation marks, this scanner takes three quarters of the crate's time.

use std::io::Read;
use std::ops::Range;

use memchr::{memchr, memchr2, memchr3};

use super::lines::{Lines, line_ends};
use super::{At, RowError};
use crate::model::ObjectId;

pub struct Records<R> {
    lines: Lines<R>,
    delimiter: u8,
    cells: Vec<Cell>,
    /// The record's position in the buffer.
    start: usize,
    /// Whether the record ends in a line end, and not with the text.
    has_line_end: bool,
}

/// Maximum number of cells in a record. Spreadsheets have as many columns.
const MOST_CELLS: usize = 1 << 14;

/// The range of a cell in its record, without quotation marks.
struct Cell {
    place: Range<usize>,
    quoted: bool,
    /// Whether it has quotation marks, which are doubled.
    doubled: bool,
}

/// The length of a record.
struct Extent {
    bytes: usize,
    lines: u64,
    has_line_end: bool,
}

impl<R: Read> Records<R> {
    /// Returns the records after the header, and the header's cells. The delimiter is the first one that makes a header
    /// which `known` accepts, or else the first one.
    pub fn new(from: R, delimiters: &[u8], known: impl Fn(&[String]) -> bool) -> Result<(Self, Vec<String>), RowError> {
        let mut records = Self {
            lines: Lines::new(from),
            delimiter: b',',
            cells: Vec::new(),
            start: 0,
            has_line_end: true,
        };
        let named = records.named_delimiter()?;
        let delimiters = named.as_ref().map_or(delimiters, std::slice::from_ref);
        let mut first = None;
        for delimiter in delimiters {
            records.delimiter = *delimiter;
            match records.header() {
                Ok(names) if known(&names) => {
                    first = Some((*delimiter, Ok(names)));
                    break;
                }
                other => first = first.or(Some((*delimiter, other))),
            }
        }
        let (delimiter, names) = first.ok_or(RowError::NoHeader)?;
        let names = names?;
        records.delimiter = delimiter;
        records.next()?;
        Ok((records, names))
    }

    /// Consumes a first line that names the delimiter for spreadsheets, such as `sep=;`, and returns the delimiter.
    fn named_delimiter(&mut self) -> Result<Option<u8>, RowError> {
        let end = self.lines.find(0, |bytes| memchr2(b'\n', b'\r', bytes))?;
        let line = self.lines.peek(0..end);
        let line = line
            .strip_prefix(b"\"")
            .and_then(|line| line.strip_suffix(b"\""))
            .unwrap_or(line);
        let delimiter = match line.split_at_checked(4) {
            Some((name, [delimiter])) if name.eq_ignore_ascii_case(b"sep=") => *delimiter,
            _ => return Ok(None),
        };
        let bytes = self.lines.after_line_end(end)?;
        self.lines.consume(bytes, 1);
        Ok(Some(delimiter))
    }

    /// Returns the cells of the first record without consuming it.
    fn header(&mut self) -> Result<Vec<String>, RowError> {
        self.scan_next()?.ok_or(RowError::NoHeader)?;
        let text = |cell: &Cell| {
            let text = String::from_utf8_lossy(self.lines.peek(cell.place.clone()));
            if cell.doubled {
                text.replace("\"\"", "\"")
            } else {
                text.into_owned()
            }
        };
        Ok(self.cells.iter().map(text).collect())
    }

    pub fn at(&self) -> At {
        self.lines.at()
    }

    pub fn has_line_end(&self) -> bool {
        self.has_line_end
    }

    /// Moves to the next record and returns its number of cells; `None` at the end.
    pub fn next(&mut self) -> Result<Option<usize>, RowError> {
        let Some(extent) = self.scan_next()? else {
            return Ok(None);
        };
        self.start = self.lines.consume(extent.bytes, extent.lines);
        self.has_line_end = extent.has_line_end;
        for cell in self.cells.iter_mut().filter(|cell| cell.doubled) {
            let place = self.start + cell.place.start..self.start + cell.place.end;
            cell.place.end = cell.place.start + undouble(self.lines.bytes_mut(place));
        }
        Ok(Some(self.cells.len()))
    }

    /// A cell of the current record; empty if the record has fewer cells.
    pub fn cell(&self, index: usize) -> &[u8] {
        match self.cells.get(index) {
            Some(cell) => self
                .lines
                .bytes(self.start + cell.place.start..self.start + cell.place.end),
            None => b"",
        }
    }

    /// Finds the cells of the next record, after empty lines.
    fn scan_next(&mut self) -> Result<Option<Extent>, RowError> {
        loop {
            let Some(extent) = self.scan()? else {
                return Ok(None);
            };
            match &self.cells[..] {
                [only] if only.place.is_empty() && !only.quoted => self.lines.consume(extent.bytes, extent.lines),
                _ => return Ok(Some(extent)),
            };
        }
    }

    fn scan(&mut self) -> Result<Option<Extent>, RowError> {
        self.cells.clear();
        let delimiter = self.delimiter;
        let (mut at, mut lines) = (0, 1);
        loop {
            let end = match self.lines.byte(at)? {
                None if at == 0 => return Ok(None),
                Some(b'"') => self.scan_quoted(at + 1, &mut lines)?,
                // A quotation mark that does not open the cell is text.
                _ => {
                    let end = self.lines.find(at, |bytes| memchr3(delimiter, b'\n', b'\r', bytes))?;
                    self.cells.push(Cell {
                        place: at..end,
                        quoted: false,
                        doubled: false,
                    });
                    end
                }
            };
            if self.lines.byte(end)? != Some(delimiter) {
                let bytes = self.lines.after_line_end(end)?;
                return Ok(Some(Extent {
                    bytes,
                    lines,
                    has_line_end: bytes > end,
                }));
            }
            if self.cells.len() == MOST_CELLS {
                return Err(RowError::TooManyCells {
                    at: self.lines.ahead(0),
                    limit: MOST_CELLS,
                });
            }
            at = end + 1;
        }
    }

    /// Returns the position after the closing quotation mark.
    fn scan_quoted(&mut self, start: usize, lines: &mut u64) -> Result<usize, RowError> {
        let opened = self.lines.ahead(*lines - 1);
        let unclosed = |error| match error {
            RowError::TooLong(_) => RowError::OpenQuote(opened),
            other => other,
        };
        let (before, mut at, mut doubled) = (*lines, start, false);
        let end = loop {
            let end = self.lines.find(at, |bytes| memchr(b'"', bytes)).map_err(unclosed)?;
            if self.lines.byte(end)?.is_none() {
                return Err(RowError::OpenQuote(opened));
            }
            *lines += line_ends(self.lines.peek(at..end));
            match self.lines.byte(end + 1)? {
                Some(b'"') => (at, doubled) = (end + 2, true),
                None | Some(b'\n' | b'\r') => break end,
                Some(byte) if byte == self.delimiter => break end,
                Some(_) => return Err(RowError::AfterQuote(self.lines.ahead(*lines - 1))),
            }
        };
        if *lines > before && self.holds_a_row(start..end) {
            return Err(RowError::QuotedRow(opened));
        }
        self.cells.push(Cell {
            place: start..end,
            quoted: true,
            doubled,
        });
        Ok(end + 1)
    }

    /// Whether a cell of several lines looks like rows: a line in it has an object id between delimiters. Then the
    /// quotation marks around the cell are probably text, and rows would get lost in it.
    fn holds_a_row(&self, place: Range<usize>) -> bool {
        let lines = self.lines.peek(place).split(|byte| matches!(byte, b'\n' | b'\r'));
        let rows = lines.filter(|line| line.contains(&self.delimiter));
        let mut cells = rows.flat_map(|row| row.split(|byte| *byte == self.delimiter));
        cells.any(|cell| ObjectId::from_hex(cell.trim_ascii()).is_ok())
    }
}

/// Replaces doubled quotation marks by single ones in place, and returns the new length.
fn undouble(text: &mut [u8]) -> usize {
    let (mut read, mut written) = (0, 0);
    while read < text.len() {
        let byte = text[read];
        text[written] = byte;
        written += 1;
        read += if byte == b'"' { 2 } else { 1 };
    }
    written
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All records with the header.
    fn read(text: &str) -> Result<Vec<Vec<String>>, RowError> {
        let (mut records, header) = Records::new(text.as_bytes(), b",", |_| true)?;
        let mut all = vec![header];
        while let Some(cells) = records.next()? {
            let cell = |index| String::from_utf8_lossy(records.cell(index)).into_owned();
            all.push((0..cells).map(cell).collect());
        }
        Ok(all)
    }

    #[test]
    fn a_quotation_mark_that_does_not_open_a_cell_is_text() {
        let text = "size \",b\n5\",x\ny,3\" tape\n\"a \"\"b\"\"\",\"\"\n";
        let expected = [["size \"", "b"], ["5\"", "x"], ["y", "3\" tape"], ["a \"b\"", ""]];
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn lines_end_in_lf_and_cr_lf_and_cr() {
        let text = "a,b\r1,2\n3,4\r\n\r\r\n5,\"6\r\n7\r\"\r";
        assert_eq!(
            read(text).unwrap(),
            [["a", "b"], ["1", "2"], ["3", "4"], ["5", "6\r\n7\r"]]
        );
        let (mut records, _) = Records::new(text.as_bytes(), b",", |_| true).unwrap();
        let lines = std::iter::from_fn(|| records.next().unwrap().map(|_| records.at().to_string()));
        assert_eq!(lines.collect::<Vec<_>>(), ["line 2", "line 3", "line 6"]);
    }

    #[test]
    fn rows_within_a_quoted_cell_are_an_error() {
        let id = "a".repeat(64);
        for (text, place) in [
            (
                format!("id,n,f\n{id},\"x \\\"\",true\n{id},\"y \\\"\",false\n"),
                "line 3",
            ),
            (format!("id,n,f\n{id},\"x,true\n{id},12\",true\n"), "line 2"),
            (
                format!("id,n,f\n1,\"ok\",t\n{id},\"x \\\"\",b\n{id},\", y\",t\n"),
                "line 3",
            ),
            (format!("n,\"id\n1,{id}\n2,{id}\"\n"), "line 1"),
            (format!("n,id\n\"x,{id}\ny\",{id}\n"), "line 2"),
            (format!("id,n\n{id},\"x\" y\n"), "line 2"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(
                matches!(error, RowError::AfterQuote(_) | RowError::QuotedRow(_)),
                "{text}"
            );
            assert!(error.to_string().contains(place), "{error}: {text}");
        }
        // A note may well name an object.
        assert_eq!(read(&format!("id,n\n{id},\"like\n{id}\"\n")).unwrap().len(), 2);
    }

    #[test]
    fn an_open_quotation_mark_is_reported_with_its_line() {
        for text in [
            "a,b\n1,\"2\n3\",\"4\n".to_owned(),
            format!("a,b\n1,\"2\n3\",\"4{}\n", "\n5".repeat(1 << 20)),
        ] {
            assert!(matches!(read(&text), Err(RowError::OpenQuote(At::Line(3)))));
        }
    }

    proptest! {
        /// Any text is either an error or has the records that the csv crate finds.
        #[test]
        fn records_are_those_that_the_csv_crate_finds(text in "[ab,\"\n\r]{0,40}") {
            if let Ok(found) = read(&text) {
                let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text.as_bytes());
                let expected: Vec<Vec<_>> = reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
