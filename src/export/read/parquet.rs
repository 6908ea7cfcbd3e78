//! Rows of Parquet files: the columns that matter, a batch at a time.

use std::fs::File;

use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::statistics::Statistics;

use super::lines::LONGEST;
use super::untrusted::{BoundedPages, caught};
use super::{At, Columns, Row, RowError};
use crate::model::ObjectId;

const BATCH: usize = 8192;

pub struct ParquetReader {
    file: SerializedFileReader<BoundedPages>,
    columns: Columns,
    places: Places,
    group: usize,
    account_id: Option<Texts>,
    namespace_id: Option<Texts>,
    object_id: Option<Values<ByteArrayType>>,
    has_stored_data: Option<Values<BoolType>>,
    /// Rows of the group that are not in a batch yet.
    left: usize,
    /// Rows of the batch, and how many of them were handed on.
    batch: usize,
    next: usize,
    read: u64,
}

/// Where in the file the columns are.
#[derive(Clone, Copy)]
struct Places {
    account_id: Option<usize>,
    namespace_id: Option<usize>,
    object_id: Option<usize>,
    has_stored_data: Option<usize>,
}

impl ParquetReader {
    pub fn new(file: File) -> Result<Self, RowError> {
        caught(|| Self::open(file))
    }

    fn open(file: File) -> Result<Self, RowError> {
        let file = SerializedFileReader::new(BoundedPages(file))?;
        let schema = file.metadata().file_metadata().schema_descr_ptr();
        let names: Vec<_> = schema.columns().iter().map(|column| column.path().string()).collect();
        let place = |known_as: &[&'static str], physical: Type| {
            let mut all = known_as.iter();
            let found = all.find_map(|known| Some((*known, names.iter().position(|name| name == known)?)));
            let Some((name, place)) = found else { return Ok(None) };
            let column = schema.column(place);
            if column.physical_type() != physical || column.max_rep_level() > 0 || column.max_def_level() > 1 {
                return Err(RowError::Type(name));
            }
            Ok(Some(place))
        };
        let places = Places {
            account_id: place(&["account_id"], Type::BYTE_ARRAY)?,
            namespace_id: place(&["namespace_id"], Type::BYTE_ARRAY)?,
            object_id: place(&["object_id", "id"], Type::BYTE_ARRAY)?,
            has_stored_data: place(&["has_stored_data", "hasStoredData"], Type::BOOLEAN)?,
        };
        Ok(Self {
            columns: Columns::of(names.iter().map(String::as_str)),
            places,
            file,
            group: 0,
            account_id: None,
            namespace_id: None,
            object_id: None,
            has_stored_data: None,
            left: 0,
            batch: 0,
            next: 0,
            read: 0,
        })
    }

    pub fn at(&self) -> At {
        At::Row(self.read)
    }

    pub fn columns(&self) -> Columns {
        self.columns
    }

    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, RowError> {
        while self.next == self.batch {
            let more = caught(|| {
                let more = self.left > 0 || self.next_group()?;
                if more {
                    self.next_batch()?;
                }
                Ok(more)
            })?;
            if !more {
                return Ok(None);
            }
        }
        let index = self.next;
        self.next += 1;
        self.read += 1;
        let at = self.at();
        let object_id = self.object_id.as_ref().and_then(|ids| ids.get(index));
        let object_id = object_id.map(|id| ObjectId::from_hex(id.data()).map_err(|_| RowError::id(at, id.data())));
        let [account_id, namespace_id] =
            [&self.account_id, &self.namespace_id].map(|texts| texts.as_ref().map(|texts| texts.get(index)));
        if [account_id, namespace_id]
            .iter()
            .flatten()
            .any(|text| text.len() > LONGEST)
        {
            return Err(RowError::TooLong(at));
        }
        Ok(Some(Row {
            account_id,
            namespace_id,
            object_id: object_id.transpose()?,
            has_stored_data: self.has_stored_data.as_ref().map(|flags| flags.get(index).copied()),
        }))
    }

