//! Rows of JSON Lines.

use std::borrow::Cow;
use std::io::BufRead;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use super::{FileRow, RowError, shared};

pub struct JsonRows<R> {
    from: R,
    line: Vec<u8>,
    last_account: Option<Arc<str>>,
    last_namespace: Option<Arc<str>>,
    row: u64,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    account_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    namespace_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    object_id: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "there")]
    has_stored_data: Option<Option<bool>>,
}

/// A null that is there is not the same as a key that is not.
fn there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<bool>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl<R: BufRead> JsonRows<R> {
    pub fn new(from: R) -> Self {
        Self {
            from,
            line: Vec::new(),
            last_account: None,
            last_namespace: None,
            row: 0,
        }
    }

    fn read(&mut self) -> Result<Option<FileRow>, RowError> {
        self.line.clear();
        if self.from.read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        self.row += 1;
        let row = self.row;
        // An array would pass for an object whose keys have these positions.
        if self.line.trim_ascii_start().first() != Some(&b'{') {
            return Err(RowError::NoObject { row });
        }
        let line: Line<'_> = serde_json::from_slice(&self.line).map_err(|source| RowError::Json { row, source })?;
        let object_id = line.object_id.map(|id| id.parse()).transpose();
        Ok(Some(FileRow {
            account_id: line.account_id.map(|text| shared(&mut self.last_account, &text)),
            namespace_id: line.namespace_id.map(|text| shared(&mut self.last_namespace, &text)),
            object_id: object_id.map_err(|source| RowError::Id { row, source })?,
            has_stored_data: line.has_stored_data,
        }))
    }
}

impl<R: BufRead> Iterator for JsonRows<R> {
    type Item = Result<FileRow, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
