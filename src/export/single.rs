//! All rows in one file, or on stdout.

use std::io;
use std::sync::Arc;

use super::columns::Column;
use super::destination::Output;
use super::error::ExportError;
use super::run::{Target, Written};
use super::sink::{Format, Sink};
use crate::store::{Row, Slice};

pub struct SingleFile {
    place: String,
    sink: Sink<Box<dyn Output>>,
    slice: Option<Arc<Slice>>,
    rows: u64,
}

impl SingleFile {
    /// `place` is what an error calls it.
    pub fn new(
        format: Format,
        columns: &[Column],
        place: String,
        output: io::Result<Box<dyn Output>>,
    ) -> Result<Self, ExportError> {
        match output.and_then(|output| Sink::new(format, columns, output)) {
            Ok(sink) => Ok(Self {
                place,
                sink,
                slice: None,
                rows: 0,
            }),
            Err(source) => Err(ExportError::Write { place, source }),
        }
    }
}

impl Target for SingleFile {
    fn begin(&mut self, slice: &Arc<Slice>) -> Result<(), ExportError> {
        self.slice = Some(slice.clone());
        Ok(())
    }

    fn rows(&mut self, rows: &[Row]) -> Result<(), ExportError> {
        self.rows += rows.len() as u64;
        let Some(slice) = &self.slice else { return Ok(()) };
        self.sink.write(slice, rows).map_err(|source| ExportError::Write {
            place: self.place.clone(),
            source,
        })
    }

    fn finish(self: Box<Self>) -> Result<Written, ExportError> {
        let Self { place, sink, rows, .. } = *self;
        let done = sink.finish().and_then(|output| output.commit());
        done.map_err(|source| ExportError::Write { place, source })?;
        Ok(Written { rows, files: 1 })
    }
}
