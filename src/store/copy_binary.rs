//! The binary format of COPY, written and read: a signature, then for each row the number of its fields and each
//! field's length and bytes (PostgreSQL's documentation of COPY, "Binary Format").

use std::ops::ControlFlow;

use futures_util::TryStreamExt;

use super::StoreError;
use super::decode::inconsistent;
use super::error::Doing;
use super::reader::Reader;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Length of the signature, the flags and the length of the header extension, which no version of PostgreSQL uses.
const HEADER: usize = 19;
/// Rows per delivery: large enough that its cost does not matter, small enough that memory does not.
const BATCH: usize = 4096;
/// Fields of the widest row that is read.
pub(super) const FIELDS: usize = 4;

/// One row. A null field is `None`.
pub(super) type Fields<'a> = [Option<&'a [u8]>; FIELDS];

/// Encodes the rows of one COPY, which can be taken in pieces.
pub(super) struct RowEncoder(Vec<u8>);

impl RowEncoder {
    pub(super) fn begin(rows: usize) -> Self {
        let mut bytes = Vec::with_capacity(rows * 72 + 32);
        bytes.extend_from_slice(SIGNATURE);
        bytes.extend_from_slice(&[0; 8]); // no flags, no header extension
        Self(bytes)
    }

    pub(super) fn row(&mut self, fields: i16) -> &mut Self {
        self.0.extend_from_slice(&fields.to_be_bytes());
        self
    }

    pub(super) fn field(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn flag(&mut self, flag: Option<bool>) -> &mut Self {
        match flag {
            Some(flag) => self.field(&[u8::from(flag)]),
            None => {
                self.0.extend_from_slice(&(-1i32).to_be_bytes());
                self
            }
        }
    }

    /// Takes the bytes written since the last call.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let room = self.0.len();
        std::mem::replace(&mut self.0, Vec::with_capacity(room))
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&(-1i16).to_be_bytes());
        self.0
    }
}

/// Reassembles rows, wherever the messages cut them.
#[derive(Default)]
pub(super) struct RowDecoder {
    begun: bool,
    /// The incomplete row at the end of the last message.
    pending: Vec<u8>,
}

impl RowDecoder {
    pub(super) fn feed(
        &mut self,
        message: &[u8],
        mut each: impl FnMut(Fields<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.pending.is_empty() {
            let used = self.decode(message, &mut each)?;
            self.pending.extend_from_slice(&message[used..]);
        } else {
            let mut bytes = std::mem::take(&mut self.pending);
            bytes.extend_from_slice(message);
            let used = self.decode(&bytes, &mut each)?;
            bytes.drain(..used);
            self.pending = bytes;
        }
        Ok(())
    }

    /// Decodes the complete rows and returns their length in bytes.
    fn decode(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(Fields<'_>) -> Result<(), StoreError>,
    ) -> Result<usize, StoreError> {
        let mut at = 0;
        if !self.begun {
            if bytes.len() < HEADER {
                return Ok(0);
            }
            if !bytes.starts_with(SIGNATURE) {
                return Err(inconsistent("a COPY that does not begin as one"));
            }
            self.begun = true;
            at = HEADER;
        }
        while let Some((fields, length)) = row(&bytes[at..])? {
            at += length;
            if let Some(fields) = fields {
                each(fields)?;
            }
        }
        Ok(at)
    }
}

impl Reader {
    /// Delivers a query's rows until they end or `deliver` stops. `row` decodes a row, and may skip it.
    pub(super) async fn read_rows<T>(
        &mut self,
        query: &str,
        mut row: impl FnMut(&Fields<'_>) -> Result<Option<T>, StoreError>,
        mut deliver: impl AsyncFnMut(Vec<T>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let doing = "read the inventory";
        let statement = format!("copy ({query}) to stdout (format binary)");
        let mut messages = self.session.copy_out_raw(&statement).await.doing(doing)?;
        let mut decoder = RowDecoder::default();
        let mut rows = Vec::with_capacity(BATCH);
        while let Some(message) = messages.try_next().await.doing(doing)? {
            decoder.feed(&message, |fields| {
                rows.extend(row(&fields)?);
                Ok(())
            })?;
            if rows.len() >= BATCH {
                let full = std::mem::replace(&mut rows, Vec::with_capacity(BATCH));
                if deliver(full).await.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        if rows.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(deliver(rows).await)
    }
}

/// The first row and its length, or `None` if it is not complete yet. The end marker is a row without fields.
fn row(bytes: &[u8]) -> Result<Option<(Option<Fields<'_>>, usize)>, StoreError> {
    let Some(count) = bytes.first_chunk() else {
        return Ok(None);
    };
    let count = match i16::from_be_bytes(*count) {
        -1 => return Ok(Some((None, 2))),
        count => usize::try_from(count).ok().filter(|count| *count <= FIELDS),
    };
    let count = count.ok_or_else(|| inconsistent("a row of another number of fields than was asked for"))?;
    let mut fields = [None; FIELDS];
    let mut at = 2;
    for field in fields.iter_mut().take(count) {
        let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else {
            return Ok(None);
        };
        at += 4;
        // Only -1, for null, is less than zero.
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            continue;
        };
        let Some(value) = bytes.get(at..at + length) else {
            return Ok(None);
        };
        *field = Some(value);
        at += length;
    }
    Ok(Some((Some(fields), at)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_reassembled_wherever_they_are_cut(
            rows in prop::collection::vec((any::<[u8; 32]>(), any::<Option<bool>>()), 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut written = RowEncoder::begin(rows.len());
            let mut sent = Vec::new();
            for (id, flag) in &rows {
                written.row(2).field(id).flag(*flag);
                sent.extend(written.take());
            }
            sent.extend(written.end());
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(sent.len())).collect();
            cuts.extend([0, sent.len()]);
            cuts.sort_unstable();
            let mut decoder = RowDecoder::default();
            let mut found = Vec::new();
            for cut in cuts.windows(2) {
                decoder.feed(&sent[cut[0]..cut[1]], |fields| {
                    let id: [u8; 32] = fields[0].unwrap().try_into().unwrap();
                    found.push((id, fields[1].map(|flag| flag == [1])));
                    Ok(())
                }).unwrap();
            }
            prop_assert_eq!(found, rows);
            prop_assert!(decoder.pending.is_empty());
        }
    }
}
