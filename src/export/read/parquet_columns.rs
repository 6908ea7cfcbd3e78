//! Typed values of one column in one row group of a Parquet file.

use parquet::basic::{ConvertedType, Encoding, LogicalType, Type};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{
    AsBytes, BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArrayType, FloatType, Int32Type,
    Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescriptor;

use super::hardened::{BoundedFile, caught};
use super::pages::Room;
use super::values::{flag, flag_of_number};
use super::{At, RowError};

/// Maximum number of values that a column reads at once.
const BATCH: usize = 8192;
/// Bytes of values, or of the pages that they refer to, after which a batch ends.
const AHEAD: usize = 1024 * 1024;

/// What a column holds, as far as it can be an id or a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Only nulls. Data frames write this if a column has no value.
    Nulls,
    Bool,
    Int32,
    Int64,
    Float,
    Double,
    /// Text, or bytes if the schema does not say that it is text.
    Bytes {
        is_text: bool,
    },
    FixedBytes {
        is_text: bool,
    },
}

impl ColumnType {
    /// Returns `None` for a list, a nested column, or an unsuitable type.
    pub fn of(column: &ColumnDescriptor) -> Option<Self> {
        if column.max_rep_level() > 0 || column.max_def_level() > 1 {
            return None;
        }
        let logical = column.logical_type_ref();
        if matches!(logical, Some(LogicalType::Unknown)) {
            return Some(Self::Nulls);
        }
        let is_plain = logical.is_none() && column.converted_type() == ConvertedType::NONE;
        let is_text = !is_plain;
        Some(match column.physical_type() {
            Type::BOOLEAN => Self::Bool,
            Type::INT32 => Self::Int32,
            Type::INT64 => Self::Int64,
            Type::FLOAT => Self::Float,
            Type::DOUBLE => Self::Double,
            Type::BYTE_ARRAY => Self::Bytes { is_text },
            Type::FIXED_LEN_BYTE_ARRAY => Self::FixedBytes { is_text },
            Type::INT96 => return None,
        })
    }

    pub fn is_text(self) -> bool {
        matches!(self, Self::Nulls | Self::Bytes { .. } | Self::FixedBytes { .. })
    }

    pub fn is_flag(self) -> bool {
        !matches!(self, Self::FixedBytes { .. })
    }
}

/// A column of ids of accounts or namespaces.
pub struct Texts {
    values: TextValues,
    /// Whether the schema does not say that the values are text.
    is_raw: bool,
    /// The digits of a raw id; empty if the current value is text.
    digits: String,
}

enum TextValues {
    /// The statistics have one value, or the column has none, so none has to be read.
    AllTheSame(ByteArray),
    Bytes(Box<Values<ByteArrayType>>),
    FixedBytes(Box<Values<FixedLenByteArrayType>>),
}

/// Bytes of an account's or a namespace's id.
const RAW_ID: usize = 16;

impl Texts {
    pub fn of(file: &BoundedFile, group: &RowGroupMetaData, at: usize) -> Result<Self, RowError> {
        let column = group.column(at);
        let (values, is_text) = match (only_value(column.statistics()), ColumnType::of(column.column_descr())) {
            (_, None | Some(ColumnType::Nulls)) => (TextValues::AllTheSame(ByteArray::from("")), true),
            (Some(value), Some(ColumnType::Bytes { is_text })) => (TextValues::AllTheSame(value.clone()), is_text),
            (_, Some(ColumnType::FixedBytes { is_text })) => {
                let values = Values::of(file, group, at)?;
                (TextValues::FixedBytes(Box::new(values)), is_text)
            }
            (_, Some(kind)) => {
                let values = Values::of(file, group, at)?;
                (
                    TextValues::Bytes(Box::new(values)),
                    kind == ColumnType::Bytes { is_text: true },
                )
            }
        };
        Ok(Self {
            values,
            is_raw: !is_text,
            digits: String::new(),
        })
    }

