//! Where the record is kept: PostgreSQL, a private one where none is configured.

pub mod private;
pub mod psql;
