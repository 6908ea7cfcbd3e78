//! Secrets: where they come from, and that they look like what they are for. No error here shows a value.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::environment::Environment;
use super::error::{ConfigError, Place};
use crate::text::{is_address, is_ambiguous, may_hold_a_secret};

/// A secret, and where it was given, for errors about it.
pub(super) struct Found {
    place: Place,
    value: SecretString,
}

impl Found {
    pub fn new(place: Place, value: String) -> Self {
        let value = value.into();
        Self { place, value }
    }

    pub fn into_value(self) -> SecretString {
        self.value
    }

    pub fn place(self) -> Place {
        self.place
    }

    /// A token or key is sent as a header: what cannot be in one was pasted wrongly.
    pub fn into_token(self) -> Result<SecretString, ConfigError> {
        if self.value.expose_secret().bytes().all(|b| b.is_ascii_graphic()) {
            Ok(self.value)
        } else {
            Err(ConfigError::MalformedSecret { place: self.place })
        }
    }

    pub fn into_database_url(self) -> Result<SecretString, ConfigError> {
        let text = self.value.expose_secret();
        let known = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme));
        if !known || text.chars().any(char::is_control) {
            return Err(ConfigError::MalformedDatabaseUrl { place: self.place });
        }
        // A parameter without a value is none that anyone knows, and may be the rest of a password.
        let query = text.split_once('?').map_or("", |(_, query)| query);
        let has_value = |parameter: &str| parameter.is_empty() || parameter.contains('=');
        if is_ambiguous(text) || !query.split('&').all(has_value) {
            return Err(ConfigError::AmbiguousUrl { place: self.place });
        }
        Ok(self.value)
    }
}

/// Where the configuration file says that a secret is.
pub(super) enum Source {
    File {
        place: Place,
        written: PathBuf,
        base: PathBuf,
    },
    Variable {
        place: Place,
        name: String,
    },
}

impl Source {
    pub fn place(self) -> Place {
        match self {
            Self::File { place, .. } | Self::Variable { place, .. } => place,
        }
    }

    /// Whose it is, and where.
    pub fn into_file(self) -> Option<(Place, PathBuf)> {
        match self {
            Self::File { place, written, base } => Some((place, base.join(written))),
            Self::Variable { .. } => None,
        }
    }

    pub fn read(self, environment: &Environment<'_>) -> Result<Found, ConfigError> {
        match self {
            Self::File { place, written, base } => read_file(place, &written, Some(&base)),
            Self::Variable { place, name } => match environment.text(&name)? {
                Some(value) => Ok(Found::new(Place::Variable(name), value)),
                None => Err(ConfigError::VariableNotSet {
                    place,
                    variable: printable_variable(name),
                }),
            },
        }
    }
}

pub(super) fn read_file(place: Place, written: &Path, base: Option<&Path>) -> Result<Found, ConfigError> {
    if is_address(&written.to_string_lossy()) {
        return Err(ConfigError::SecretForName { place });
    }
    let path = base.map_or_else(|| written.to_owned(), |base| base.join(written));
    let mut text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => {
            let what = printable_path(written, &path);
            return Err(ConfigError::Unreadable { place, what, source });
        }
    };
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    if text.is_empty() {
        return Err(ConfigError::EmptySecret { place });
    }
    Ok(Found::new(place, text))
}

/// Tokens and keys have no `/`, so what has one is a path, or a database's URL without its start. Anything else might be
/// the secret itself.
fn printable_path(written: &Path, path: &Path) -> String {
    let text = written.to_string_lossy();
    match text.contains('/') && !may_hold_a_secret(&text) {
        true => path.display().to_string(),
        false => "the file that it names".to_owned(),
    }
}

/// Tokens and keys have lower-case letters, and by habit variables have none.
fn printable_variable(name: String) -> String {
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    match name.chars().all(plain) {
        true => name,
        false => "the variable that it names".to_owned(),
    }
}
