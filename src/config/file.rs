//! The TOML file. Unknown keys are errors. Errors name the file, the line and the key, but no value: it may be a
//! misplaced secret.

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};
use toml::Spanned;

use super::command::GivenCommand;
use super::error::{ConfigError, Origin};
use super::secret::{SecretSource, utf8};
use crate::model::{AccountId, NamespaceId};
use crate::select::{InvalidPattern, Parts, Pattern};
use crate::text::{is_address, may_hold_a_secret};
use crate::units::{self, Cursors, Quota, parse_duration};

/// The file's content; the default is that of an empty file.
#[derive(Default)]
pub(super) struct ConfigFile {
    pub path: PathBuf,
    line_ends: Vec<usize>,
    pub table: FileTable,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FileTable {
    pub base_url: Option<Spanned<String>>,
    #[serde(deserialize_with = "limit")]
    pub limit: Option<u32>,
    #[serde(deserialize_with = "concurrency")]
    pub concurrency: Option<u16>,
    #[serde(deserialize_with = "cursors")]
    pub cursors: Option<Cursors>,
    pub quota: Option<Text<Quota>>,
    #[serde(deserialize_with = "quota_share")]
    pub quota_share: Option<u8>,
    #[serde(deserialize_with = "duration")]
    pub pause_without_retry_after: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    pub retry_for: Option<Duration>,
    #[serde(deserialize_with = "percent")]
    pub max_removed_percent: Option<u8>,
    pub max_removed_floor: Option<u64>,
    #[serde(deserialize_with = "duration")]
    pub resume_within: Option<Duration>,
    database_url_file: Option<Spanned<PathBuf>>,
    database_url_env: Option<Spanned<String>>,
    pub accounts: Vec<AccountTable>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountTable {
    id: Spanned<Text<AccountId>>,
    api_token_file: Option<Spanned<PathBuf>>,
    api_token_env: Option<Spanned<String>>,
    token_command: Option<Spanned<Vec<String>>>,
    pub email: Option<Spanned<String>>,
    api_key_file: Option<Spanned<PathBuf>>,
    api_key_env: Option<Spanned<String>>,
    pub quota: Option<Text<Quota>>,
    #[serde(default, deserialize_with = "quota_share")]
    pub quota_share: Option<u8>,
    #[serde(default, deserialize_with = "limit")]
    pub limit: Option<u32>,
    #[serde(default)]
    pub namespaces: Vec<PatternTable>,
    #[serde(default)]
    pub exclude: Vec<PatternTable>,
}

impl AccountTable {
    pub fn id(&self) -> &AccountId {
        &self.id.as_ref().0
    }

    pub fn id_span(&self) -> Range<usize> {
        self.id.span()
    }
}

impl ConfigFile {
    /// Reads the file; `origin` is the option or variable that names it.
    pub fn read(origin: Origin, path: &Path) -> Result<Self, ConfigError> {
        let named = path.to_string_lossy();
        if is_address(&named) {
            return Err(ConfigError::AddressForPath { origin });
        }
        let what = match may_hold_a_secret(&named) {
            true => "the file that it names".to_owned(),
            false => path.display().to_string(),
        };
        let read = match std::fs::read(path) {
            Ok(read) => read,
            Err(source) => return Err(ConfigError::Unreadable { origin, what, source }),
        };
        let text = utf8(read).map_err(|form| ConfigError::NotUtf8 { origin, what, form })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut file = Self {
            path: path.to_owned(),
            line_ends: text.match_indices('\n').map(|(at, _)| at).collect(),
            table: FileTable::default(),
        };
        file.table = toml::from_str(text).map_err(|error| file.explain(error))?;
        file.check_that_accounts_differ()?;
        Ok(file)
    }

    pub fn account(&self, id: &AccountId) -> Option<&AccountTable> {
        self.table.accounts.iter().find(|account| account.id() == id)
    }

    pub fn database_url(&self) -> Result<Option<SecretSource>, ConfigError> {
        let FileTable {
            database_url_file: by_file,
            database_url_env: by_variable,
            ..
        } = &self.table;
        self.source(("database_url_file", by_file), ("database_url_env", by_variable))
    }

    pub fn api_token(&self, account: &AccountTable) -> Result<Option<SecretSource>, ConfigError> {
        self.source(
            ("accounts.api_token_file", &account.api_token_file),
            ("accounts.api_token_env", &account.api_token_env),
        )
    }

    pub fn token_command(&self, account: &AccountTable) -> Result<Option<GivenCommand>, ConfigError> {
        let Some(words) = &account.token_command else {
            return Ok(None);
        };
        let origin = self.origin("accounts.token_command", words.span());
        GivenCommand::of_file(origin, &self.path, words.as_ref()).map(Some)
    }

    pub fn api_key(&self, account: &AccountTable) -> Result<Option<SecretSource>, ConfigError> {
        self.source(
            ("accounts.api_key_file", &account.api_key_file),
            ("accounts.api_key_env", &account.api_key_env),
        )
    }

    /// Names of the variables that hold secrets.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let of_accounts = self.table.accounts.iter();
        of_accounts
            .flat_map(|account| [&account.api_token_env, &account.api_key_env])
            .chain([&self.table.database_url_env])
            .flatten()
            .map(|name| name.as_ref().as_str())
    }

    pub fn origin(&self, key: &str, span: Range<usize>) -> Origin {
        Origin::File {
            file: self.path.clone(),
            line: self.line(span.start),
            key: key.to_owned(),
        }
    }

    fn source(
        &self,
        (file_key, by_file): (&str, &Option<Spanned<PathBuf>>),
        (variable_key, by_variable): (&str, &Option<Spanned<String>>),
    ) -> Result<Option<SecretSource>, ConfigError> {
        match (by_file, by_variable) {
            (Some(_), Some(variable)) => Err(ConfigError::BothGiven {
                origin: self.origin(variable_key, variable.span()),
                other: file_key.to_owned(),
            }),
            (Some(path), None) => Ok(Some(SecretSource::File {
                origin: self.origin(file_key, path.span()),
                written: path.as_ref().clone(),
                base: self.path.parent().unwrap_or(Path::new("")).to_owned(),
            })),
            (None, Some(variable)) => Ok(Some(SecretSource::Variable {
                origin: self.origin(variable_key, variable.span()),
                name: variable.as_ref().clone(),
            })),
            (None, None) => Ok(None),
        }
    }

    fn check_that_accounts_differ(&self) -> Result<(), ConfigError> {
        for (n, account) in self.table.accounts.iter().enumerate() {
            let earlier = &self.table.accounts[..n];
            if let Some(first) = earlier.iter().find(|other| other.id() == account.id()) {
                return Err(ConfigError::AccountTwice {
                    origin: self.origin("accounts.id", account.id.span()),
                    account: account.id().clone(),
                    first: self.line(first.id.span().start),
                });
            }
        }
        Ok(())
    }

    fn line(&self, at: usize) -> usize {
        self.line_ends.partition_point(|end| *end < at) + 1
    }

    /// Leaves out the line that the TOML reader would quote, because it may hold a secret.
    fn explain(&self, mut error: toml::de::Error) -> ConfigError {
        error.set_input(None);
        let rendered = error.to_string();
        // Without the input, the rendered error is the message and then the path of the key.
        let after = rendered.strip_prefix(error.message()).unwrap_or_default().trim();
        let key = after
            .strip_prefix("in `")
            .and_then(|rest| rest.strip_suffix('`'))
            .unwrap_or_default();
        ConfigError::File {
            origin: self.origin(key, error.span().unwrap_or_default()),
            problem: plain(error.message()),
        }
    }
}

/// Rewords a message of the TOML reader, on one line and without values.
fn plain(message: &str) -> String {
    let message = message.lines().collect::<Vec<_>>().join(" ");
    for (key, instead) in [
        ("database_url", "database_url_file or database_url_env"),
        ("api_token", "api_token_file, api_token_env or token_command"),
        ("api_key", "api_key_file or api_key_env"),
    ] {
        if message.starts_with(&format!("unknown field `{key}`,")) {
            return format!("unknown key `{key}`: secrets do not belong in this file, use {instead}");
        }
    }
    // Our keys are lower-case letters and underscores. Any other text may be a secret in the place of a key.
    if let Some((key, expected)) = message
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split_once("`, "))
        && !key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    {
        return format!("unknown key, {expected}");
    }
    if message.starts_with("missing field `id`") {
        return "missing key `id`: write the account's id; only without [[accounts]] is the token's single account found"
            .to_owned();
    }
    let message = match message
        .strip_prefix("invalid type: string ")
        .and_then(|rest| rest.rsplit_once(", "))
    {
        Some((_, expected)) => format!("invalid type: string, {expected}"),
        None => message,
    };
    [
        ("unknown field", "unknown key"),
        ("missing field", "missing key"),
        ("expected i64", "expected a whole number"),
        ("expected u64", "expected a whole number"),
    ]
    .iter()
    .fold(message, |message, (theirs, ours)| message.replacen(theirs, ours, 1))
}

