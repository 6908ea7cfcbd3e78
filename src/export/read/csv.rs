//! Rows of CSV files, and of lists of ids.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use csv::{Reader, ReaderBuilder, StringRecord};

use super::{FileRow, RowError, shared};
use crate::export::columns::Column;

pub struct CsvRows<R> {
    from: Reader<R>,
    record: StringRecord,
    account_id: Option<usize>,
    namespace_id: Option<usize>,
    object_id: Option<usize>,
    has_stored_data: Option<usize>,
    last_account: Option<Arc<str>>,
    last_namespace: Option<Arc<str>>,
    row: u64,
}

impl<R: Read> CsvRows<R> {
    pub fn new(from: R) -> Result<Self, RowError> {
        let mut from = ReaderBuilder::new().from_reader(from);
        let header = from.headers().map_err(RowError::Csv)?;
        let at = |column: Column| {
            header
                .iter()
                .position(|name| name.trim_start_matches('\u{feff}') == column.name())
        };
        let places = [
            Column::AccountId,
            Column::NamespaceId,
            Column::ObjectId,
            Column::HasStoredData,
        ]
        .map(at);
        let [account_id, namespace_id, object_id, has_stored_data] = places;
        Ok(Self {
            from,
            record: StringRecord::new(),
            account_id,
            namespace_id,
            object_id,
            has_stored_data,
            last_account: None,
            last_namespace: None,
            row: 0,
        })
    }

    fn read(&mut self) -> Result<Option<FileRow>, RowError> {
        if !self.from.read_record(&mut self.record).map_err(RowError::Csv)? {
            return Ok(None);
        }
        self.row += 1;
        let row = self.row;
        let cell = |place: Option<usize>| place.and_then(|place| self.record.get(place));
        let object_id = match cell(self.object_id) {
            Some(id) => Some(id.parse().map_err(|source| RowError::Id { row, source })?),
            None => None,
        };
        let has_stored_data = match cell(self.has_stored_data) {
            None => None,
            Some("") => Some(None),
            Some("true") => Some(Some(true)),
            Some("false") => Some(Some(false)),
            Some(_) => return Err(RowError::Flag { row }),
        };
        Ok(Some(FileRow {
            account_id: cell(self.account_id).map(|text| shared(&mut self.last_account, text)),
            namespace_id: cell(self.namespace_id).map(|text| shared(&mut self.last_namespace, text)),
            object_id,
            has_stored_data,
        }))
    }
}

impl<R: Read> Iterator for CsvRows<R> {
    type Item = Result<FileRow, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// One id a line.
pub fn id_rows<R: Read>(from: BufReader<R>) -> impl Iterator<Item = Result<FileRow, RowError>> {
    from.lines().zip(1..).map(|(line, row)| {
        let id = line?.parse().map_err(|source| RowError::Id { row, source })?;
        Ok(FileRow {
            object_id: Some(id),
            ..FileRow::default()
        })
    })
}
