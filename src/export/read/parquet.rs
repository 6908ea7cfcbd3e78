//! The reader of Parquet, which reads batches of values from the known columns.

use std::fs::File;

use parquet::basic::{Encoding, Type};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{AsBytes, BoolType, ByteArray, ByteArrayType, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::statistics::Statistics;

use super::columns::Places;
use super::hardened::{BoundedFile, caught};
use super::lines::LONGEST;
use super::pages::{BoundedPages, Room};
use super::{At, Columns, RowError, RowRef, object_id};

/// Maximum number of values that a column reads at once.
const BATCH: usize = 8192;
/// Bytes of values, or of the pages that they refer to, after which a batch ends.
const AHEAD: usize = 1024 * 1024;

pub struct ParquetReader {
    file: SerializedFileReader<BoundedFile>,
    places: Places,
    group: usize,
    account_id: Option<Texts>,
    namespace_id: Option<Texts>,
    object_id: Option<Values<ByteArrayType>>,
    has_stored_data: Option<Values<BoolType>>,
    /// Rows of the group that were not returned yet.
    left: usize,
    read: u64,
}

impl ParquetReader {
    pub fn new(file: File) -> Result<Self, RowError> {
        caught(|| Self::open(file))
    }

    fn open(file: File) -> Result<Self, RowError> {
        let file = SerializedFileReader::new(BoundedFile::new(file)?)?;
        let schema = file.metadata().file_metadata().schema_descr_ptr();
        let names: Vec<_> = schema.columns().iter().map(|column| column.path().string()).collect();
        let places = Places::of(&names)?;
        for (place, name, physical) in [
            (places.account_id, "account_id", Type::BYTE_ARRAY),
            (places.namespace_id, "namespace_id", Type::BYTE_ARRAY),
            (places.object_id, "object_id", Type::BYTE_ARRAY),
            (places.has_stored_data, "has_stored_data", Type::BOOLEAN),
        ] {
            let Some(place) = place else { continue };
            let column = schema.column(place);
            if column.physical_type() != physical || column.max_rep_level() > 0 || column.max_def_level() > 1 {
                return Err(RowError::Type(name));
            }
        }
        Ok(Self {
            file,
            places,
            group: 0,
            account_id: None,
            namespace_id: None,
            object_id: None,
            has_stored_data: None,
            left: 0,
            read: 0,
        })
    }

    pub fn at(&self) -> At {
        At::Row(self.read)
    }

    pub fn columns(&self) -> Columns {
        self.places.columns
    }

    pub fn next_row(&mut self) -> Result<Option<RowRef<'_>>, RowError> {
        while self.left == 0 {
            if !caught(|| self.next_group())? {
                return Ok(None);
            }
        }
        self.left -= 1;
        self.read += 1;
        let at = self.at();
        for texts in [&mut self.account_id, &mut self.namespace_id] {
            if let Some(Texts::Different(values)) = texts {
                values.advance()?;
            }
        }
        if let Some(values) = &mut self.object_id {
            values.advance()?;
        }
        if let Some(values) = &mut self.has_stored_data {
            values.advance()?;
        }
        let id = self.object_id.as_ref().and_then(Values::get);
        let id = id.map(|id| object_id(at, id.data()));
        let [account_id, namespace_id] =
            [&self.account_id, &self.namespace_id].map(|texts| texts.as_ref().map(Texts::get));
        if [account_id, namespace_id]
            .iter()
            .flatten()
            .any(|text| text.len() > LONGEST)
        {
            return Err(RowError::TooLong(at));
        }
        Ok(Some(RowRef {
            account_id,
            namespace_id,
            object_id: id.transpose()?,
            has_stored_data: self.has_stored_data.as_ref().map(|flags| flags.get().copied()),
        }))
    }

    /// Opens the next row group; false at the end.
    fn next_group(&mut self) -> Result<bool, RowError> {
        if self.group == self.file.num_row_groups() {
            return Ok(false);
        }
        let group = self.file.get_row_group(self.group)?;
        // Negative in a damaged file.
        self.left = usize::try_from(group.metadata().num_rows()).map_err(|_| RowError::Damaged)?;
        self.account_id = Texts::of(&*group, self.places.account_id, self.left)?;
        self.namespace_id = Texts::of(&*group, self.places.namespace_id, self.left)?;
        self.object_id = Values::of(&*group, self.places.object_id, self.left)?;
        self.has_stored_data = Values::of(&*group, self.places.has_stored_data, self.left)?;
        self.group += 1;
        Ok(true)
    }
}

/// A text column of one row group.
enum Texts {
    /// The statistics have one value, so none has to be read.
    AllTheSame(ByteArray),
    Different(Box<Values<ByteArrayType>>),
}

impl Texts {
    fn of(group: &dyn RowGroupReader, place: Option<usize>, rows: usize) -> Result<Option<Self>, RowError> {
        let Some(at) = place else { return Ok(None) };
        if let Some(Statistics::ByteArray(statistics)) = group.metadata().column(at).statistics()
            && statistics.min_is_exact()
            && statistics.max_is_exact()
            && statistics.null_count_opt() == Some(0)
            && let (Some(min), Some(max)) = (statistics.min_opt(), statistics.max_opt())
            && min == max
        {
            return Ok(Some(Self::AllTheSame(min.clone())));
        }
        Ok(Values::of(group, place, rows)?.map(Box::new).map(Self::Different))
    }

    /// Null is the empty text.
    fn get(&self) -> &[u8] {
        match self {
            Self::AllTheSame(text) => text.data(),
            Self::Different(values) => values.get().map(ByteArray::data).unwrap_or_default(),
        }
    }
}

/// A column's values in one row group. Columns read batches independently of each other, by the size of their values.
struct Values<T: DataType> {
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
    fn of(group: &dyn RowGroupReader, place: Option<usize>, rows: usize) -> Result<Option<Self>, RowError> {
        let Some(at) = place else { return Ok(None) };
        let column = group.metadata().column(at);
        let description = column.column_descr_ptr();
        let grows = column
            .encodings()
            .any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY);
        let room = Room::default();
        let pages = BoundedPages {
            pages: group.get_column_page_reader(at)?,
            has_levels: description.max_def_level() > 0,
            may_grow: grows,
            room: room.clone(),
        };
        Ok(Some(Self {
            column: ColumnReaderImpl::new(description, Box::new(pages)),
            grows,
            room,
            values: Vec::with_capacity(BATCH),
            levels: Vec::with_capacity(BATCH),
            row: 0,
            value: 0,
            rows: 0,
            left: rows,
        }))
    }

    /// Moves to the next row.
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
    fn get(&self) -> Option<&T::T> {
        self.values.get(self.value).filter(|_| self.has_value())
    }
}
