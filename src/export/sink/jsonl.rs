//! JSON Lines: one object a row, its keys in the order of the columns; null where nothing is known.

use std::io::{self, Write};

use super::last_seen_at;
use super::times::TimeText;
use crate::export::columns::{Column, Value};
use crate::store::{Row, Slice};

pub struct JsonlSink<W: Write> {
    columns: Vec<(Column, TimeText)>,
    to: W,
}

impl<W: Write> JsonlSink<W> {
    pub fn new(columns: &[Column], to: W) -> Self {
        let columns = columns.iter().map(|column| (*column, TimeText::default())).collect();
        Self { columns, to }
    }

    pub fn write(&mut self, slice: &Slice, rows: &[Row]) -> io::Result<()> {
        let last_seen_at = last_seen_at(slice);
        let mut line = Vec::new();
        for row in rows {
            line.clear();
            for (nth, (column, times)) in self.columns.iter_mut().enumerate() {
                // No name of a column needs an escape.
                line.extend_from_slice(if nth == 0 { b"{\"" } else { b",\"" });
                line.extend_from_slice(column.name().as_bytes());
                line.extend_from_slice(b"\":");
                match column.value(slice, last_seen_at, row) {
                    Value::Text(text) => serde_json::to_writer(&mut line, text)?,
                    Value::Object(_) => quoted(&mut line, &row.id().to_hex()),
                    Value::Flag(Some(flag)) => line.extend_from_slice(if flag { b"true" } else { b"false" }),
                    Value::Time(Some(micros)) => quoted(&mut line, times.of(micros)),
                    Value::Flag(None) | Value::Time(None) => line.extend_from_slice(b"null"),
                    Value::Number(number) => write!(line, "{number}")?,
                }
            }
            line.extend_from_slice(b"}\n");
            self.to.write_all(&line)?;
        }
        Ok(())
    }

    pub fn finish(self) -> W {
        self.to
    }
}

fn quoted(line: &mut Vec<u8>, plain: &[u8]) {
    line.push(b'"');
    line.extend_from_slice(plain);
    line.push(b'"');
}
