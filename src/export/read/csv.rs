//! Rows of CSV files, and of lists of ids.
//!
//! Almost all records of our columns have no quotation marks: their cells are found by their commas alone, which is
//! several times as fast as a parser that looks at each byte. The others go through that parser.

use std::io::Read;

use csv_core::ReadRecordResult;
use memchr::memchr_iter;

use super::lines::Lines;
use super::{At, Columns, Row, RowError, flag};
use crate::export::formula::unguarded;
use crate::model::ObjectId;

/// A spreadsheet of another language writes semicolons.
const DELIMITERS: [u8; 3] = *b",;\t";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const NOT_NEEDED: u8 = u8::MAX;

/// What is needed of a record, each with its place in `Cells`.
const ACCOUNT: usize = 0;
const NAMESPACE: usize = 1;
const OBJECT: usize = 2;
const DATA: usize = 3;

pub struct CsvReader<R> {
    lines: Lines<R>,
    header: Header,
    quoted: Quoted,
}

struct Header {
    delimiter: u8,
    /// Of each column: which of the needed cells it holds.
    uses: Vec<u8>,
    there: [bool; 4],
    columns: Columns,
}

impl<R: Read> CsvReader<R> {
    pub fn new(from: R) -> Result<Self, RowError> {
        let mut lines = Lines::new(from);
        let first = lines.next_record()?.ok_or(RowError::NoHeader)?;
        let text = lines.bytes(first.bytes);
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let headers = DELIMITERS.map(|delimiter| Header::new(text, delimiter));
        let with_ids = headers.iter().position(|header| header.columns.object_id);
        let header = headers.into_iter().nth(with_ids.unwrap_or_default());
        let header = header.ok_or(RowError::NoHeader)?;
        Ok(Self {
            quoted: Quoted::new(header.delimiter),
            lines,
            header,
        })
    }

    pub fn at(&self) -> At {
        self.lines.at()
    }

    pub fn columns(&self) -> Columns {
        self.header.columns
    }

    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, RowError> {
        let record = loop {
            match self.lines.next_record()? {
                None => return Ok(None),
                // As parsers of CSV do, we take an empty line for none.
                Some(record) if record.bytes.is_empty() => {}
                Some(record) => break record,
            }
        };
        let (at, bytes) = (self.lines.at(), self.lines.bytes(record.bytes));
        let header = &self.header;
        let (cells, found) = if record.quoted {
            self.quoted.parse(bytes);
            header.choose(self.quoted.cells())
        } else {
            header.split(bytes)
        };
        if found != header.uses.len() {
            return Err(RowError::Cells {
                at,
                found,
                expected: header.uses.len(),
            });
        }
        let cell = |which: usize| header.there[which].then_some(cells[which]);
        let object_id = cell(OBJECT).map(|text| ObjectId::from_hex(text).map_err(|_| RowError::id(at, text)));
        let data = cell(DATA).map(|text| flag(text).ok_or_else(|| RowError::flag(at, text)));
        Ok(Some(Row {
            account_id: cell(ACCOUNT).map(unguarded),
            namespace_id: cell(NAMESPACE).map(unguarded),
            object_id: object_id.transpose()?,
            has_stored_data: data.transpose()?,
        }))
    }
}

type Cells<'a> = [&'a [u8]; 4];

impl Header {
    fn new(text: &[u8], delimiter: u8) -> Self {
        let mut quoted = Quoted::new(delimiter);
        quoted.parse(text);
        let names: Vec<_> = quoted.cells().map(String::from_utf8_lossy).collect();
        let mut uses = vec![NOT_NEEDED; names.len()];
        let mut there = [false; 4];
        // The first name that is there counts: a view's `id` says in bytes what its `object_id` says in text.
        let wanted: [(usize, &[&str]); 4] = [
            (ACCOUNT, &["account_id"]),
            (NAMESPACE, &["namespace_id"]),
            (OBJECT, &["object_id", "id"]),
            (DATA, &["has_stored_data", "hasStoredData"]),
        ];
        for (which, known_as) in wanted {
            let place = known_as
                .iter()
                .find_map(|known| names.iter().position(|name| name == known));
            if let Some(place) = place {
                uses[place] = which as u8;
                there[which] = true;
            }
        }
        Self {
            delimiter,
            uses,
            there,
            columns: Columns::of(names.iter().map(|name| &**name)),
        }
    }

    /// The needed cells of a record without quotation marks, and how many it has in all.
    fn split<'a>(&self, record: &'a [u8]) -> (Cells<'a>, usize) {
        let ends = memchr_iter(self.delimiter, record).chain([record.len()]);
        let mut start = 0;
        self.choose(ends.map(move |end| {
            let cell = &record[start..end];
            start = end + 1;
            cell
        }))
    }

    fn choose<'a>(&self, all: impl Iterator<Item = &'a [u8]>) -> (Cells<'a>, usize) {
        let mut cells: Cells<'a> = [b""; 4];
        let mut found = 0;
        for cell in all {
            if let Some(place) = self
                .uses
                .get(found)
                .and_then(|which| cells.get_mut(usize::from(*which)))
            {
                *place = cell;
            }
            found += 1;
        }
        (cells, found)
    }
}

/// The parser, for one record after the other.
struct Quoted {
    parser: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
}

impl Quoted {
    fn new(delimiter: u8) -> Self {
        Self {
            parser: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            text: Vec::new(),
            ends: Vec::new(),
            count: 0,
        }
    }

    /// The record is whole, so it never takes more room than it has itself.
    fn parse(&mut self, record: &[u8]) {
        self.parser.reset();
        self.text.resize(self.text.len().max(record.len() + 1), 0);
        self.ends.resize(self.ends.len().max(record.len() + 1), 0);
        let (result, read, written, ends) = self.parser.read_record(record, &mut self.text, &mut self.ends);
        self.count = ends;
        if result == ReadRecordResult::InputEmpty {
            // An empty input says that this was all.
            let rest = (&mut self.text[written..], &mut self.ends[ends..]);
            let (_, _, _, more) = self.parser.read_record(&record[read..], rest.0, rest.1);
            self.count += more;
        }
    }

    fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends[..self.count].iter().map(move |end| {
            let cell = &self.text[start..*end];
            start = *end;
            cell
        })
    }
}

/// One id a line, and nothing else.
pub struct IdReader<R> {
    lines: Lines<R>,
}

impl<R: Read> IdReader<R> {
    pub fn new(from: R) -> Self {
        Self {
            lines: Lines::new(from),
        }
    }

    pub fn at(&self) -> At {
        self.lines.at()
    }

    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, RowError> {
        loop {
            let Some(line) = self.lines.next_line()? else {
                return Ok(None);
            };
            if line.is_empty() {
                continue;
            }
            let Ok(id) = ObjectId::from_hex(line) else {
                let found = line.to_vec();
                return Err(RowError::id(self.lines.at(), &found));
            };
            return Ok(Some(Row {
                object_id: Some(id),
                ..Row::default()
            }));
        }
    }
}
