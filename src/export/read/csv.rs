//! The readers of CSV and of lists of ids.

use std::io::Read;

use super::columns::{Known, Places};
use super::lines::Lines;
use super::records::Records;
use super::{At, Columns, RowError, RowRef, flag, object_id};
use crate::export::csv_injection::unguarded;

/// Spreadsheets write semicolons in some locales.
const DELIMITERS: [u8; 3] = *b",;\t";

pub struct CsvReader<R> {
    records: Records<R>,
    /// Number of cells in the header.
    width: usize,
    places: Places,
}

impl<R: Read> CsvReader<R> {
    pub fn new(from: R) -> Result<Self, RowError> {
        let has_ids = |names: &[String]| {
            let mut names = names.iter().map(|name| Known::of(name));
            names.any(|known| matches!(known, Some(Known::ObjectId | Known::Id)))
        };
        let (records, names) = Records::new(from, &DELIMITERS, has_ids)?;
        Ok(Self {
            records,
            width: names.len(),
            places: Places::of(&names)?,
        })
    }

    pub fn at(&self) -> At {
        self.records.at()
    }

    pub fn columns(&self) -> Columns {
        self.places.columns
    }

    pub fn next_row(&mut self) -> Result<Option<RowRef<'_>>, RowError> {
        let Some(found) = self.records.next()? else {
            return Ok(None);
        };
        let (at, records) = (self.records.at(), &self.records);
        if found != self.width {
            return Err(RowError::Cells {
                at,
                found,
                expected: self.width,
            });
        }
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
            let line = self.lines.bytes(line).trim_ascii();
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
