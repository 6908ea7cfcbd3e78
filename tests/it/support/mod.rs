//! What the tests share.

pub mod database;
pub mod private;
pub mod program;
pub mod python;
