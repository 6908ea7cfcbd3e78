//! Reads secrets and checks their form. No error here contains a value.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::environment::Environment;
use super::error::{ConfigError, Origin};
use crate::cloudflare::BaseUrl;
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

    /// Returns a token or key. Cloudflare's have letters, digits, `-` and `_` only; other characters are pasting
    /// errors. A gateway in front of the API may use tokens of its own, so at its address the rest of RFC 6750's
    /// alphabet passes too.
    pub fn into_token(self, api: &BaseUrl) -> Result<SecretString, ConfigError> {
        let others = if api.is_cloudflare() { "-_" } else { "-_.~+/" };
        match unlike_a_token(self.value.expose_secret(), others) {
            None => Ok(self.value),
            Some(what) => Err(ConfigError::MalformedSecret {
                origin: self.origin,
                what,
            }),
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

/// How a text differs from a token of letters, digits and these other characters; `None` if it does not. The text
/// itself is never quoted.
fn unlike_a_token(text: &str, others: &str) -> Option<&'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    if text.chars().all(fits) {
        return None;
    }
    if text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
        return Some("begins with \"Bearer\": remove that, because the program adds it");
    }
    let has = |wanted: &[char]| text.contains(wanted);
    Some(match text {
        _ if has(&['"', '\'', '`', '‘', '’', '“', '”']) => {
            "has quotation marks: remove them; Docker and systemd may read them from env files as part of the value"
        }
        _ if has(&['$']) => "has a '$': the name of a variable was not replaced by its value",
        _ if has(&['=']) => "has a '=': give the token alone, without the name of a variable",
        _ if has(&['*']) => "has a '*', so it is a masked copy: copy the token where it was created",
        _ if has(&['\\']) => "has a backslash: remove what escapes a line break or a character",
        _ if has(&['\u{feff}']) => "begins with a byte order mark: write the file again as UTF-8 without one",
        _ if text.contains(char::is_whitespace) => "has white space or several lines: check what was pasted",
        _ if text.contains(char::is_control) => "has control characters: check what was pasted",
        _ if !text.is_ascii() => "has characters beyond ASCII: check what was pasted",
        _ => "has punctuation: check what was pasted",
    })
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
    let read = std::fs::read(&path).map_err(|source| ConfigError::Unreadable {
        origin: origin.clone(),
        what: printable_path(written, &path),
        source,
    })?;
    let mut text = utf8(read).map_err(|form| ConfigError::NotUtf8 {
        origin: origin.clone(),
        what: printable_path(written, &path),
        form,
    })?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    if text.is_empty() {
        return Err(ConfigError::EmptySecret { origin });
    }
    Ok(GivenSecret::new(origin, text))
}

/// Returns the bytes as text, or what they are instead. ASCII in UTF-16 without a byte order mark is valid UTF-8 with a
/// NUL beside every character.
pub(super) fn utf8(bytes: Vec<u8>) -> Result<String, &'static str> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || bytes.contains(&0) {
        return Err("UTF-16");
    }
    String::from_utf8(bytes).map_err(|_| "binary or in another encoding")
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
