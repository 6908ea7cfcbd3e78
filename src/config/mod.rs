//! From arguments, environment and file to checked, plain values. Options win over the environment, the environment
//! over the file, the file over the defaults. Nothing but `main` imports this: it hands each room what that needs.
//!
//! Secrets are read only when a command needs them, and are `SecretString`s from then on. No message shows one, nor
//! anything that may be one by mistake, such as a token where a file's name belongs.

mod accounts;
mod base_url;
mod environment;
mod error;
mod exposed;
mod file;
mod secret;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

pub use self::base_url::BaseUrlProblem;
pub use self::environment::Environment;
pub use self::error::{ConfigError, Place};
use self::file::ConfigFile;
use crate::cli::{GlobalArgs, SyncArgs};
use crate::model::AccountId;
use crate::select::Selection;
use crate::units::{Cursors, Quota};

/// Where the record is kept.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    Url(SecretString),
    /// The PostgreSQL that the program starts itself; what is `None` is looked for.
    Private {
        data_dir: Option<PathBuf>,
        postgres_bin: Option<PathBuf>,
        postgres_user: Option<String>,
    },
}

#[derive(Debug, Clone)]
pub enum CredentialsConfig {
    Token(SecretString),
    Key { email: String, key: SecretString },
}

/// One account to walk. Accounts with the same credentials share one quota at Cloudflare.
#[derive(Debug, Clone)]
pub struct AccountConfig {
    pub account: AccountId,
    pub credentials: CredentialsConfig,
    /// Without a slash at the end, so that two ways to write one address are equal.
    pub base_url: Url,
    pub quota: Quota,
    pub quota_share: u8,
    pub limit: u32,
    pub selection: Selection,
}

#[derive(Debug, Clone)]
pub struct SyncConfig {
    pub store: StoreConfig,
    /// At least one, each account once.
    pub accounts: Vec<AccountConfig>,
    pub concurrency: usize,
    pub cursors: Cursors,
    pub deadline: Option<Duration>,
    pub pause_without_retry_after: Duration,
    pub retry_for: Duration,
    pub read_timeout: Duration,
    pub connect_timeout: Duration,
    pub resume_within: Duration,
    pub max_removed_percent: u8,
    pub max_removed_floor: u64,
    pub accept_removals: bool,
    pub rebuild: bool,
}

/// What the options, the environment and the file say, before a command has asked for its part.
pub struct Settings<'a> {
    global: &'a GlobalArgs,
    environment: Environment<'a>,
    file: ConfigFile,
}

impl<'a> Settings<'a> {
    /// Reads the file, if one is named.
    pub fn load(global: &'a GlobalArgs, environment: Environment<'a>) -> Result<Self, ConfigError> {
        const VARIABLE: &str = "DURABLE_INVENTORY_CONFIG";
        let file = match (&global.config, environment.path(VARIABLE)) {
            (Some(path), _) => ConfigFile::read(Place::Option("--config"), path)?,
            (None, Some(path)) => ConfigFile::read(Place::variable(VARIABLE), &path)?,
            (None, None) => ConfigFile::default(),
        };
        Ok(Self {
            global,
            environment,
            file,
        })
    }

    /// What every command needs; asks for no token.
    pub fn store(&self) -> Result<StoreConfig, ConfigError> {
        // The option wins over the environment: who names a directory means the private store in it.
        if self.global.data_dir.is_none()
            && let Some(url) = self.database_url()?
        {
            return Ok(StoreConfig::Url(url));
        }
        Ok(StoreConfig::Private {
            data_dir: self.global.data_dir.clone(),
            postgres_bin: self.global.postgres_bin.clone(),
            postgres_user: self.global.postgres_user.clone(),
        })
    }

    /// Variables that the file names as holding secrets: no program that this one runs has a use for them.
    pub fn secret_variables(&self) -> Vec<OsString> {
        self.file.variables().map(OsString::from).collect()
    }

    /// Whom a job tells that it began and ended; asked for before all else that a job needs.
    pub fn ping_url(&self, args: &SyncArgs) -> Result<Option<SecretString>, ConfigError> {
        match &args.ping_url {
            Some(url) => Ok(Some(url.clone())),
            None => Ok(self
                .environment
                .secret("DURABLE_INVENTORY_PING_URL")?
                .map(secret::Found::into_value)),
        }
    }

    pub fn sync(&self, args: &SyncArgs) -> Result<SyncConfig, ConfigError> {
        const MINUTE: Duration = Duration::from_secs(60);
        let file = &self.file.table;
        Ok(SyncConfig {
            accounts: accounts::resolve(&self.file, &self.environment, args)?,
            store: self.store()?,
            concurrency: usize::from(args.concurrency.or(file.concurrency).unwrap_or(4)),
            cursors: args.cursors.or(file.cursors).unwrap_or_default(),
            deadline: args.deadline,
            pause_without_retry_after: args
                .pause_without_retry_after
                .or(file.pause_without_retry_after)
                .unwrap_or(5 * MINUTE),
            retry_for: args.retry_for.or(file.retry_for).unwrap_or(15 * MINUTE),
            read_timeout: args.read_timeout.unwrap_or(MINUTE),
            connect_timeout: args.connect_timeout.unwrap_or(Duration::from_secs(10)),
            resume_within: args.resume_within.or(file.resume_within).unwrap_or(36 * 60 * MINUTE),
            max_removed_percent: args.max_removed_percent.or(file.max_removed_percent).unwrap_or(30),
            max_removed_floor: args.max_removed_floor.or(file.max_removed_floor).unwrap_or(10),
            accept_removals: args.accept_removals,
            rebuild: !args.rebuild.is_empty(),
        })
    }

    fn database_url(&self) -> Result<Option<SecretString>, ConfigError> {
        let found = match self.environment.secret("DATABASE_URL")? {
            Some(found) => Some(found),
            None => match self.file.database_url()? {
                Some(source) => Some(source.read(&self.environment)?),
                None => None,
            },
        };
        found.map(secret::Found::into_database_url).transpose()
    }
}