    pub fn advance(&mut self) -> Result<(), RowError> {
        match &mut self.values {
            TextValues::AllTheSame(_) => {}
            TextValues::Bytes(values) => values.advance()?,
            TextValues::FixedBytes(values) => values.advance()?,
        }
        if self.is_raw {
            self.digits.clear();
            let value = self.value();
            if value.len() == RAW_ID && !value.iter().all(u8::is_ascii_graphic) {
                self.digits = hex::encode(value);
            }
        }
        Ok(())
    }

    /// Null is the empty text.
    pub fn get(&self) -> &[u8] {
        match self.digits.is_empty() {
            true => self.value(),
            false => self.digits.as_bytes(),
        }
    }

    fn value(&self) -> &[u8] {
        match &self.values {
            TextValues::AllTheSame(value) => value.data(),
            TextValues::Bytes(values) => values.get().map(ByteArray::data).unwrap_or_default(),
            TextValues::FixedBytes(values) => values.get().map(AsBytes::as_bytes).unwrap_or_default(),
        }
    }
}

/// Returns the value that a column has in all rows of a group, if its statistics say so.
fn only_value(statistics: Option<&Statistics>) -> Option<&ByteArray> {
    let Some(Statistics::ByteArray(statistics)) = statistics else {
        return None;
    };
    let is_exact = statistics.min_is_exact() && statistics.max_is_exact() && statistics.null_count_opt() == Some(0);
    statistics
        .min_opt()
        .filter(|min| is_exact && statistics.max_opt() == Some(*min))
}

/// A column of object ids.
pub enum Ids {
    Nulls,
    Bytes(Box<Values<ByteArrayType>>),
    FixedBytes(Box<Values<FixedLenByteArrayType>>),
}

impl Ids {
    pub fn of(file: &BoundedFile, group: &RowGroupMetaData, at: usize) -> Result<Self, RowError> {
        Ok(match ColumnType::of(group.column(at).column_descr()) {
            None | Some(ColumnType::Nulls) => Self::Nulls,
            Some(ColumnType::FixedBytes { .. }) => Self::FixedBytes(Box::new(Values::of(file, group, at)?)),
            Some(_) => Self::Bytes(Box::new(Values::of(file, group, at)?)),
        })
    }

    pub fn advance(&mut self) -> Result<(), RowError> {
        match self {
            Self::Nulls => Ok(()),
            Self::Bytes(values) => values.advance(),
            Self::FixedBytes(values) => values.advance(),
        }
    }

    /// Returns `None` for null.
    pub fn get(&self) -> Option<&[u8]> {
        match self {
            Self::Nulls => None,
            Self::Bytes(values) => values.get().map(ByteArray::data),
            Self::FixedBytes(values) => values.get().map(AsBytes::as_bytes),
        }
    }
}

/// A column of flags.
pub enum Flags {
    Nulls,
    Bool(Box<Values<BoolType>>),
    Int32(Box<Values<Int32Type>>),
    Int64(Box<Values<Int64Type>>),
    Float(Box<Values<FloatType>>),
    Double(Box<Values<DoubleType>>),
    Text(Box<Values<ByteArrayType>>),
}

impl Flags {
    pub fn of(file: &BoundedFile, group: &RowGroupMetaData, at: usize) -> Result<Self, RowError> {
        Ok(match ColumnType::of(group.column(at).column_descr()) {
            None | Some(ColumnType::Nulls | ColumnType::FixedBytes { .. }) => Self::Nulls,
            Some(ColumnType::Bool) => Self::Bool(Box::new(Values::of(file, group, at)?)),
            Some(ColumnType::Int32) => Self::Int32(Box::new(Values::of(file, group, at)?)),
            Some(ColumnType::Int64) => Self::Int64(Box::new(Values::of(file, group, at)?)),
            Some(ColumnType::Float) => Self::Float(Box::new(Values::of(file, group, at)?)),
            Some(ColumnType::Double) => Self::Double(Box::new(Values::of(file, group, at)?)),
            Some(ColumnType::Bytes { .. }) => Self::Text(Box::new(Values::of(file, group, at)?)),
        })
    }

    pub fn advance(&mut self) -> Result<(), RowError> {
        match self {
            Self::Nulls => Ok(()),
            Self::Bool(values) => values.advance(),
            Self::Int32(values) => values.advance(),
            Self::Int64(values) => values.advance(),
            Self::Float(values) => values.advance(),
            Self::Double(values) => values.advance(),
            Self::Text(values) => values.advance(),
        }
    }

