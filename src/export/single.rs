//! An export to one file or to stdout.

use std::io;
use std::sync::Arc;

use super::columns::ExportColumn;
use super::destination::AtomicOutput;
use super::error::ExportError;
use super::format::Format;
use super::run::Target;
use super::sink::Sink;
use crate::store::{Row, Slice};

pub struct SingleFile {
    place: String,
    sink: Sink<Box<dyn AtomicOutput>>,
    slice: Option<Arc<Slice>>,
    rows: u64,
}

impl SingleFile {
    /// `place` names the output in errors.
    pub fn new(
        format: Format,
        columns: &[ExportColumn],
        place: String,
        output: io::Result<Box<dyn AtomicOutput>>,
    ) -> Result<Self, ExportError> {
        let sink = output.and_then(|output| Sink::new(format, columns, output));
        Ok(Self {
            sink: sink.map_err(ExportError::write(&place))?,
            place,
            slice: None,
            rows: 0,
        })
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
        self.sink.write(slice, rows).map_err(ExportError::write(&self.place))
    }

    fn finish(self: Box<Self>) -> Result<u64, ExportError> {
        let Self { place, sink, rows, .. } = *self;
        let committed = sink.finish().and_then(|output| output.commit());
        committed.map_err(ExportError::write(&place)).map(|()| rows)
    }
}
