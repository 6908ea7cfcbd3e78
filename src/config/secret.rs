//! Reads secrets and checks their form. No error here contains a value.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::environment::Environment;
use super::error::{ConfigError, Origin};
use crate::text::{is_address, is_ambiguous, may_hold_a_secret};

/// A secret, and where it was given.
pub(super) struct GivenSecret {
    origin: Origin,
    value: SecretString,
}

impl GivenSecret {
    pub fn new(origin: Origin, value: String) -> Self {
        let value = value.into();
        Self { origin, value }
    }

    pub fn into_value(self) -> SecretString {
        self.value
    }

    pub fn origin(self) -> Origin {
        self.origin
    }

    /// Returns a token or key, which is sent as a header; other characters are pasting errors.
    pub fn into_token(self) -> Result<SecretString, ConfigError> {
        if self.value.expose_secret().bytes().all(|b| b.is_ascii_graphic()) {
            Ok(self.value)
        } else {
            Err(ConfigError::MalformedSecret { origin: self.origin })
        }
    }

    pub fn into_database_url(self) -> Result<SecretString, ConfigError> {
        let text = self.value.expose_secret();
        let known = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme));
        if !known || text.chars().any(char::is_control) {
            return Err(ConfigError::MalformedDatabaseUrl { origin: self.origin });
        }
        // No known parameter lacks a value, so this may be the rest of an unescaped password.
        let query = text.split_once('?').map_or("", |(_, query)| query);
        let has_value = |parameter: &str| parameter.is_empty() || parameter.contains('=');
        if is_ambiguous(text) || !query.split('&').all(has_value) {
            return Err(ConfigError::AmbiguousUrl { origin: self.origin });
        }
        Ok(self.value)
    }
}

impl Environment<'_> {
    /// Returns the variable of this name, or the content of the file that the variable `<name>_FILE` names.
    pub(super) fn secret(&self, name: &str) -> Result<Option<GivenSecret>, ConfigError> {
        let by_file = format!("{name}_FILE");
        match (self.text(name)?, self.path(&by_file)) {
            (Some(_), Some(_)) => Err(ConfigError::BothGiven {
                origin: Origin::variable(name),
                other: by_file,
            }),
            (Some(value), None) => Ok(Some(GivenSecret::new(Origin::variable(name), value))),
            (None, Some(path)) => read_file(Origin::Variable(by_file), &path, None).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// The file or variable in which the configuration file says that a secret is.
pub(super) enum SecretSource {
    File {
        origin: Origin,
        written: PathBuf,
        base: PathBuf,
    },
    Variable {
        origin: Origin,
        name: String,
    },
}

impl SecretSource {
    pub fn origin(self) -> Origin {
        match self {
            Self::File { origin, .. } | Self::Variable { origin, .. } => origin,
        }
    }

    /// The path of the secret's file, and the key that names it.
    pub fn into_file(self) -> Option<(Origin, PathBuf)> {
        match self {
            Self::File { origin, written, base } => Some((origin, base.join(written))),
            Self::Variable { .. } => None,
        }
    }

    pub fn read(self, environment: &Environment<'_>) -> Result<GivenSecret, ConfigError> {
        match self {
            Self::File { origin, written, base } => read_file(origin, &written, Some(&base)),
            Self::Variable { origin, name } => match environment.text(&name)? {
                Some(value) => Ok(GivenSecret::new(Origin::Variable(name), value)),
                None => Err(ConfigError::VariableNotSet {
                    origin,
                    variable: printable_variable(name),
                }),
            },
        }
    }
}

fn read_file(origin: Origin, written: &Path, base: Option<&Path>) -> Result<GivenSecret, ConfigError> {
    if is_address(&written.to_string_lossy()) {
        return Err(ConfigError::SecretForName { origin });
    }
    let path = base.map_or_else(|| written.to_owned(), |base| base.join(written));
    let mut text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => {
            let what = printable_path(written, &path);
            return Err(ConfigError::Unreadable { origin, what, source });
        }
    };
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    if text.is_empty() {
        return Err(ConfigError::EmptySecret { origin });
    }
    Ok(GivenSecret::new(origin, text))
}

/// Returns the path if it cannot be the secret itself. Tokens and keys have no `/`; a database URL without its scheme
/// does.
fn printable_path(written: &Path, path: &Path) -> String {
    let text = written.to_string_lossy();
    match text.contains('/') && !may_hold_a_secret(&text) {
        true => path.display().to_string(),
        false => "the file that it names".to_owned(),
    }
}

/// Returns the variable's name if it cannot be the secret itself: tokens and keys have lower-case letters.
fn printable_variable(name: String) -> String {
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    match name.chars().all(plain) {
        true => name,
        false => "the variable that it names".to_owned(),
    }
}
