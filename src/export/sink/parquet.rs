//! Parquet, compressed with zstd and sorted by id, with statistics and the types that readers expect: timestamps in
//! UTC, nullable booleans, strings in UTF-8.
//!
//! Memory holds the rows of one row group, as columns.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};

use super::last_seen_at;
use crate::export::columns::{ExportColumn, Kind, Value};
use crate::store::{Row, Slice};

/// Rows per row group: enough for readers to be fast, which work by row group, and few enough to need little memory.
const ROW_GROUP: usize = 128 * 1024;

pub struct ParquetSink<W: Write + Send> {
    columns: Vec<(ExportColumn, Cells)>,
    rows: usize,
    to: SerializedFileWriter<W>,
}

/// A column of the current row group.
enum Cells {
    /// Object ids, concatenated. They are all different.
    Objects(Vec<u8>),
    /// Few different texts, which are repeated often.
    Texts(Vec<ByteArray>),
    /// Values, and the definition level of each row if the column is nullable: 1 for a value, 0 for null.
    Flags(Vec<bool>, Vec<i16>),
    Numbers(Vec<i64>, Vec<i16>),
}

impl<W: Write + Send> ParquetSink<W> {
    pub fn new(columns: &[ExportColumn], to: W) -> io::Result<Self> {
        let to = SerializedFileWriter::new(to, schema(columns)?, properties(columns)?).map_err(io_error)?;
        let columns = columns.iter().map(|column| (*column, Cells::of(*column))).collect();
        Ok(Self { columns, rows: 0, to })
    }

    pub fn write(&mut self, slice: &Slice, rows: &[Row]) -> io::Result<()> {
        let last_seen_at = last_seen_at(slice);
        let mut rows = rows;
        while !rows.is_empty() {
            let (now, later) = rows.split_at(rows.len().min(ROW_GROUP - self.rows));
            for (column, cells) in &mut self.columns {
                for row in now {
                    cells.push(column.value(slice, last_seen_at, row)?, column.nullable())?;
                }
            }
            self.rows += now.len();
            if self.rows == ROW_GROUP {
                self.end_row_group()?;
            }
            rows = later;
        }
        Ok(())
    }

    fn end_row_group(&mut self) -> io::Result<()> {
        let mut group = self.to.next_row_group().map_err(io_error)?;
        for (_, cells) in &mut self.columns {
            let column = group.next_column().map_err(io_error)?;
            let mut column = column.ok_or_else(|| io::Error::other("a column that the schema does not have"))?;
            cells.empty_into(&mut column).map_err(io_error)?;
            column.close().map_err(io_error)?;
        }
        group.close().map_err(io_error)?;
        self.rows = 0;
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<W> {
        if self.rows > 0 {
            self.end_row_group()?;
        }
        // Writes the footer too.
        self.to.into_inner().map_err(io_error)
    }
}

impl Cells {
    fn of(column: ExportColumn) -> Self {
        match column.kind() {
            Kind::ObjectId => Self::Objects(Vec::new()),
            Kind::Text => Self::Texts(Vec::new()),
            Kind::Boolean => Self::Flags(Vec::new(), Vec::new()),
            Kind::Timestamp | Kind::Integer => Self::Numbers(Vec::new(), Vec::new()),
        }
    }

    fn push(&mut self, value: Value<'_>, nullable: bool) -> io::Result<()> {
        match (self, value) {
            (Self::Objects(texts), Value::Object(id)) => texts.extend_from_slice(&id.to_hex()),
            (Self::Texts(values), Value::Text(text)) => {
                let again = values.last().filter(|last| last.data() == text.as_bytes()).cloned();
                values.push(again.unwrap_or_else(|| ByteArray::from(text)));
            }
            (Self::Flags(values, levels), Value::Flag(flag)) => push(values, levels, flag, nullable),
            (Self::Numbers(values, levels), Value::Time(number) | Value::Number(number)) => {
                push(values, levels, number, nullable);
            }
            (Self::Flags(_, levels) | Self::Numbers(_, levels), Value::Null) if nullable => levels.push(0),
            // Skipping a cell would shift the cells after it into other rows.
            _ => return Err(io::Error::other("a cell of another kind than its column's")),
        }
        Ok(())
    }

