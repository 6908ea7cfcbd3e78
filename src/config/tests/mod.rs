//! Each test passes arguments, variables and files, and checks the result. The process's own environment is not read.

mod dot_env;
mod errors;
mod exposed;
mod precedence;
mod secrets;

use std::collections::HashMap;
use std::error::Error;
use std::ffi::OsString;
use std::path::Path;

use clap::Parser;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;
use crate::cli::{Cli, Command};
use crate::cloudflare::Credentials;

const A: &str = "0123456789abcdef0123456789abcdef";
const B: &str = "fedcba9876543210fedcba9876543210";

/// The input of a run. Files are written into a directory of their own; `$DIR` in a variable or option is its path.
#[derive(Default)]
struct Given {
    variables: Vec<(String, OsString)>,
    options: Vec<String>,
    files: Vec<(String, Vec<u8>)>,
}

fn given() -> Given {
    Given::default()
}

/// The least that `sync` needs.
fn given_account() -> Given {
    given()
        .variable("CLOUDFLARE_ACCOUNT_ID", A)
        .variable("CLOUDFLARE_API_TOKEN", "env-token")
}

impl Given {
    fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    fn options(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|option| (*option).to_owned()));
        self
    }

    fn file(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.push((name.to_owned(), content.as_ref().to_vec()));
        self
    }

    fn with_file(&self, name: &str, content: impl AsRef<[u8]>) -> Self {
        Self {
            variables: self.variables.clone(),
            options: self.options.clone(),
            files: self.files.clone(),
        }
        .file(name, content)
    }

    fn toml(self, content: &str) -> Self {
        self.file("inventory.toml", content)
            .options(&["--config", "$DIR/inventory.toml"])
    }

    fn sync(&self) -> Result<SyncConfig, String> {
        self.run(|settings, args| settings.sync(args))
    }

    fn store(&self) -> Result<StoreLocation, String> {
        self.run(|settings, _| settings.store().map(|store| store.location))
    }

    /// The error of `sync` as a person sees it, on one line.
    fn error(&self) -> String {
        let error = self.sync().unwrap_err();
        assert!(!error.contains('\n'), "{error}");
        error
    }

    fn run<T>(&self, ask: impl Fn(&Settings<'_>, &SyncArgs) -> Result<T, ConfigError>) -> Result<T, String> {
        let directory = TempDir::new().unwrap();
        for (name, content) in &self.files {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        let root = directory.path().to_str().unwrap();
        let options = self.options.iter().map(|option| option.replace("$DIR", root));
        let cli = Cli::try_parse_from(
            ["durable-inventory".to_owned(), "sync".to_owned()]
                .into_iter()
                .chain(options),
        );
        let cli = cli.unwrap();
        let Command::Sync(args) = &cli.command else {
            panic!("{:?}", cli.command)
        };
        let in_directory = |value: &OsString| match value.to_str() {
            Some(text) => text.replace("$DIR", root).into(),
            None => value.clone(),
        };
        let variables: HashMap<_, _> = self
            .variables
            .iter()
            .map(|(k, v)| (k.as_str(), in_directory(v)))
            .collect();
        let lookup = |name: &str| variables.get(name).cloned();
        let loaded = Settings::load(&cli.global, Environment::new(&lookup));
        let settings = loaded.map(|settings| settings.with_dot_env(directory.path().join(".env")));
        let outcome = settings.and_then(|settings| ask(&settings, args));
        outcome.map_err(|error| rendered(&error, directory.path()))
    }
}

/// The chain of causes, with the directory of the test taken out. What `Debug` shows must be as safe as the text.
fn rendered(error: &ConfigError, directory: &Path) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    secrets::assert_clean(&format!("{error:?}"));
    secrets::assert_clean(&text);
    text.replace(&format!("{}/", directory.display()), "")
}

fn token(account: &AccountConfig) -> &str {
    match &account.endpoint.credentials {
        Credentials::Token(token) => token.expose_secret(),
        Credentials::Key { .. } => "a key",
        Credentials::Printed(_) => "a program's",
    }
}

fn ids(config: &SyncConfig) -> Vec<&str> {
    config.accounts.iter().map(|account| account.id.as_str()).collect()
}
