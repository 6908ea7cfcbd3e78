//! Rows of Parquet files: the columns that matter, a batch at a time.

use std::fs::File;
use std::sync::Arc;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::{FileRow, RowError, shared};
use crate::export::columns::Column;

const BATCH: usize = 8192;

pub struct ParquetRows {
    file: SerializedFileReader<File>,
    group: usize,
    columns: Columns,
    /// Rows of the group that are not in a batch yet.
    left: usize,
    batch: std::vec::IntoIter<FileRow>,
    read: u64,
    last_account: Option<Arc<str>>,
    last_namespace: Option<Arc<str>>,
}

#[derive(Default)]
struct Columns {
    account_id: Option<ColumnReaderImpl<ByteArrayType>>,
    namespace_id: Option<ColumnReaderImpl<ByteArrayType>>,
    object_id: Option<ColumnReaderImpl<ByteArrayType>>,
    has_stored_data: Option<ColumnReaderImpl<BoolType>>,
}

impl ParquetRows {
    pub fn new(file: File) -> Result<Self, RowError> {
        Ok(Self {
            file: SerializedFileReader::new(file)?,
            group: 0,
            columns: Columns::default(),
            left: 0,
            batch: Vec::new().into_iter(),
            read: 0,
            last_account: None,
            last_namespace: None,
        })
    }

    fn next_row(&mut self) -> Result<Option<FileRow>, RowError> {
        loop {
            if let Some(row) = self.batch.next() {
                return Ok(Some(row));
            }
            if self.left == 0 && !self.next_group()? {
                return Ok(None);
            }
            if self.left > 0 {
                self.batch = self.next_batch()?.into_iter();
            }
        }
    }

    fn next_group(&mut self) -> Result<bool, RowError> {
        if self.group == self.file.num_row_groups() {
            return Ok(false);
        }
        let group = self.file.get_row_group(self.group)?;
        let schema = group.metadata().schema_descr_ptr();
        let reader = |column: Column| -> Result<Option<ColumnReader>, RowError> {
            let at = schema
                .columns()
                .iter()
                .position(|there| there.path().string() == column.name());
            Ok(match at {
                Some(at) => Some(group.get_column_reader(at)?),
                None => None,
            })
        };
        self.columns = Columns {
            account_id: texts(reader(Column::AccountId)?, Column::AccountId)?,
            namespace_id: texts(reader(Column::NamespaceId)?, Column::NamespaceId)?,
            object_id: texts(reader(Column::ObjectId)?, Column::ObjectId)?,
            has_stored_data: match reader(Column::HasStoredData)? {
                Some(column @ ColumnReader::BoolColumnReader(_)) => Some(get_typed_column_reader(column)),
                Some(_) => return Err(RowError::Type(Column::HasStoredData.name())),
                None => None,
            },
        };
        self.left = group.metadata().num_rows() as usize;
        self.group += 1;
        Ok(true)
    }

    fn next_batch(&mut self) -> Result<Vec<FileRow>, RowError> {
        let count = self.left.min(BATCH);
        let accounts = values(&mut self.columns.account_id, count)?;
        let namespaces = values(&mut self.columns.namespace_id, count)?;
        let ids = values(&mut self.columns.object_id, count)?;
        let flags = values(&mut self.columns.has_stored_data, count)?;
        let mut rows = Vec::with_capacity(count);
        for index in 0..count {
            self.read += 1;
            let row = self.read;
            let object_id = match text_at(&ids, index) {
                Some(id) => Some(id.parse().map_err(|source| RowError::Id { row, source })?),
                None => None,
            };
            rows.push(FileRow {
                account_id: text_at(&accounts, index).map(|text| shared(&mut self.last_account, text)),
                namespace_id: text_at(&namespaces, index).map(|text| shared(&mut self.last_namespace, text)),
                object_id,
                has_stored_data: flags.as_ref().map(|flags| flags[index]),
            });
        }
        self.left -= count;
        Ok(rows)
    }
}

impl Iterator for ParquetRows {
    type Item = Result<FileRow, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_row().transpose()
    }
}

fn texts(reader: Option<ColumnReader>, column: Column) -> Result<Option<ColumnReaderImpl<ByteArrayType>>, RowError> {
    match reader {
        Some(reader @ ColumnReader::ByteArrayColumnReader(_)) => Ok(Some(get_typed_column_reader(reader))),
        Some(_) => Err(RowError::Type(column.name())),
        None => Ok(None),
    }
}

fn text_at(values: &Option<Vec<Option<ByteArray>>>, index: usize) -> Option<&str> {
    std::str::from_utf8(values.as_ref()?[index].as_ref()?.data()).ok()
}

/// The next values of a column, null where there is none.
fn values<T: DataType>(
    column: &mut Option<ColumnReaderImpl<T>>,
    count: usize,
) -> Result<Option<Vec<Option<T::T>>>, RowError>
where
    T::T: Clone,
{
    let Some(column) = column else { return Ok(None) };
    let (mut found, mut levels) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut rows = 0;
    while rows < count {
        let (records, _, _) = column.read_records(count - rows, Some(&mut levels), None, &mut found)?;
        if records == 0 {
            let cut = parquet::errors::ParquetError::General("a column ends before its rows do".to_owned());
            return Err(cut.into());
        }
        rows += records;
    }
    // A required column has no levels.
    if levels.is_empty() {
        return Ok(Some(found.into_iter().map(Some).collect()));
    }
    let mut found = found.into_iter();
    Ok(Some(
        levels
            .iter()
            .map(|level| if *level > 0 { found.next() } else { None })
            .collect(),
    ))
}
