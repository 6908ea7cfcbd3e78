//! README.md and docs/ are true: their commands parse and print what is shown, the examples of configuration and SQL
//! work, and every option, variable, link and exit code that they name exists.
//!
//! `UPDATE_DOCS=1 cargo test --test it readme` writes the outputs and the tables of options anew.

mod commands;
mod commented_file;
mod example;
mod links;
mod markdown;
mod options;
mod outputs;

pub use self::markdown::block;
