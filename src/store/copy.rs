//! Rows in the binary format of COPY: a signature, then for each row the number of its fields and each field's length
//! and bytes (PostgreSQL's documentation of COPY, "Binary Format").

/// One COPY's rows, in as many pieces as are taken.
pub(super) struct Rows(Vec<u8>);

impl Rows {
    pub(super) fn begin(rows: usize) -> Self {
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

    /// What was written since the last piece was taken.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let room = self.0.len();
        std::mem::replace(&mut self.0, Vec::with_capacity(room))
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&(-1i16).to_be_bytes());
        self.0
    }
}
