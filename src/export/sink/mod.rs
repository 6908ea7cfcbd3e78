//! Rows become bytes: one sink a format. A sink knows columns and values, and nothing of where its bytes go.

mod csv;
mod jsonl;
mod parquet;
mod times;

use std::io::{self, Write};

use self::csv::CsvSink;
use self::jsonl::JsonlSink;
use self::parquet::ParquetSink;
use super::columns::Column;
use crate::store::{Row, Slice};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    Parquet,
    Jsonl,
    /// One object id a line, and nothing else.
    Ids,
}

impl Format {
    /// What a file's name ends in, and what the manifest calls it.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Jsonl => "jsonl",
            Self::Ids => "txt",
        }
    }
}

pub enum Sink<W: Write + Send> {
    Csv(Box<CsvSink<W>>),
    Parquet(Box<ParquetSink<W>>),
    Jsonl(JsonlSink<W>),
    Ids(W),
}

impl<W: Write + Send> Sink<W> {
    pub fn new(format: Format, columns: &[Column], to: W) -> io::Result<Self> {
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

    /// Ends the file and gives its destination back. Without this, what was written is no whole file.
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

/// When the objects of a slice were last seen: with the snapshot that they are read as of.
fn last_seen_at(slice: &Slice) -> i64 {
    (slice.until.recorded_at.unix_timestamp_nanos() / 1000) as i64
}