    fn empty_into(&mut self, column: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        match self {
            Self::Objects(texts) => {
                let rows = texts.len() / 64;
                let texts = ByteArray::from(std::mem::replace(texts, Vec::with_capacity(ROW_GROUP * 64)));
                let mut ids = (0..rows).map(|row| texts.slice(row * 64, 64)).collect();
                write::<ByteArrayType>(column, &mut ids, &mut Vec::new())
            }
            Self::Texts(values) => write::<ByteArrayType>(column, values, &mut Vec::new()),
            Self::Flags(values, levels) => write::<BoolType>(column, values, levels),
            Self::Numbers(values, levels) => write::<Int64Type>(column, values, levels),
        }
    }
}

fn push<T>(values: &mut Vec<T>, levels: &mut Vec<i16>, value: T, nullable: bool) {
    if nullable {
        levels.push(1);
    }
    values.push(value);
}

fn write<T: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    values: &mut Vec<T::T>,
    levels: &mut Vec<i16>,
) -> Result<(), ParquetError> {
    let all_levels = (!levels.is_empty()).then_some(&levels[..]);
    column.typed::<T>().write_batch(values, all_levels, None)?;
    values.clear();
    levels.clear();
    Ok(())
}

fn schema(columns: &[ExportColumn]) -> io::Result<TypePtr> {
    let mut message = String::from("message durable_inventory {");
    for column in columns {
        let repetition = if column.nullable() { "optional" } else { "required" };
        let name = column.name();
        message.push_str(&match column.kind() {
            Kind::ObjectId | Kind::Text => format!("{repetition} binary {name} (STRING);"),
            Kind::Boolean => format!("{repetition} boolean {name};"),
            Kind::Timestamp => format!("{repetition} int64 {name} (TIMESTAMP(MICROS,true));"),
            Kind::Integer => format!("{repetition} int64 {name};"),
        });
    }
    message.push('}');
    parse_message_type(&message).map(Arc::new).map_err(io_error)
}

fn properties(columns: &[ExportColumn]) -> io::Result<WriterPropertiesPtr> {
    let object_id = ColumnPath::from(ExportColumn::ObjectId.name());
    let properties = WriterProperties::builder()
        .set_created_by(concat!("durable-inventory ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).map_err(io_error)?))
        .set_max_row_group_row_count(Some(ROW_GROUP))
        // All ids differ, so a dictionary would not help.
        .set_column_dictionary_enabled(object_id, false)
        .set_sorting_columns(Some(sorting(columns)));
    Ok(Arc::new(properties.build()))
}

/// Rows are ordered by account, namespace, snapshot (changes only) and object. Without one of these columns, the
/// columns after it are not in an order that a reader could use.
fn sorting(columns: &[ExportColumn]) -> Vec<SortingColumn> {
    let at = |column: &ExportColumn| columns.iter().position(|there| there == column);
    let by_snapshot = at(&ExportColumn::Change).is_some() || at(&ExportColumn::SnapshotId).is_some();
    let keys = [
        Some(ExportColumn::AccountId),
        Some(ExportColumn::NamespaceId),
        by_snapshot.then_some(ExportColumn::SnapshotId),
        Some(ExportColumn::ObjectId),
    ];
    keys.iter()
        .flatten()
        .map_while(at)
        .map(|index| SortingColumn {
            column_idx: index as i32,
            descending: false,
            nulls_first: false,
        })
        .collect()
}

/// Returns the destination's own error where there is one: callers look at its kind.
fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        other => io::Error::other(other),
    }
}
