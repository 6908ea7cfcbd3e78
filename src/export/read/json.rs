//! The reader of JSON: JSON Lines, arrays of objects or ids, and responses of the API.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::columns::{Columns, Known, Names};
use super::error::shortened;
use super::json_objects::{JsonObjects, Layout};
use super::values::{flag, flag_of_number, object_id};
use super::{At, RowError, RowRef};

pub struct JsonReader<R> {
    objects: JsonObjects<R>,
    /// Storage for texts that a row can't borrow from its line.
    account: String,
    namespace: String,
}

impl<R: Read> JsonReader<R> {
    pub fn new(layout: Layout, from: R) -> Self {
        Self {
            objects: JsonObjects::new(layout, from),
            account: String::new(),
            namespace: String::new(),
        }
    }

    pub fn at(&self) -> At {
        self.objects.at()
    }

    pub fn next_row(&mut self) -> Result<Option<RowRef<'_>>, RowError> {
        let Some((at, element)) = self.objects.next()? else {
            return Ok(None);
        };
        let invalid = |source| RowError::Json { at, source };
        if element.first() == Some(&b'"') {
            let BorrowedText(id) = serde_json::from_slice(element).map_err(invalid)?;
            return Ok(Some(RowRef {
                object_id: Some(object_id(at, id.as_bytes())?),
                ..RowRef::default()
            }));
        }
        let row: Row<'_> = serde_json::from_slice(element).map_err(invalid)?;
        if let Some(what) = row.no_object {
            return Err(RowError::OtherTable { at, what });
        }
        let id = row.id.map(|text| object_id(at, text.as_bytes()));
        Ok(Some(RowRef {
            account_id: row.account_id.map(|text| text_in(text, &mut self.account)),
            namespace_id: row.namespace_id.map(|text| text_in(text, &mut self.namespace)),
            object_id: id.transpose()?,
            has_stored_data: row.has_stored_data,
        }))
    }

    /// Returns the columns that any row has, as other programs omit null values; `None` if there is no row.
    pub fn into_columns(mut self) -> Result<Option<Columns>, RowError> {
        let mut names = Names::default();
        let mut is_empty = true;
        while !names.are_complete()
            && let Some((at, element)) = self.objects.next()?
        {
            is_empty = false;
            if element.first() == Some(&b'"') {
                names.add(Known::ObjectId.name());
                continue;
            }
            let mut json = serde_json::Deserializer::from_slice(element);
            let read = AddNames(&mut names).deserialize(&mut json).and_then(|()| json.end());
            read.map_err(|source| RowError::Json { at, source })?;
        }
        match is_empty {
            true => Ok(None),
            false => names.finish().map(Some),
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
struct Row<'a> {
    account_id: Option<Cow<'a, str>>,
    namespace_id: Option<Cow<'a, str>>,
    /// `object_id`, or `id` if there is no `object_id`.
    id: Option<Cow<'a, str>>,
    /// The outer `None` is a missing key, the inner one a null.
    has_stored_data: Option<Option<bool>>,
    no_object: Option<&'static str>,
}

#[derive(Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Row<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut row = Row::default();
        let mut met = [false; Known::ALL.len()];
        let mut other_id = Cell::Null;
        while let Some(BorrowedText(name)) = map.next_key()? {
            let Some(known) = Known::of(&name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if std::mem::replace(&mut met[known as usize], true) {
                return Err(A::Error::custom(format_args!("duplicate field `{}`", known.name())));
            }
            match known {
                Known::AccountId => row.account_id = map.next_value::<Cell<'de>>()?.text(known)?,
                Known::NamespaceId => row.namespace_id = map.next_value::<Cell<'de>>()?.text(known)?,
                Known::ObjectId => row.id = map.next_value::<Cell<'de>>()?.text(known)?,
                Known::Id => other_id = map.next_value()?,
                Known::HasStoredData => {
                    let Flag(found) = map.next_value()?;
                    row.has_stored_data = Some(found);
                }
                Known::Change | Known::ValidFrom => {
                    map.next_value::<IgnoredAny>()?;
                    row.no_object = known.other_table();
                }
            }
        }
        // Beside `object_id`, it is somebody else's id.
        if !met[Known::ObjectId as usize] {
            row.id = other_id.text(Known::Id)?;
        }
        Ok(row)
    }
}

/// The value of a column that should be a text.
enum Cell<'a> {
    Null,
    Text(Cow<'a, str>),
    Other,
}

impl<'a> Cell<'a> {
    fn text<E: Error>(self, column: Known) -> Result<Option<Cow<'a, str>>, E> {
        match self {
            Self::Null => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            Self::Other => Err(E::custom(format_args!("{} is not a text", column.name()))),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Cell<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cell::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cell::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Cell::Null)
    }

    /// Many programs write the id of an account as a number.
    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Cell::Text(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Cell::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Cell::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Cell::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Other)
    }
}

struct Flag(Option<bool>);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(FlagVisitor)
    }
}

struct FlagVisitor;

impl Visitor<'_> for FlagVisitor {
    type Value = Flag;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or null for has_stored_data")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Flag, E> {
        Ok(Flag(Some(flag)))
    }

    fn visit_unit<E: Error>(self) -> Result<Flag, E> {
        Ok(Flag(None))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Flag, E> {
        let found = flag(text.as_bytes()).map(Flag);
        found.ok_or_else(|| E::invalid_value(Unexpected::Str(&shortened(text.as_bytes())), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Flag, E> {
        let found = flag_of_number(number as f64).map(Flag);
        found.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Flag, E> {
        Err(E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Flag, E> {
        let found = flag_of_number(number).map(Flag);
        found.ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
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
        while let Some((BorrowedText(name), IgnoredAny)) = map.next_entry()? {
            self.0.add(&name);
        }
        Ok(())
    }
}
