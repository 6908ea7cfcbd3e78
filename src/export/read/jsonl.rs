//! Rows of JSON Lines.

use std::borrow::Cow;
use std::io::Read;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::lines::Lines;
use super::{At, Columns, Row, RowError};
use crate::model::ObjectId;

pub struct JsonReader<R> {
    lines: Lines<R>,
    columns: Option<Columns>,
    /// Texts with escapes have to live somewhere.
    account: String,
    namespace: String,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    account_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    namespace_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    object_id: Option<Cow<'a, str>>,
    /// As Cloudflare's API calls it.
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default, alias = "hasStoredData", deserialize_with = "there")]
    has_stored_data: Option<Option<bool>>,
    #[serde(default)]
    change: Option<IgnoredAny>,
    #[serde(default)]
    valid_from: Option<IgnoredAny>,
}

/// A null that is there is not the same as a key that is not.
fn there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<bool>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl<R: Read> JsonReader<R> {
    pub fn new(from: R) -> Result<Self, RowError> {
        let mut lines = Lines::new(from);
        let columns = first_columns(&mut lines)?;
        Ok(Self {
            lines,
            columns,
            account: String::new(),
            namespace: String::new(),
        })
    }

    pub fn at(&self) -> At {
        self.lines.at()
    }

    pub fn columns(&self) -> Option<Columns> {
        self.columns
    }

    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, RowError> {
        let line = loop {
            match self.lines.next_line_place()? {
                None => return Ok(None),
                Some(line) if self.lines.bytes(line.clone()).trim_ascii().is_empty() => {}
                Some(line) => break line,
            }
        };
        let at = self.lines.at();
        let line = parse(self.lines.bytes(line), at)?;
        let object_id = line.object_id.or(line.id);
        let object_id =
            object_id.map(|text| ObjectId::from_hex(text.as_bytes()).map_err(|_| RowError::id(at, text.as_bytes())));
        Ok(Some(Row {
            account_id: line.account_id.map(|text| text_in(text, &mut self.account)),
            namespace_id: line.namespace_id.map(|text| text_in(text, &mut self.namespace)),
            object_id: object_id.transpose()?,
            has_stored_data: line.has_stored_data,
        }))
    }
}

fn text_in<'a>(text: Cow<'a, str>, home: &'a mut String) -> &'a [u8] {
    match text {
        Cow::Borrowed(text) => text.as_bytes(),
        Cow::Owned(text) => {
            *home = text;
            home.as_bytes()
        }
    }
}

fn parse(line: &[u8], at: At) -> Result<Line<'_>, RowError> {
    // An array would pass for an object whose keys have these positions.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(RowError::NoObject(at));
    }
    serde_json::from_slice(line).map_err(|source| RowError::Json { at, source })
}

/// Of the first line, which is read once more afterwards.
fn first_columns<R: Read>(lines: &mut Lines<R>) -> Result<Option<Columns>, RowError> {
    let Some(first) = lines.next_line_place()? else {
        return Ok(None);
    };
    let at = lines.at();
    let line = parse(lines.bytes(first.clone()), at)?;
    let no_objects = match (line.change, line.valid_from) {
        (Some(_), _) => Some("changes"),
        (_, Some(_)) => Some("history"),
        _ => None,
    };
    let columns = Columns {
        account_id: line.account_id.is_some(),
        namespace_id: line.namespace_id.is_some(),
        object_id: line.object_id.is_some() || line.id.is_some(),
        has_stored_data: line.has_stored_data.is_some(),
        no_objects,
    };
    lines.put_back(first);
    Ok(Some(columns))
}
