//! The readers of CSV and of lists of ids.

use std::io::Read;

use super::columns::{Known, Places};
use super::lines::Lines;
use super::records::Records;
use super::values::{flag, object_id, unquoted};
use super::{At, Columns, RowError, RowRef};
use crate::export::csv_injection::unguarded;

/// Spreadsheets write semicolons in some locales, databases tabs, bars and Hive's ^A.
const DELIMITERS: [u8; 5] = *b",;\t|\x01";

pub struct CsvReader<R> {
    records: Records<R>,
    /// Number of cells in the header.
    width: usize,
    /// Number of cells that each row needs. The ones after them may be missing.
    needed: usize,
    places: Places,
}

impl<R: Read> CsvReader<R> {
    pub fn new(from: R) -> Result<Self, RowError> {
        let has_ids = |names: &[String]| {
            let mut names = names.iter().map(|name| Known::of(name));
            names.any(|known| matches!(known, Some(Known::ObjectId | Known::Id)))
        };
        let (records, names) = Records::new(from, &DELIMITERS, has_ids)?;
        let places = Places::of(&names)?;
        let needed = [places.account_id, places.namespace_id, places.object_id];
        Ok(Self {
            records,
            width: names.len(),
            needed: needed.iter().flatten().max().map_or(0, |last| last + 1),
            places,
        })
    }

    pub fn at(&self) -> At {
        self.records.at()
    }

    pub fn columns(&self) -> Columns {
        self.places.columns
    }

    pub fn next_row(&mut self) -> Result<Option<RowRef<'_>>, RowError> {
        if !self.next_record()? {
            return Ok(None);
        }
        let (at, records) = (self.records.at(), &self.records);
        let cell = |place: Option<usize>| place.map(|place| records.cell(place));
        let id = cell(self.places.object_id).map(|text| object_id(at, text));
        let data = cell(self.places.has_stored_data).map(|text| flag(text).ok_or_else(|| RowError::flag(at, text)));
        Ok(Some(RowRef {
            account_id: cell(self.places.account_id).map(unguarded),
            namespace_id: cell(self.places.namespace_id).map(unguarded),
            object_id: id.transpose()?,
            has_stored_data: data.transpose()?,
        }))
    }

    /// Moves to the next record with a value; false at the end. Spreadsheets write records without any, omit empty
    /// cells at the end of a record, and add empty ones.
    fn next_record(&mut self) -> Result<bool, RowError> {
        while let Some(found) = self.records.next()? {
            let has_id = self
                .places
                .object_id
                .is_none_or(|place| !self.records.cell(place).is_empty());
            if has_id && found == self.width {
                return Ok(true);
            }
            if (0..found).all(|index| self.records.cell(index).trim_ascii().is_empty()) {
                continue;
            }
            let is_complete = match found < self.width {
                // The last record may be cut off.
                true => found >= self.needed && self.records.has_line_end(),
                false => (self.width..found).all(|index| self.records.cell(index).is_empty()),
            };
            if !is_complete {
                return Err(RowError::Cells {
                    at: self.records.at(),
                    found,
                    expected: self.width,
                });
            }
            return Ok(true);
        }
        Ok(false)
    }
}

/// Reads one id per line.
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

    pub fn next_row(&mut self) -> Result<Option<RowRef<'_>>, RowError> {
        loop {
            let Some(line) = self.lines.next_line()? else {
                return Ok(None);
            };
            let line = unquoted(self.lines.bytes(line));
            if line.is_empty() {
                continue;
            }
            return Ok(Some(RowRef {
                object_id: Some(object_id(self.lines.at(), line)?),
                ..RowRef::default()
            }));
        }
    }
}