/// A value written as a string, in the command line's syntax.
#[derive(Clone, Copy)]
pub(super) struct Text<T>(pub T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A pattern of `namespaces` or `exclude`.
#[derive(serde::Deserialize)]
#[serde(try_from = "RawPattern")]
pub(super) struct PatternTable(pub Pattern);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPattern {
    id: Option<Text<NamespaceId>>,
    name: Option<String>,
    script: Option<String>,
    class: Option<String>,
}

impl TryFrom<RawPattern> for PatternTable {
    type Error = InvalidPattern;

    fn try_from(raw: RawPattern) -> Result<Self, Self::Error> {
        let RawPattern {
            id,
            name,
            script,
            class,
        } = raw;
        let id = id.map(|id| id.0);
        Pattern::all_of(Parts {
            id,
            name,
            script,
            class,
        })
        .map(Self)
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map(Some).map_err(D::Error::custom)
}

fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    within(deserializer, units::LIMIT)
}

fn concurrency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    within(deserializer, units::CONCURRENCY)
}

/// A number, or `"auto"`.
fn cursors<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cursors>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Given {
        Number(i64),
        Text(String),
    }
    let text = match Given::deserialize(deserializer) {
        Ok(Given::Number(number)) => number.to_string(),
        Ok(Given::Text(text)) => text,
        Err(_) => String::new(),
    };
    text.parse().map(Some).map_err(D::Error::custom)
}

fn quota_share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    within(deserializer, units::QUOTA_SHARE)
}

fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    within(deserializer, units::PERCENT)
}

fn within<'de, D, T>(deserializer: D, range: RangeInclusive<i64>) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    let number = i64::deserialize(deserializer)?;
    match T::try_from(number) {
        Ok(value) if range.contains(&number) => Ok(Some(value)),
        _ => Err(D::Error::custom(format_args!(
            "{number} is not in {} to {}",
            range.start(),
            range.end()
        ))),
    }
}
