//! JSON Lines: one object per row, with its keys in the order of the columns.

use std::io::{self, Write};

use super::{TimeText, last_seen_at};
use crate::export::columns::{ExportColumn, Value};
use crate::store::{Row, Slice};

pub struct JsonlSink<W: Write> {
    columns: Vec<(ExportColumn, TimeText)>,
    to: W,
}

impl<W: Write> JsonlSink<W> {
    pub fn new(columns: &[ExportColumn], to: W) -> Self {
        let columns = columns.iter().map(|column| (*column, TimeText::default())).collect();
        Self { columns, to }
    }

    pub fn write(&mut self, slice: &Slice, rows: &[Row]) -> io::Result<()> {
        let last_seen_at = last_seen_at(slice);
        let mut line = Vec::new();
        for row in rows {
            line.clear();
            for (nth, (column, times)) in self.columns.iter_mut().enumerate() {
                // No column name needs an escape.
                line.extend_from_slice(if nth == 0 { b"{\"" } else { b",\"" });
                line.extend_from_slice(column.name().as_bytes());
                line.extend_from_slice(b"\":");
                match column.value(slice, last_seen_at, row)? {
                    Value::Text(text) => serde_json::to_writer(&mut line, text)?,
                    Value::Object(id) => push_quoted(&mut line, &id.to_hex()),
                    Value::Flag(flag) => line.extend_from_slice(if flag { b"true" } else { b"false" }),
                    Value::Time(micros) => push_quoted(&mut line, times.text(micros).as_bytes()),
                    Value::Number(number) => write!(line, "{number}")?,
                    Value::Null => line.extend_from_slice(b"null"),
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

/// `plain` has no character that needs an escape.
fn push_quoted(line: &mut Vec<u8>, plain: &[u8]) {
    line.push(b'"');
    line.extend_from_slice(plain);
    line.push(b'"');
}
