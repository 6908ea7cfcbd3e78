//! Turns arguments, environment and file into the types that the library takes. Options win over the environment, the
//! environment over the file, the file over the defaults. Only the program imports this module, never the library.
//!
//! Secrets are read only when a command needs them, and are `SecretString`s from then on. No message contains one, nor
//! a value that may be one by mistake, such as a token in the place of a file's name.

mod accounts;
mod environment;
mod error;
mod exposed;
mod file;
mod network;
mod secret;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

pub use self::environment::Environment;
pub use self::error::{ConfigError, Origin};
use self::file::ConfigFile;
use crate::cli::{GlobalArgs, SyncArgs};
use crate::cloudflare::{Endpoint, Pace};
use crate::model::AccountId;
use crate::select::Selection;
use crate::store::managed_postgres;
use crate::sync;

/// The location of the record, and whether connecting brings its schema up to date.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    pub location: StoreLocation,
    pub migrate: bool,
}

#[derive(Debug, Clone)]
pub enum StoreLocation {
    Url(SecretString),
    Private(managed_postgres::Settings),
}

/// One account to walk. Accounts with the same credentials share one quota at Cloudflare.
#[derive(Debug, Clone)]
pub struct AccountConfig {
    pub id: AccountId,
    pub endpoint: Endpoint,
    pub pace: Pace,
    /// Objects per page.
    pub limit: u32,
    pub selection: Selection,
}

#[derive(Debug, Clone)]
pub struct SyncConfig {
    pub store: StoreConfig,
    /// At least one, each account once.
    pub accounts: Vec<AccountConfig>,
    pub run: sync::Settings,
}

/// The options, the environment and the file, from which each command resolves what it needs.
pub struct Settings<'a> {
    pub global: &'a GlobalArgs,
    environment: Environment<'a>,
    file: ConfigFile,
}

impl<'a> Settings<'a> {
    /// Reads the file, if one is named.
    pub fn load(global: &'a GlobalArgs, environment: Environment<'a>) -> Result<Self, ConfigError> {
        const VARIABLE: &str = "DURABLE_INVENTORY_CONFIG";
        let file = match (&global.config, environment.path(VARIABLE)) {
            (Some(path), _) => ConfigFile::read(Origin::Option("--config"), path)?,
            (None, Some(path)) => ConfigFile::read(Origin::variable(VARIABLE), &path)?,
            (None, None) => ConfigFile::default(),
        };
        Ok(Self {
            global,
            environment,
            file,
        })
    }

    /// Reads no token.
    pub fn store(&self) -> Result<StoreConfig, ConfigError> {
        let global = self.global;
        // --data-dir names a private store, and options win over the environment.
        let url = match global.data_dir {
            Some(_) => None,
            None => self.database_url()?,
        };
        let location = url.map_or_else(
            || {
                StoreLocation::Private(managed_postgres::Settings {
                    data_dir: global.data_dir.clone(),
                    postgres_bin: global.postgres_bin.clone(),
                    postgres_user: global.postgres_user.clone(),
                })
            },
            StoreLocation::Url,
        );
        Ok(StoreConfig {
            location,
            migrate: !global.no_migrate,
        })
    }

    /// The variables that the file names as holding secrets. Child processes must not inherit them.
    pub fn secret_variables(&self) -> Vec<OsString> {
        self.file.variables().map(OsString::from).collect()
    }

    /// Checks the variables about proxies and CA certificates. For other services than the API: they are read by
    /// libraries, which ignore what they can't use.
    pub fn check_network(&self) -> Result<(), ConfigError> {
        self.environment.proxy()?;
        self.environment.check_ca_certificates()
    }

    /// The address that is notified when a job begins and ends.
    pub fn ping_url(&self, args: &SyncArgs) -> Result<Option<SecretString>, ConfigError> {
        let url = match &args.ping_url {
            Some(url) => Some(url.clone()),
            None => self
                .environment
                .secret("DURABLE_INVENTORY_PING_URL")?
                .map(secret::GivenSecret::into_value),
        };
        if url
            .as_ref()
            .is_some_and(|url| !url.expose_secret().starts_with("http://"))
        {
            self.check_network()?;
        }
        Ok(url)
    }

    pub fn sync(&self, args: &SyncArgs) -> Result<SyncConfig, ConfigError> {
        const MINUTE: Duration = Duration::from_secs(60);
        let file = &self.file.table;
        Ok(SyncConfig {
            accounts: accounts::resolve(&self.file, &self.environment, args)?,
            store: self.store()?,
            run: sync::Settings {
                concurrency: usize::from(args.concurrency.or(file.concurrency).unwrap_or(4)),
                cursors: args.cursors.or(file.cursors).unwrap_or_default(),
                resume_within: args.resume_within.or(file.resume_within).unwrap_or(36 * 60 * MINUTE),
                retry_for: args.retry_for.or(file.retry_for).unwrap_or(15 * MINUTE),
                removal_guard: sync::RemovalGuard {
                    max_removed_percent: args.max_removed_percent.or(file.max_removed_percent).unwrap_or(30),
                    max_removed_floor: args.max_removed_floor.or(file.max_removed_floor).unwrap_or(10),
                    accept_removals: args.accept_removals,
                },
                rebuild: !args.rebuild.is_empty(),
            },
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
        found.map(secret::GivenSecret::into_database_url).transpose()
    }
}
