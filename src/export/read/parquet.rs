//! The reader of Parquet, which reads batches of values from the known columns.

use std::fs::File;

use parquet::file::metadata::ParquetMetaData;

use super::columns::Places;
use super::hardened::{BoundedFile, caught};
use super::lines::LONGEST;
use super::parquet_columns::{ColumnType, Flags, Ids, Texts};
use super::values::object_id_or_bytes;
use super::{At, Columns, RowError, RowRef};

pub struct ParquetReader {
    file: BoundedFile,
    metadata: ParquetMetaData,
    places: Places,
    group: usize,
    account_id: Option<Texts>,
    namespace_id: Option<Texts>,
    object_id: Option<Ids>,
    has_stored_data: Option<Flags>,
    /// Rows of the group that were not returned yet.
    left: usize,
    read: u64,
}

impl ParquetReader {
    pub fn new(file: File) -> Result<Self, RowError> {
        caught(|| Self::open(file))
    }

    fn open(file: File) -> Result<Self, RowError> {
        let (file, metadata) = BoundedFile::open(file)?;
        let schema = metadata.file_metadata().schema_descr();
        let names: Vec<_> = schema.columns().iter().map(|column| column.path().string()).collect();
        let places = Places::of(&names)?;
        for (place, name, is_suitable) in [
            (
                places.account_id,
                "account_id",
                ColumnType::is_text as fn(ColumnType) -> bool,
            ),
            (places.namespace_id, "namespace_id", ColumnType::is_text),
            (places.object_id, "object_id", ColumnType::is_text),
            (places.has_stored_data, "has_stored_data", ColumnType::is_flag),
        ] {
            let column = place.map(|place| schema.column(place));
            let kind = column.as_deref().map(ColumnType::of);
            if kind.is_some_and(|kind| kind.is_none_or(|kind| !is_suitable(kind))) {
                return Err(RowError::Type(name));
            }
        }
        Ok(Self {
            file,
            metadata,
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
        for texts in [&mut self.account_id, &mut self.namespace_id].into_iter().flatten() {
            texts.advance()?;
        }
        if let Some(ids) = &mut self.object_id {
            ids.advance()?;
        }
        if let Some(flags) = &mut self.has_stored_data {
            flags.advance()?;
        }
        let id = self.object_id.as_ref().and_then(Ids::get);
        let id = id.map(|id| object_id_or_bytes(at, id));
        let [account_id, namespace_id] =
            [&self.account_id, &self.namespace_id].map(|texts| texts.as_ref().map(Texts::get));
        if [account_id, namespace_id]
            .iter()
            .flatten()
            .any(|text| text.len() > LONGEST)
        {
            return Err(RowError::TooLong(at));
        }
        let flag = self.has_stored_data.as_ref().map(|flags| flags.get(at));
        Ok(Some(RowRef {
            account_id,
            namespace_id,
            object_id: id.transpose()?,
            has_stored_data: flag.transpose()?,
        }))
    }

    /// Opens the next row group; false at the end.
    fn next_group(&mut self) -> Result<bool, RowError> {
        // The pages of the group before are freed first.
        (self.account_id, self.namespace_id, self.object_id, self.has_stored_data) = (None, None, None, None);
        if self.group == self.metadata.num_row_groups() {
            return Ok(false);
        }
        let group = self.metadata.row_group(self.group);
        // Negative in a damaged file.
        self.left = usize::try_from(group.num_rows()).map_err(|_| RowError::Damaged)?;
        let (file, places) = (&self.file, &self.places);
        self.account_id = places.account_id.map(|at| Texts::of(file, group, at)).transpose()?;
        self.namespace_id = places.namespace_id.map(|at| Texts::of(file, group, at)).transpose()?;
        self.object_id = places.object_id.map(|at| Ids::of(file, group, at)).transpose()?;
        self.has_stored_data = places
            .has_stored_data
            .map(|at| Flags::of(file, group, at))
            .transpose()?;
        self.group += 1;
        Ok(true)
    }
}