    /// False at the end.
    fn next_group(&mut self) -> Result<bool, RowError> {
        if self.group == self.file.num_row_groups() {
            return Ok(false);
        }
        let group = self.file.get_row_group(self.group)?;
        self.account_id = Texts::of(&*group, self.places.account_id)?;
        self.namespace_id = Texts::of(&*group, self.places.namespace_id)?;
        self.object_id = Values::of(&*group, self.places.object_id)?;
        self.has_stored_data = Values::of(&*group, self.places.has_stored_data)?;
        self.left = group.metadata().num_rows() as usize;
        self.group += 1;
        Ok(true)
    }

    fn next_batch(&mut self) -> Result<(), RowError> {
        let count = self.left.min(BATCH);
        for texts in [&mut self.account_id, &mut self.namespace_id] {
            if let Some(Texts::Different(values)) = texts {
                values.read(count)?;
            }
        }
        if let Some(values) = &mut self.object_id {
            values.read(count)?;
        }
        if let Some(values) = &mut self.has_stored_data {
            values.read(count)?;
        }
        self.left -= count;
        (self.batch, self.next) = (count, 0);
        Ok(())
    }
}

/// A column of texts of one row group.
enum Texts {
    /// The statistics say so: none of the values has to be read.
    AllTheSame(ByteArray),
    Different(Box<Values<ByteArrayType>>),
}

impl Texts {
    fn of(group: &dyn RowGroupReader, place: Option<usize>) -> Result<Option<Self>, RowError> {
        let Some(at) = place else { return Ok(None) };
        if let Some(Statistics::ByteArray(told)) = group.metadata().column(at).statistics()
            && told.min_is_exact()
            && told.max_is_exact()
            && told.null_count_opt() == Some(0)
            && let (Some(min), Some(max)) = (told.min_opt(), told.max_opt())
            && min == max
        {
            return Ok(Some(Self::AllTheSame(min.clone())));
        }
        Ok(Values::of(group, place)?.map(Box::new).map(Self::Different))
    }

    /// No text is an empty one.
    fn get(&self, index: usize) -> &[u8] {
        match self {
            Self::AllTheSame(text) => text.data(),
            Self::Different(values) => values.get(index).map(ByteArray::data).unwrap_or_default(),
        }
    }
}

/// A batch of a column's values.
struct Values<T: DataType> {
    column: ColumnReaderImpl<T>,
    values: Vec<T::T>,
    /// Zero where a row has no value; empty where no row may be without one.
    levels: Vec<i16>,
    /// Of each row: where its value is. Empty where the row's number tells.
    places: Vec<Option<usize>>,
}

impl<T: DataType> Values<T> {
    /// The column's type was looked at when the file was opened.
    fn of(group: &dyn RowGroupReader, place: Option<usize>) -> Result<Option<Self>, RowError> {
        let Some(at) = place else { return Ok(None) };
        let column: ColumnReader = group.get_column_reader(at)?;
        Ok(Some(Self {
            column: get_typed_column_reader(column),
            values: Vec::with_capacity(BATCH),
            levels: Vec::with_capacity(BATCH),
            places: Vec::new(),
        }))
    }

    fn read(&mut self, count: usize) -> Result<(), RowError> {
        self.values.clear();
        self.levels.clear();
        self.places.clear();
        let mut rows = 0;
        while rows < count {
            let levels = Some(&mut self.levels);
            let (records, _, _) = self.column.read_records(count - rows, levels, None, &mut self.values)?;
            if records == 0 {
                return Err(ParquetError::General("a column ends before its rows do".to_owned()).into());
            }
            rows += records;
        }
        if self.values.len() < count {
            let mut next = 0;
            self.places.extend(self.levels.iter().map(|level| {
                let place = (*level > 0).then_some(next);
                next += usize::from(*level > 0);
                place
            }));
        }
        Ok(())
    }

    /// `None` where the row has no value.
    fn get(&self, index: usize) -> Option<&T::T> {
        match self.places.is_empty() {
            true => self.values.get(index),
            false => self.values.get((*self.places.get(index)?)?),
        }
    }
}
