//! Cursors: a position, encoded either as in production or as an opaque text that clients can neither read nor guess.

use crate::objects::Id;
use crate::random::{hash, mix};

/// How a namespace encodes its cursors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CursorStyle {
    /// The last id served, as seen in production and in `workerd`. Any id is accepted. Only the ascending order can
    /// resume from an id; the other orders always use opaque cursors.
    #[default]
    StartAfter,
    /// A signed text; any other text is refused.
    Opaque,
}

/// The position after an id, or before the first one. Different salts give different texts for the same position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub after: Option<Id>,
    pub salt: u64,
}

impl CursorStyle {
    pub(crate) fn write(self, namespace: &str, position: Position) -> String {
        match self {
            Self::StartAfter => hex(&position.readable()),
            Self::Opaque => seal(namespace, position),
        }
    }

    /// Returns `None` if the text is not a cursor of this namespace.
    pub(crate) fn read(self, namespace: &str, text: &str) -> Option<Position> {
        match self {
            Self::StartAfter => parse_id(text).map(|id| Position {
                after: Some(id),
                salt: 0,
            }),
            Self::Opaque => unseal(namespace, text),
        }
    }
}

impl Position {
    /// Adds the salt to the id. No object lies in between, because ids are sparse.
    fn readable(self) -> Id {
        let mut id = self.after.unwrap_or_default();
        let tail = u64::from_be_bytes(std::array::from_fn(|i| id[24 + i]));
        id[24..].copy_from_slice(&tail.saturating_add(self.salt).to_be_bytes());
        id
    }
}

const SEALED: usize = 8 + 1 + 32 + 8;

fn seal(namespace: &str, position: Position) -> String {
    let mut bytes = Vec::with_capacity(SEALED);
    bytes.extend(position.salt.to_be_bytes());
    bytes.push(u8::from(position.after.is_some()));
    bytes.extend(position.after.unwrap_or_default());
    bytes.extend(signature(namespace, &bytes));
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(|nibble| char::from(b'A' + nibble)).collect()
}

fn unseal(namespace: &str, text: &str) -> Option<Position> {
    let nibble = |c: &u8| c.checked_sub(b'A').filter(|n| *n < 16);
    let nibbles: Vec<u8> = text.as_bytes().iter().map(nibble).collect::<Option<_>>()?;
    let bytes: Vec<u8> = nibbles
        .chunks(2)
        .map(|pair| (pair[0] << 4) | pair[pair.len() - 1])
        .collect();
    let (payload, signed) = bytes.split_at_checked(SEALED - 8)?;
    if signed != signature(namespace, payload) {
        return None;
    }
    let after: Id = payload[9..].try_into().ok()?;
    Some(Position {
        after: (payload[8] == 1).then_some(after),
        salt: u64::from_be_bytes(payload[..8].try_into().ok()?),
    })
}

fn signature(namespace: &str, payload: &[u8]) -> [u8; 8] {
    mix(hash(namespace.as_bytes()) ^ hash(payload)).to_be_bytes()
}

pub(crate) fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// Lowercase hex digits, the notation of ids.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    push_hex(&mut out, bytes);
    out
}

/// Parses an id of 64 hex digits.
pub fn parse_id(text: &str) -> Option<Id> {
    if text.len() != 64 || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let mut id = [0; 32];
    for (i, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(id)
}
