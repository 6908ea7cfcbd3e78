//! Runs psql on the store. The connection is passed by environment variables, which only the same user can read, and
//! never by arguments, which everyone can read.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::encryption::SYSTEM;
use super::managed_postgres::find_program;
use super::{StoreError, encryption};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(
        "found no psql: install PostgreSQL's client (Debian and Ubuntu: apt install postgresql-client; \
         Fedora: dnf install postgresql; Alpine: apk add postgresql-client; Homebrew: brew install libpq)"
    )]
    NotFound,
    #[error("could not run {}", program.display())]
    Run { program: PathBuf, source: io::Error },
    #[error(transparent)]
    Unreachable(#[from] StoreError),
}

/// Runs psql until it ends, and returns its exit code; dropping the future ends psql. `beside` is the first folder to
/// search: a server's own psql has its version.
pub async fn run(options: &PgConnectOptions, beside: Option<&Path>, args: &[OsString]) -> Result<u8, Error> {
    run_without(&[], options, beside, args).await
}

/// Like [`run`], and removes the environment variables `secrets`, which psql does not need.
pub async fn run_without(
    secrets: &[OsString],
    options: &PgConnectOptions,
    beside: Option<&Path>,
    args: &[OsString],
) -> Result<u8, Error> {
    let options = &encryption::settle(options.clone()).await?;
    let program = find(beside).ok_or(Error::NotFound)?;
    let failed = |source| Error::Run {
        program: program.clone(),
        source,
    };
    // Ctrl-C cancels a query in psql. Listening to the signal keeps it from ending this program; psql does not inherit
    // that.
    let _ignored = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut command = Command::new(&program);
    command.args(args).kill_on_drop(true);
    for name in MISLEADING {
        command.env_remove(name);
    }
    for name in std::env::vars_os().map(|(name, _)| name) {
        if is_ours(&name) || secrets.contains(&name) {
            command.env_remove(name);
        }
    }
    command.envs(environment(options));
    let status = command.status().await.map_err(failed)?;
    Ok(exit_code(status))
}

fn find(beside: Option<&Path>) -> Option<PathBuf> {
    let own = beside.map(|dir| dir.join("psql")).filter(|program| program.is_file());
    own.or_else(|| find_program("psql"))
}

/// Variables that would make psql connect to another database.
const MISLEADING: [&str; 3] = ["PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE"];

/// Whether a variable holds a secret that psql does not need. Its pager, its editor and the programs run by `\!` would
/// inherit it.
fn is_ours(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    [
        &b"CLOUDFLARE_"[..],
        b"DATABASE_URL",
        b"DURABLE_INVENTORY_PING_URL",
        b"DURABLE_INVENTORY_NOTIFY_URL",
    ]
    .iter()
    .any(|start| name.starts_with(start))
}

/// The connection as variables of libpq.
fn environment(options: &PgConnectOptions) -> Vec<(&'static str, OsString)> {
    let host = options
        .get_socket()
        .map_or_else(|| options.get_host().into(), |dir| dir.clone().into_os_string());
    let mut vars = vec![
        ("PGHOST", host),
        ("PGPORT", options.get_port().to_string().into()),
        ("PGUSER", options.get_username().into()),
    ];
    // psql's own default is the user's name, as it is for the options.
    vars.extend(options.get_database().map(|name| ("PGDATABASE", name.into())));
    vars.extend(options.get_options().map(|text| ("PGOPTIONS", text.into())));
    vars.extend(hidden(options));
    vars
}

/// The password and the TLS settings, which the options reveal only as a URL.
fn hidden(options: &PgConnectOptions) -> Vec<(&'static str, OsString)> {
    // Host and user are replaced, because not all names fit into a URL.
    let url = options.clone().host("localhost").username("user").to_url_lossy();
    let mut vars = Vec::new();
    if let Some(password) = url.password() {
        // A query's values are encoded as the password is.
        let query = format!("password={password}");
        let decoded = url::form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned().into());
        vars.extend(decoded.map(|password| ("PGPASSWORD", password)));
    }
    vars.extend(url.query_pairs().filter_map(|(key, value)| {
        let name = match &*key {
            "sslmode" => "PGSSLMODE",
            "sslrootcert" => "PGSSLROOTCERT",
            "sslcert" => "PGSSLCERT",
            "sslkey" => "PGSSLKEY",
            _ => return None,
        };
        // The driver writes a file's path in this way.
        let value = value.strip_prefix("file: ").unwrap_or(&value);
        // See `platform_roots`.
        let value = if name == "PGSSLROOTCERT" && value.is_empty() {
            SYSTEM
        } else {
            value
        };
        Some((name, value.into()))
    }));
    vars
}

/// The exit code as a shell reports it: 128 plus the signal's number for a program that a signal ended.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::connect_options;

    fn value(options: &PgConnectOptions, name: &str) -> Option<String> {
        let found = environment(options).into_iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.into_string().unwrap())
    }

    #[test]
    fn a_url_is_passed_by_the_environment() {
        let options: PgConnectOptions =
            "postgres://us%2Fer:p%40ss%20%2B%25w@db.example:6543/inv?sslmode=verify-full&sslrootcert=/ca.pem"
                .parse()
                .unwrap();
        for (name, expected) in [
            ("PGHOST", "db.example"),
            ("PGPORT", "6543"),
            ("PGUSER", "us/er"),
            ("PGPASSWORD", "p@ss +%w"),
            ("PGDATABASE", "inv"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/ca.pem"),
        ] {
            assert_eq!(value(&options, name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn the_roots_of_the_platform_have_libpqs_name() {
        let options = connect_options("postgres://h/d?sslrootcert=system").unwrap();
        assert_eq!(value(&options, "PGSSLROOTCERT").as_deref(), Some("system"));
        assert_eq!(value(&options, "PGSSLMODE").as_deref(), Some("verify-full"));
    }

    #[test]
    fn a_socket_is_a_host() {
        let options = PgConnectOptions::new_without_pgpass().socket("/data folder/run");
        assert_eq!(value(&options, "PGHOST").as_deref(), Some("/data folder/run"));
    }

    #[test]
    fn exit_codes_are_passed_on() {
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(exit_code(ExitStatus::from_raw(2)), 130);
    }
}
