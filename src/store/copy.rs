//! Rows in the binary format of COPY: a signature, then for each row the number of its fields and each field's length
//! and bytes (PostgreSQL's documentation of COPY, "Binary Format").

/// One COPY's worth of rows.
pub(super) struct Rows(Vec<u8>);

impl Rows {
    pub(super) fn with_capacity(rows: usize) -> Self {
        let mut bytes = Vec::with_capacity(rows * 72 + 32);
        bytes.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
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

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&(-1i16).to_be_bytes());
        self.0
    }
}
