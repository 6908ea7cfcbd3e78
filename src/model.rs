//! The words that every part of the program shares: validated ids, what a page says of an object, and how an
//! object's state changes. Nothing here knows HTTP or SQL.

mod change;
mod pagination;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::text::shown;

pub use self::change::{Change, ChangeCounts, ChangeKind, Counts};
pub use self::pagination::{CycleSearch, Pagination, PaginationError, Step};

/// A Durable Object's id: 32 bytes, shown as 64 lower-case hex digits. Ordered as its bytes are, which is the order
/// of the hex text too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId([u8; 32]);

impl ObjectId {
    /// The greatest possible id.
    pub const MAX: Self = Self([0xff; 32]);

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses 64 hex digits, in either case. Files have millions of them, so the loops have no branches: compilers turn
    /// them into a few wide instructions.
    pub fn from_hex(text: &[u8]) -> Result<Self, InvalidObjectId> {
        let text: &[u8; 64] = text.try_into().map_err(|_| InvalidObjectId)?;
        let mut values = [0; 64];
        let mut wrong = false;
        for (value, c) in values.iter_mut().zip(text) {
            let digit = c.wrapping_sub(b'0');
            let letter = (c | 0x20).wrapping_sub(b'a');
            *value = if digit < 10 { digit } else { letter.wrapping_add(10) };
            wrong |= (digit >= 10) & (letter >= 6);
        }
        if wrong {
            return Err(InvalidObjectId);
        }
        Ok(Self(std::array::from_fn(|i| values[2 * i] << 4 | values[2 * i + 1])))
    }

    /// The 64 lower-case hex digits, in ASCII. A table, because lists of differences and exports have millions of them.
    pub fn to_hex(&self) -> [u8; 64] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (digits, byte) in text.chunks_exact_mut(2).zip(self.0) {
            digits.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        text
    }

    /// The first 64 bits. Ids are spread uniformly, so these show how far through the id space an id lies.
    pub fn leading_bits(&self) -> u64 {
        u64::from_be_bytes(std::array::from_fn(|at| self.0[at]))
    }

    /// The greatest id below this one; `None` for the smallest.
    pub fn predecessor(&self) -> Option<Self> {
        let mut bytes = self.0;
        for byte in bytes.iter_mut().rev() {
            let (less, borrow) = byte.overflowing_sub(1);
            *byte = less;
            if !borrow {
                return Some(Self(bytes));
            }
        }
        None
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_hex()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an object id is 64 hex digits")]
pub struct InvalidObjectId;

impl FromStr for ObjectId {
    type Err = InvalidObjectId;

    /// Upper-case digits are accepted and mean the same id.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_hex(text.as_bytes())
    }
}

/// A Cloudflare account id: 1 to 32 characters (the schema's `maxLength`; it gives no pattern). 32 hex digits are held
/// in lower case, whatever their spelling was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an account id is 1 to 32 letters, digits, '-' or '_'")]
pub struct InvalidAccountId;

impl FromStr for AccountId {
    type Err = InvalidAccountId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if text.is_empty() || text.len() > 32 || !text.chars().all(plain) {
            return Err(InvalidAccountId);
        }
        Ok(Self(folded(text).into_owned()))
    }
}

impl AccountId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An account in the list of those that the credentials see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAccount {
    pub id: AccountId,
    pub name: Option<String>,
}

/// A namespace id: any non-empty text without control characters. It is 32 hex digits in production, by example
/// only, which are held in lower case; Cloudflare's local server uses `worker-Class`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceId(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a namespace id is a non-empty text without control characters")]
pub struct InvalidNamespaceId;

/// An account's or a namespace's id as Cloudflare writes it: other programs write its 32 hex digits in capitals, or pad
/// it with spaces.
pub fn canonical_id(text: &str) -> Cow<'_, str> {
    folded(text.trim_ascii())
}

fn folded(text: &str) -> Cow<'_, str> {
    match is_hex_id(text) && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => text.to_ascii_lowercase().into(),
        false => text.into(),
    }
}

/// Whether a text has the form of an account's or a namespace's id.
pub fn is_hex_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl FromStr for NamespaceId {
    type Err = InvalidNamespaceId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(InvalidNamespaceId);
        }
        Ok(Self(folded(text).into_owned()))
    }
}

impl NamespaceId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// For messages: an id may hold what turns the text around it.
impl fmt::Display for NamespaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