    /// Returns `None` for null.
    pub fn get(&self, at: At) -> Result<Option<bool>, RowError> {
        match self {
            Self::Nulls => Ok(None),
            Self::Bool(values) => Ok(values.get().copied()),
            Self::Int32(values) => number(at, values.get().map(|flag| f64::from(*flag))),
            Self::Int64(values) => number(at, values.get().map(|flag| *flag as f64)),
            Self::Float(values) => number(at, values.get().map(|flag| f64::from(*flag))),
            Self::Double(values) => number(at, values.get().copied()),
            Self::Text(values) => match values.get().map(ByteArray::data) {
                None => Ok(None),
                Some(text) => flag(text).ok_or_else(|| RowError::flag(at, text)),
            },
        }
    }
}

fn number(at: At, flag: Option<f64>) -> Result<Option<bool>, RowError> {
    match flag {
        None => Ok(None),
        Some(flag) => flag_of_number(flag).ok_or_else(|| RowError::flag(at, flag.to_string().as_bytes())),
    }
}

/// A column's values in one row group. Columns read batches independently of each other, by the size of their values.
pub struct Values<T: DataType> {
    column: ColumnReaderImpl<T>,
    /// Values are built from the ones before them, so their size is unknown until they are read. They are read one by
    /// one.
    grows: bool,
    room: Room,
    values: Vec<T::T>,
    /// Per row, 0 for null; empty if the column is not nullable.
    levels: Vec<i16>,
    /// The indexes of the current row and of its value in the batch.
    row: usize,
    value: usize,
    /// Rows in the batch, and rows of the group after it.
    rows: usize,
    left: usize,
}

impl<T: DataType> Values<T> {
    /// The column's type was checked when the file was opened.
    fn of(file: &BoundedFile, group: &RowGroupMetaData, at: usize) -> Result<Self, RowError> {
        let column = group.column(at);
        let grows = column
            .encodings()
            .any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY);
        let room = Room::default();
        let rows = usize::try_from(group.num_rows()).map_err(|_| RowError::Damaged)?;
        let pages = file.pages(column, rows, grows, room.clone())?;
        Ok(Self {
            column: ColumnReaderImpl::new(column.column_descr_ptr(), Box::new(pages)),
            grows,
            room,
            values: Vec::with_capacity(BATCH),
            levels: Vec::with_capacity(BATCH),
            row: 0,
            value: 0,
            rows: 0,
            left: rows,
        })
    }

    /// Moves to the next row.
    #[inline]
    fn advance(&mut self) -> Result<(), RowError> {
        if self.row + 1 < self.rows {
            self.value += usize::from(self.has_value());
            self.row += 1;
            return Ok(());
        }
        (self.row, self.value, self.rows) = (0, 0, 0);
        self.values.clear();
        self.levels.clear();
        caught(|| self.read())
    }

    fn read(&mut self) -> Result<(), RowError> {
        let wanted = self.left.min(BATCH);
        let mut bytes = 0;
        self.room.set(AHEAD);
        while self.rows == 0 || (self.rows < wanted && bytes < AHEAD && !self.room.is_empty()) {
            let count = if self.grows { 1 } else { wanted - self.rows };
            let levels = Some(&mut self.levels);
            let (rows, values, _) = self.column.read_records(count, levels, None, &mut self.values)?;
            if rows == 0 {
                return Err(ParquetError::General("a column ends before its rows do".to_owned()).into());
            }
            if self.grows {
                let read = &self.values[self.values.len() - values..];
                bytes += read.iter().map(|value| value.as_bytes().len()).sum::<usize>();
            }
            self.rows += rows;
        }
        self.left -= self.rows;
        Ok(())
    }

    fn has_value(&self) -> bool {
        self.levels.get(self.row).is_none_or(|level| *level > 0)
    }

    /// Returns `None` for null.
    #[inline]
    fn get(&self) -> Option<&T::T> {
        self.values.get(self.value).filter(|_| self.has_value())
    }
}
