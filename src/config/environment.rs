//! Environment variables, through a lookup that tests can stand in for.

use std::ffi::OsString;
use std::path::PathBuf;

use super::error::{ConfigError, Place};
use super::secret::{self, Found};

/// Reads variables. One that is set but empty counts as not set: CI systems set what they have no value for.
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
        // The value that came back is left out of the error: it may be a secret.
        text.map_err(|_| ConfigError::NotText {
            place: Place::variable(name),
        })
    }

    /// The variable of this name, or the content of the file that the variable `<name>_FILE` names.
    pub(super) fn secret(&self, name: &str) -> Result<Option<Found>, ConfigError> {
        let by_file = format!("{name}_FILE");
        match (self.text(name)?, self.path(&by_file)) {
            (Some(_), Some(_)) => Err(ConfigError::BothGiven {
                place: Place::variable(name),
                other: by_file,
            }),
            (Some(value), None) => Ok(Some(Found::new(Place::variable(name), value))),
            (None, Some(path)) => secret::read_file(Place::Variable(by_file), &path, None).map(Some),
            (None, None) => Ok(None),
        }
    }
}
