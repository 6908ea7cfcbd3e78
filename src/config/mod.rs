//! Turns arguments, environment and file into the types that the library takes. Options win over the environment, the
//! environment over the file, the file over the defaults. Only the program imports this module, never the library.
//!
//! Secrets are read only when a command needs them, and are `SecretString`s from then on. No message contains one, nor
//! a value that may be one by mistake, such as a token in the place of a file's name.

mod accounts;
mod command;
mod dot_env;
mod environment;
mod error;
mod exposed;
mod file;
mod network;
mod secret;
#[cfg(test)]
mod tests;

use std::cell::{OnceCell, RefCell};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use self::dot_env::DotEnv;
pub use self::dot_env::DotEnvReport;
pub use self::environment::Environment;
pub use self::error::{ConfigError, Origin};
use self::file::ConfigFile;
use crate::cli::{GlobalArgs, SyncArgs};
use crate::cloudflare::{Endpoint, Pace, PrintedToken};
use crate::model::AccountId;
use crate::select::Selection;
use crate::store::managed_postgres;
use crate::sync;

/// Set by the launcher of the npm package to the folder of the PostgreSQL that was installed along with it.
const BUNDLED_POSTGRES: &str = "DURABLE_INVENTORY_BUNDLED_POSTGRES";
const MINUTE: Duration = Duration::from_secs(60);

/// The location of the record, and whether connecting brings its schema up to date.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    pub location: StoreLocation,
    pub migrate: bool,
    /// How long to retry while the server has no session left or is starting.
    pub retry_for: Duration,
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

/// What reaches the API as long as no account is known.
#[derive(Debug, Clone)]
pub struct ApiAccess {
    pub endpoint: Endpoint,
    pub pace: Pace,
    pub retry_for: Duration,
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
    dot_env_file: Option<PathBuf>,
    /// Read when it is first needed.
    dot_env: OnceCell<DotEnv>,
    /// By the program's words.
    printed_tokens: RefCell<Vec<(Vec<String>, Arc<PrintedToken>)>>,
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
            dot_env_file: None,
            dot_env: OnceCell::new(),
            printed_tokens: RefCell::default(),
        })
    }

    /// Takes the account and the credentials from this file, as far as nothing else names them.
    pub fn with_dot_env(self, file: impl Into<PathBuf>) -> Self {
        Self {
            dot_env_file: Some(file.into()),
            ..self
        }
    }

    /// What to report of the `.env` file after [`Self::sync`] or [`Self::api_access`].
    pub fn dot_env_report(&self) -> DotEnvReport {
        self.dot_env.get().map(DotEnv::report).unwrap_or_default()
    }

    fn dot_env(&self) -> &DotEnv {
        let read = || self.dot_env_file.as_deref().map(DotEnv::read).unwrap_or_default();
        self.dot_env.get_or_init(read)
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
                    bundled_postgres: self.environment.path(BUNDLED_POSTGRES),
                })
            },
            StoreLocation::Url,
        );
        Ok(StoreConfig {
            location,
            migrate: !global.no_migrate,
            retry_for: Duration::ZERO,
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
        self.service_url(args.ping_url.as_ref(), "DURABLE_INVENTORY_PING_URL")
    }

    /// The address that is sent what needs attention.
    pub fn notify_url(&self, args: &SyncArgs) -> Result<Option<SecretString>, ConfigError> {
        self.service_url(args.notify_url.as_ref(), "DURABLE_INVENTORY_NOTIFY_URL")
    }

    fn service_url(&self, option: Option<&SecretString>, variable: &str) -> Result<Option<SecretString>, ConfigError> {
        let url = match option {
            Some(url) => Some(url.clone()),
            None => self.environment.secret(variable)?.map(secret::GivenSecret::into_value),
        };
        if url
            .as_ref()
            .is_some_and(|url| !url.expose_secret().starts_with("http://"))
        {
            self.check_network()?;
        }
        Ok(url)
    }

    /// The credentials alone, to list the accounts after [`ConfigError::NoAccount`].
    pub fn api_access(&self, args: &SyncArgs) -> Result<ApiAccess, ConfigError> {
        let (endpoint, pace) = accounts::access(self, args)?;
        Ok(ApiAccess {
            endpoint,
            pace,
            retry_for: self.retry_for(args),
        })
    }

    fn retry_for(&self, args: &SyncArgs) -> Duration {
        args.retry_for.or(self.file.table.retry_for).unwrap_or(15 * MINUTE)
    }

    pub fn sync(&self, args: &SyncArgs) -> Result<SyncConfig, ConfigError> {
        let file = &self.file.table;
        let retry_for = self.retry_for(args);
        Ok(SyncConfig {
            accounts: accounts::resolve(self, args)?,
            store: StoreConfig {
                retry_for,
                ..self.store()?
            },
            run: sync::Settings {
                concurrency: usize::from(args.concurrency.or(file.concurrency).unwrap_or(4)),
                cursors: args.cursors.or(file.cursors).unwrap_or_default(),
                resume_within: args.resume_within.or(file.resume_within).unwrap_or(36 * 60 * MINUTE),
                retry_for,
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