/// A namespace as the account's list describes it. Every field but the id is optional in the API.
#[derive(Debug, Clone, PartialEq)]
pub struct Namespace {
    pub id: NamespaceId,
    pub name: Option<String>,
    pub script: Option<String>,
    pub class: Option<String>,
    pub use_sqlite: Option<bool>,
    /// Undocumented: `{id, slug, name}` of a preview deployment; `script` is then the parent Worker.
    pub preview: Option<serde_json::Value>,
}

impl Namespace {
    /// What a person is shown: the name where there is one, else the id.
    pub fn label(&self) -> &str {
        label(self.name.as_deref(), self.id.as_str())
    }
}

/// What a person is shown: the name where there is one, else the id.
pub fn label<'a>(name: Option<&'a str>, id: &'a str) -> &'a str {
    name.filter(|name| !name.is_empty()).unwrap_or(id)
}

/// Whether a listed object holds stored data. An absent or null `hasStoredData` is unknown, which is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoredData {
    Unknown,
    Without,
    With,
}

impl From<Option<bool>> for StoredData {
    fn from(flag: Option<bool>) -> Self {
        match flag {
            None => Self::Unknown,
            Some(false) => Self::Without,
            Some(true) => Self::With,
        }
    }
}

impl From<StoredData> for Option<bool> {
    fn from(data: StoredData) -> Self {
        match data {
            StoredData::Unknown => None,
            StoredData::Without => Some(false),
            StoredData::With => Some(true),
        }
    }
}

/// One object in one place: a row of a page, or a row of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    pub id: ObjectId,
    pub data: StoredData,
}

/// What the record says of an object at a moment. The discriminants are the codes in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    Absent = 0,
    Unknown = 1,
    WithoutData = 2,
    WithData = 3,
}

impl From<StoredData> for State {
    fn from(data: StoredData) -> Self {
        match data {
            StoredData::Unknown => Self::Unknown,
            StoredData::Without => Self::WithoutData,
            StoredData::With => Self::WithData,
        }
    }
}

/// The API's opaque position after a page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor(String);

impl Cursor {
    /// `None` for the empty text, which the API uses for "no more pages".
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (!text.is_empty()).then_some(Self(text))
    }

    /// The cursor of what comes after an id, for an API whose cursors are ids.
    pub fn after(id: &ObjectId) -> Self {
        Self(id.to_string())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Pages are not made smaller than this: the API was seen to refuse 25 with "limit is too low".
pub const SMALLEST_PAGE: u32 = 100;

/// One page of a namespace's objects, validated: every row had an id of 64 hex digits.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// In the order in which they were served.
    pub rows: Vec<Observation>,
    pub next: Next,
    /// `result_info.count`, where it is there.
    pub count: Option<u64>,
    /// `result_info.per_page`, where it is greater than zero.
    pub per_page: Option<u64>,
    /// `result_info.total_count`, where it is there.
    pub total_count: Option<u64>,
    /// HTTP requests that were sent to get it, retries included.
    pub requests: u32,
    /// The `limit` of the last request: at most as many rows were asked for.
    pub limit: u32,
    /// How long the API took to respond to the last request.
    pub took: Duration,
}

/// What a page says of the pages after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Go on here.
    Cursor(Cursor),
    /// A cursor key was there and it was `""` or null: this was the last page.
    End,
    /// There was no cursor key at all (`result_info.cursor` and `result_info.cursors.after` both absent).
    NoCursorKey,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_is_what_its_hex_digits_say(text in "[0-9a-fA-F]{64}|[0-9a-gG/:@`]{62,66}") {
            let mut bytes = [0; 32];
            let there = hex::decode_to_slice(&text, &mut bytes).map(|()| ObjectId::from_bytes(bytes));
            prop_assert_eq!(text.parse::<ObjectId>().ok(), there.ok());
            if let Ok(id) = text.parse::<ObjectId>() {
                prop_assert_eq!(id.to_string(), text.to_ascii_lowercase());
            }
        }
    }

    #[test]
    fn ids_of_32_hex_digits_are_folded_and_others_are_not() {
        for (text, held) in [
            ("0123456789ABCDEF0123456789abcdef", "0123456789abcdef0123456789abcdef"),
            ("0123456789ABCDEF0123456789abcdeG", "0123456789ABCDEF0123456789abcdeG"),
            ("Worker-Class", "Worker-Class"),
        ] {
            assert_eq!(text.parse::<AccountId>().unwrap().as_str(), held);
            assert_eq!(text.parse::<NamespaceId>().unwrap().as_str(), held);
        }
    }
}
