//! Ids and flags, as this and other programs write them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{At, RowError};
use crate::model::ObjectId;

/// Bytes of an id.
const ID: usize = 32;

/// Ignores spaces around the id.
#[inline]
pub fn object_id(at: At, text: &[u8]) -> Result<ObjectId, RowError> {
    let text = text.trim_ascii();
    match ObjectId::from_hex(text) {
        Ok(id) => Ok(id),
        Err(_) => other_id(text).ok_or_else(|| RowError::id(at, text)),
    }
}

/// An id of 64 hex digits, or its 32 bytes.
#[inline]
pub fn object_id_or_bytes(at: At, value: &[u8]) -> Result<ObjectId, RowError> {
    match <[u8; ID]>::try_from(value) {
        Ok(bytes) => Ok(ObjectId::from_bytes(bytes)),
        Err(_) => object_id(at, value),
    }
}

/// Bytes as databases write them in text: `\x12..` (PostgreSQL), `0x12..` (MySQL, SQL Server) and base64 (BigQuery,
/// JSON).
#[cold]
fn other_id(text: &[u8]) -> Option<ObjectId> {
    if let Some(digits) = [b"\\x", b"0x", b"0X"].iter().find_map(|with| text.strip_prefix(*with)) {
        return ObjectId::from_hex(digits).ok();
    }
    let bytes = STANDARD.decode(text).ok()?;
    Some(ObjectId::from_bytes(bytes.try_into().ok()?))
}

/// Whether a line is an id and nothing else.
pub fn is_id(line: &[u8]) -> bool {
    object_id(At::Line(1), unquoted(line)).is_ok()
}

/// A line of a list of ids. Some programs write texts in quotation marks.
pub fn unquoted(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    let inner = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\""));
    inner.unwrap_or(line)
}

/// Parses a flag: `true`, `false` or nothing, as databases, spreadsheets and data frames write them. The inner `None`
/// is a null: it is unknown whether the object has data.
#[inline]
pub fn flag(text: &[u8]) -> Option<Option<bool>> {
    match text {
        b"true" => Some(Some(true)),
        b"false" => Some(Some(false)),
        b"" => Some(None),
        _ => other_flag(text.trim_ascii()),
    }
}

fn other_flag(text: &[u8]) -> Option<Option<bool>> {
    const TRUE: [&str; 6] = ["true", "t", "yes", "y", "1", "1.0"];
    const FALSE: [&str; 6] = ["false", "f", "no", "n", "0", "0.0"];
    const NULL: [&str; 10] = ["", "null", "none", "nil", "na", "n/a", "#n/a", "<na>", "nan", "\\n"];
    let is_one_of = |words: &[&str]| words.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(text));
    match () {
        () if is_one_of(&TRUE) => Some(Some(true)),
        () if is_one_of(&FALSE) => Some(Some(false)),
        () if is_one_of(&NULL) => Some(None),
        () => None,
    }
}

/// The flag for a number; `None` if it is neither 0, 1 nor NaN.
pub fn flag_of_number(number: f64) -> Option<Option<bool>> {
    match number {
        1.0 => Some(Some(true)),
        0.0 => Some(Some(false)),
        nan if nan.is_nan() => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_same_in_digits_and_in_bytes() {
        let id = ObjectId::from_bytes(std::array::from_fn(|at| at as u8));
        let hex = String::from_utf8(id.to_hex().to_vec()).unwrap();
        for text in [
            format!(" {hex} "),
            hex.to_uppercase(),
            format!("\\x{hex}"),
            format!("0x{hex}"),
            STANDARD.encode(id.as_bytes()),
        ] {
            assert_eq!(object_id(At::Line(1), text.as_bytes()).unwrap(), id, "{text}");
        }
        assert_eq!(object_id_or_bytes(At::Row(1), id.as_bytes()).unwrap(), id);
        for wrong in ["", "0x", &hex[1..], &format!("\\\\x{hex}"), "a".repeat(32).as_str()] {
            assert!(object_id(At::Line(1), wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_is_no_flag_unless_it_is_0_or_1() {
        assert_eq!(flag_of_number(1.0), Some(Some(true)));
        assert_eq!(flag_of_number(-0.0), Some(Some(false)));
        assert_eq!(flag_of_number(f64::NAN), Some(None));
        for wrong in [2.0, -1.0, 0.5, f64::INFINITY] {
            assert_eq!(flag_of_number(wrong), None, "{wrong}");
        }
        for wrong in ["2", "01", "10", "-1", "tru", "maybe", "?", "unknown"] {
            assert_eq!(flag(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
