//! Why a command failed, as the program reports it.

use std::error::Error;
use std::fmt;

use durable_inventory::config::ConfigError;
use durable_inventory::text::chain;

/// A message, nearly always of one line, and the exit code of the program.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    pub exit_code: u8,
}

impl Failure {
    /// The message is the error with its chain of sources.
    pub fn new(error: impl Error, exit_code: u8) -> Self {
        Self {
            message: chain(&error),
            exit_code,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(error, 2)
    }
}
