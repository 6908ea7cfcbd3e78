//! The reader of JSON Lines.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::columns::{Columns, Known, Names};
use super::lines::Lines;
use super::{At, RowError, RowRef, object_id};

pub struct JsonReader<R> {
    lines: Lines<R>,
    /// Storage for unescaped texts, which a row can't borrow from its line.
    account: String,
    namespace: String,
}

impl<R: Read> JsonReader<R> {
    pub fn new(from: R) -> Self {
        Self {
            lines: Lines::new(from),
            account: String::new(),
            namespace: String::new(),
        }
    }

    pub fn at(&self) -> At {
        self.lines.at()
    }

    pub fn next_row(&mut self) -> Result<Option<RowRef<'_>>, RowError> {
        let Some((at, line)) = next_object(&mut self.lines)? else {
            return Ok(None);
        };
        let line: Line<'_> = serde_json::from_slice(line).map_err(|source| RowError::Json { at, source })?;
        if let Some(what) = line.no_object {
            return Err(RowError::OtherTable { at, what });
        }
        let id = line.object_id.or(line.id).map(|text| object_id(at, text.as_bytes()));
        Ok(Some(RowRef {
            account_id: line.account_id.map(|text| text_in(text, &mut self.account)),
            namespace_id: line.namespace_id.map(|text| text_in(text, &mut self.namespace)),
            object_id: id.transpose()?,
            has_stored_data: line.has_stored_data,
        }))
    }

    /// Returns the columns that any row has, as other programs omit null values; `None` if there is no row.
    pub fn into_columns(mut self) -> Result<Option<Columns>, RowError> {
        let mut names = Names::default();
        let mut is_empty = true;
        while !names.are_complete()
            && let Some((at, line)) = next_object(&mut self.lines)?
        {
            let mut json = serde_json::Deserializer::from_slice(line);
            let read = AddNames(&mut names).deserialize(&mut json).and_then(|()| json.end());
            read.map_err(|source| RowError::Json { at, source })?;
            is_empty = false;
        }
        match is_empty {
            true => Ok(None),
            false => names.finish().map(Some),
        }
    }
}

/// Returns the next line that is not empty.
fn next_object<R: Read>(lines: &mut Lines<R>) -> Result<Option<(At, &[u8])>, RowError> {
    loop {
        let Some(line) = lines.next_line()? else {
            return Ok(None);
        };
        let at = lines.at();
        match lines.bytes(line.clone()).trim_ascii().first() {
            None => {}
            // serde would accept an array in place of an object.
            Some(b'{') => return Ok(Some((at, lines.bytes(line)))),
            Some(_) => return Err(RowError::NoObject(at)),
        }
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

#[derive(Default)]
struct Line<'a> {
    account_id: Option<Cow<'a, str>>,
    namespace_id: Option<Cow<'a, str>>,
    object_id: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    /// The outer `None` is a missing key, the inner one a null.
    has_stored_data: Option<Option<bool>>,
    no_object: Option<&'static str>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Line<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut line = Line::default();
        let mut met = [false; Known::ALL.len()];
        while let Some(Text(name)) = map.next_key()? {
            let Some(known) = Known::of(&name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if std::mem::replace(&mut met[known as usize], true) {
                return Err(A::Error::custom(format_args!("duplicate field `{}`", known.name())));
            }
            let text = match known {
                Known::AccountId => &mut line.account_id,
                Known::NamespaceId => &mut line.namespace_id,
                Known::ObjectId => &mut line.object_id,
                Known::Id => &mut line.id,
                Known::HasStoredData => {
                    line.has_stored_data = Some(map.next_value()?);
                    continue;
                }
                Known::Change | Known::ValidFrom => {
                    map.next_value::<IgnoredAny>()?;
                    line.no_object = known.other_table();
                    continue;
                }
            };
            *text = map.next_value::<Option<Text<'de>>>()?.map(|Text(text)| text);
        }
        Ok(line)
    }
}

/// Adds the keys of an object and ignores its values.
struct AddNames<'a>(&'a mut Names);

impl<'de> DeserializeSeed<'de> for AddNames<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for AddNames<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((Text(name), IgnoredAny)) = map.next_entry()? {
            self.0.add(&name);
        }
        Ok(())
    }
}
