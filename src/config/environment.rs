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
        self.even_empty(name).filter(|value| !value.is_empty())
    }

    pub(super) fn even_empty(&self, name: &str) -> Option<OsString> {
        (self.0)(name)
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.raw(name).map(PathBuf::from)
    }

    /// Returns the value without line ends at its end: `echo TOKEN | base64` puts one into a Kubernetes secret.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let Some(value) = self.raw(name) else {
            return Ok(None);
        };
        // The error must not contain the value, which may be a secret.
        let mut text = value.into_string().map_err(|_| ConfigError::NotText {
            origin: Origin::variable(name),
        })?;
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}
