//! Environment variables, through a lookup that tests can replace.

use std::ffi::OsString;
use std::path::PathBuf;

use super::error::{ConfigError, Origin};

/// Reads variables. One that is set but empty counts as not set, because CI systems set variables without a value.
#[derive(Clone, Copy)]
pub struct Environment<'a>(&'a dyn Fn(&str) -> Option<OsString>);

impl<'a> Environment<'a> {
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self(lookup)
    }

    fn raw(&self, name: &str) -> Option<OsString> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.raw(name).map(PathBuf::from)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let text = self.raw(name).map(OsString::into_string).transpose();
        // The error must not contain the value, which may be a secret.
        text.map_err(|_| ConfigError::NotText {
            origin: Origin::variable(name),
        })
    }
}
