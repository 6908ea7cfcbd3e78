//! CSV in UTF-8 as RFC 4180 describes it, but for lines that end in LF, and with a header row. Flags are `true` and `false`; null is an empty cell.

use std::io::{self, Write};

use csv::{Terminator, Writer, WriterBuilder};

use super::{TimeText, last_seen_at};
use crate::export::columns::{ExportColumn, Value};
use crate::export::csv_injection::guarded;
use crate::store::{Row, Slice};

pub struct CsvSink<W: Write> {
    columns: Vec<(ExportColumn, TimeText)>,
    to: Writer<W>,
}

impl<W: Write> CsvSink<W> {
    pub fn new(columns: &[ExportColumn], to: W) -> io::Result<Self> {
        let mut to = WriterBuilder::new()
            .terminator(Terminator::Any(b'\n'))
            .buffer_capacity(64 * 1024)
            .from_writer(to);
        to.write_record(columns.iter().map(|column| column.name()))
            .map_err(io_error)?;
        let columns = columns.iter().map(|column| (*column, TimeText::default())).collect();
        Ok(Self { columns, to })
    }

    pub fn write(&mut self, slice: &Slice, rows: &[Row]) -> io::Result<()> {
        self.write_rows(slice, rows).map_err(io_error)
    }

    fn write_rows(&mut self, slice: &Slice, rows: &[Row]) -> csv::Result<()> {
        let last_seen_at = last_seen_at(slice);
        for row in rows {
            for (column, times) in &mut self.columns {
                match column.value(slice, last_seen_at, row)? {
                    Value::Text(text) => self.to.write_field(&*guarded(text))?,
                    Value::Object(id) => self.to.write_field(id.to_hex())?,
                    Value::Flag(flag) => self.to.write_field(if flag { "true" } else { "false" })?,
                    Value::Time(micros) => self.to.write_field(times.text(micros))?,
                    Value::Number(number) => self.to.write_field(number.to_string())?,
                    Value::Null => self.to.write_field("")?,
                }
            }
            self.to.write_record(None::<&[u8]>)?;
        }
        Ok(())
    }

    pub fn finish(self) -> io::Result<W> {
        self.to.into_inner().map_err(|error| error.into_error())
    }
}

/// Returns the destination's own error where there is one: callers look at its kind.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
