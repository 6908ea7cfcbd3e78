//! Single values of a body: kept as they stand there, and read as what they should be.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::text::shown;

/// The largest value, in bytes, that becomes a tree: a tree takes many times the memory of its text.
const LARGEST_TREE: usize = 16 * 1024;

/// A value as it stands in the body. Its type is checked after parsing, when the row is known.
pub(super) type Raw<'a> = Option<&'a RawValue>;

/// Keeps null apart from absent: a key that is there is `Some`, whatever its value.
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

pub(super) fn identifier<T: FromStr<Err: Display>>(value: Raw<'_>) -> Result<T, String> {
    let value = value.ok_or("it has no id")?;
    let id = string(value).ok_or_else(|| format!("the id should be a text, but is {}", quoted(value)))?;
    id.parse()
        .map_err(|invalid| format!("{invalid}, not \"{}\"", shown(&id)))
}

pub(super) fn flag(name: &str, value: Raw<'_>) -> Result<Option<bool>, String> {
    let Some(value) = value else { return Ok(None) };
    match value.get() {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => Err(format!(
            "{name} should be true, false or null, but is {}",
            quoted(value)
        )),
    }
}

pub(super) fn text<'a>(name: &str, value: Raw<'a>) -> Result<Option<Cow<'a, str>>, String> {
    let Some(value) = value.filter(|value| value.get() != "null") else {
        return Ok(None);
    };
    let text = string(value).ok_or_else(|| format!("{name} should be a text or null, but is {}", quoted(value)))?;
    Ok(Some(text))
}

pub(super) fn number(value: Raw<'_>) -> Option<u64> {
    value?.get().parse().ok()
}

/// A JSON string's text; `None` for any other value.
pub(super) fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    match serde_json::from_str(value.get()) {
        Ok(text) => Some(Cow::Borrowed(text)),
        // A string with escapes can't be borrowed.
        Err(_) => serde_json::from_str(value.get()).ok().map(Cow::Owned),
    }
}

/// A value as an error quotes it. Strings are decoded first: an escape could hide a secret that must not be shown.
pub(super) fn quoted(value: &RawValue) -> String {
    match value.get().as_bytes() {
        [b'{', ..] => "an object".to_owned(),
        [b'[', ..] => "a list".to_owned(),
        [b'"', ..] => string(value).map_or_else(
            || "a text with an invalid escape".to_owned(),
            |text| format!("\"{}\"", shown(&text)),
        ),
        _ => shown(value.get()),
    }
}

pub(super) fn tree(value: &RawValue) -> Result<Value, String> {
    let bytes = value.get().len();
    if bytes > LARGEST_TREE {
        return Err(format!("{bytes} bytes, more than the {LARGEST_TREE} that are read"));
    }
    serde_json::from_str(value.get()).map_err(|error| shown(&error.to_string()))
}
