//! One sink per format, which turns rows into bytes.

mod csv;
mod jsonl;
mod parquet;

use std::io::{self, Write};

use self::csv::CsvSink;
use self::jsonl::JsonlSink;
use self::parquet::ParquetSink;
use super::columns::ExportColumn;
use super::format::Format;
use crate::store::{Row, Slice};
use crate::times::rfc3339_micros;

pub enum Sink<W: Write + Send> {
    Csv(Box<CsvSink<W>>),
    Parquet(Box<ParquetSink<W>>),
    Jsonl(JsonlSink<W>),
    Ids(W),
}

impl<W: Write + Send> Sink<W> {
    pub fn new(format: Format, columns: &[ExportColumn], to: W) -> io::Result<Self> {
        Ok(match format {
            Format::Csv => Self::Csv(Box::new(CsvSink::new(columns, to)?)),
            Format::Parquet => Self::Parquet(Box::new(ParquetSink::new(columns, to)?)),
            Format::Jsonl => Self::Jsonl(JsonlSink::new(columns, to)),
            Format::Ids => Self::Ids(to),
        })
    }

    pub fn write(&mut self, slice: &Slice, rows: &[Row]) -> io::Result<()> {
        match self {
            Self::Csv(sink) => sink.write(slice, rows),
            Self::Parquet(sink) => sink.write(slice, rows),
            Self::Jsonl(sink) => sink.write(slice, rows),
            Self::Ids(to) => write_ids(to, rows),
        }
    }

    /// Ends the file and returns its destination. Without this call the file is incomplete.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Csv(sink) => sink.finish(),
            Self::Parquet(sink) => sink.finish(),
            Self::Jsonl(sink) => Ok(sink.finish()),
            Self::Ids(to) => Ok(to),
        }
    }
}

fn write_ids(to: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    let mut line = [b'\n'; 65];
    for row in rows {
        line[..64].copy_from_slice(&row.id().to_hex());
        to.write_all(&line)?;
    }
    Ok(())
}

/// When the slice's objects were last seen: at the snapshot that they are read from. In microseconds since 1970.
fn last_seen_at(slice: &Slice) -> i64 {
    (slice.until.recorded_at.unix_timestamp_nanos() / 1000) as i64
}

/// Formats the timestamps of one column. Columns repeat the few times at which snapshots were recorded, so the last
/// text is kept.
#[derive(Default)]
struct TimeText {
    last: Option<(i64, String)>,
}

impl TimeText {
    fn text(&mut self, micros: i64) -> &str {
        self.last.take_if(|(last, _)| *last != micros);
        &self.last.get_or_insert_with(|| (micros, rfc3339_micros(micros))).1
    }
}
