//! Converts a database URL into the driver's options. What libpq reads in another way than the driver is translated, and
//! unknown parameters are removed: the driver would log them with their values, which may be secrets.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::{Host, ParseError, Url};

use super::encryption::{SYSTEM, default_mode, platform_roots, variable};

/// Contains no value but the paths of files: any other part of the URL may be a misplaced secret.
#[derive(Debug, thiserror::Error)]
pub enum InvalidUrl {
    #[error(
        "DATABASE_URL is not valid: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters \
         percent-encoded"
    )]
    Form,
    #[error("the port in DATABASE_URL is not a number from 1 to 65535")]
    Port,
    #[error(
        "DATABASE_URL names several hosts, but the record is in one database: name only the server that can be written \
         to, or an address that always leads to it"
    )]
    SeveralHosts,
    #[error("{0} must be one of disable, allow, prefer, require, verify-ca and verify-full")]
    Mode(&'static str),
    #[error(
        "the parameter ssl in DATABASE_URL can only be true: write sslmode=disable, sslmode=require or \
         sslmode=verify-full instead"
    )]
    Ssl,
    #[error(
        "{0}=system trusts every public certificate authority, so it needs sslmode=verify-full, which also checks \
         the server's name"
    )]
    WeakMode(&'static str),
    #[error("{name}: could not read {}", path.display())]
    Unreadable {
        name: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

/// The parameters that the driver reads, besides `options[...]`.
const KNOWN: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// Parameters of libpq and other drivers, whose names can be logged. Any other name may itself be a secret.
const FOREIGN: &[&str] = &[
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "connection_limit",
    "fallback_application_name",
    "gssencmode",
    "gssdelegation",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "pass",
    "passfile",
    "passwd",
    "pgbouncer",
    "pool_timeout",
    "pwd",
    "replication",
    "require_auth",
    "requirepeer",
    "requiressl",
    "schema",
    "search_path",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslnegotiation",
    "sslpassword",
    "sslsni",
    "target_session_attrs",
];

/// The options of a URL, and libpq's variables for what it leaves out.
pub fn connect_options(url: &str) -> Result<PgConnectOptions, InvalidUrl> {
    let (url, default_host) = with_host(url)?;
    let mut url = Url::parse(&url).map_err(|error| match error {
        ParseError::InvalidPort => InvalidUrl::Port,
        _ => InvalidUrl::Form,
    })?;
    let mut parameters = known_parameters(&url)?;
    let host = match url.host() {
        // The driver would look up the address with its brackets.
        Some(Host::Ipv6(address)) => Some(address.to_string()),
        _ => default_host,
    };
    // The last of several takes precedence.
    parameters.splice(..0, host.map(|host| ("host".to_owned(), host)));
    match parameters.is_empty() {
        true => url.set_query(None),
        false => {
            url.query_pairs_mut().clear().extend_pairs(&parameters);
        }
    }
    driver_options(&url, &parameters)
}

/// Completes a URL whose authority has only a user or a port. Like libpq, we accept it: the host is then a parameter, or
/// the default, which is returned as well.
fn with_host(url: &str) -> Result<(String, Option<String>), InvalidUrl> {
    let (scheme, rest) = url.split_once("://").ok_or(InvalidUrl::Form)?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (user, place) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    if place.contains(',') {
        return Err(InvalidUrl::SeveralHosts);
    }
    let has_host = !place.is_empty() && !place.starts_with(':');
    if authority.is_empty() || has_host {
        return Ok((url.to_owned(), None));
    }
    let default = PgConnectOptions::new_without_pgpass().get_host().to_owned();
    Ok((format!("{scheme}://{user}localhost{place}{path}"), Some(default)))
}

/// The parameters for the driver. The others are reported and left out.
fn known_parameters(url: &Url) -> Result<Vec<(String, String)>, InvalidUrl> {
    let mut known = Vec::new();
    for (key, value) in url.query_pairs() {
        match &*key {
            "host" | "hostaddr" | "port" if value.contains(',') => return Err(InvalidUrl::SeveralHosts),
            "port" if !value.parse::<u16>().is_ok_and(|port| port > 0) => return Err(InvalidUrl::Port),
            // As other drivers write it. libpq reads it in the same way, and no other value of it.
            "ssl" if value == "true" => known.insert(0, ("sslmode".to_owned(), "require".to_owned())),
            "ssl" => return Err(InvalidUrl::Ssl),
            name if KNOWN.contains(&name) || name.starts_with("options[") => {
                known.push((key.into_owned(), value.into_owned()));
            }
            name if FOREIGN.contains(&name) => {
                tracing::warn!("DATABASE_URL: the parameter {name} is not supported and is ignored");
            }
            _ => tracing::warn!("DATABASE_URL: a parameter with an unknown name is ignored"),
        }
    }
    Ok(known)
}

/// A setting from the URL, by any of its names, or else from libpq's variable: its value, and the name for messages.
fn setting(
    parameters: &[(String, String)],
    names: &[&str],
    in_url: &'static str,
    in_variable: &'static str,
) -> Option<(String, &'static str)> {
    let given = parameters.iter().rfind(|(key, _)| names.contains(&key.as_str()));
    given
        .map(|(_, value)| (value.clone(), in_url))
        .or_else(|| Some((variable(in_variable)?, in_variable)))
}

fn driver_options(url: &Url, parameters: &[(String, String)]) -> Result<PgConnectOptions, InvalidUrl> {
    let mode = &["sslmode", "ssl-mode"];
    let mode = setting(parameters, mode, "sslmode in DATABASE_URL", "PGSSLMODE");
    if let Some((value, name)) = &mode {
        // The driver ignores a variable that is not valid.
        PgSslMode::from_str(value).map_err(|_| InvalidUrl::Mode(name))?;
    }
    let mut options = PgConnectOptions::from_url(url).map_err(|_| InvalidUrl::Form)?;
    let root = &["sslrootcert", "ssl-root-cert", "ssl-ca"];
    let root = setting(parameters, root, "sslrootcert in DATABASE_URL", "PGSSLROOTCERT");
    let is_system = root.as_ref().is_some_and(|(value, _)| value == SYSTEM);
    let mode = match mode {
        Some(_) => options.get_ssl_mode(),
        None if is_system => PgSslMode::VerifyFull,
        None => default_mode(&options),
    };
    let mode = match mode {
        // As in libpq: a root certificate is named to be used.
        PgSslMode::Require if root.is_some() && !is_system => PgSslMode::VerifyCa,
        mode => mode,
    };
    match root {
        Some((_, name)) if is_system && !matches!(mode, PgSslMode::VerifyFull) => {
            return Err(InvalidUrl::WeakMode(name));
        }
        Some(_) if is_system => options = platform_roots(options),
        Some((value, name)) if matches!(mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull) => {
            require_file(&value, name)?;
        }
        _ => {}
    }
    if !matches!(mode, PgSslMode::Disable) {
        let certificate = &["sslcert", "ssl-cert"];
        let certificate = setting(parameters, certificate, "sslcert in DATABASE_URL", "PGSSLCERT");
        let key = setting(parameters, &["sslkey", "ssl-key"], "sslkey in DATABASE_URL", "PGSSLKEY");
        for (value, name) in certificate.iter().chain(&key) {
            require_file(value, name)?;
        }
    }
    Ok(options.ssl_mode(mode))
}

/// Fails if the file can't be opened. The driver's error would not name it. A certificate itself is permitted as well.
fn require_file(value: &str, name: &'static str) -> Result<(), InvalidUrl> {
    if value.trim_start().starts_with("-----BEGIN") {
        return Ok(());
    }
    File::open(value).map(drop).map_err(|source| InvalidUrl::Unreadable {
        name,
        path: value.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_keep_their_values() {
        let url = "postgres://u:p%40%2F@h:1/d%20b?pwd=x&application_name=a%20b%26c%3D%2B&host=%2Frun%2Fa%20b&options=-c%20x%3D1";
        let options = connect_options(url).unwrap();
        assert_eq!(options.get_application_name(), Some("a b&c=+"));
        assert_eq!(options.get_socket().unwrap().to_str(), Some("/run/a b"));
        assert_eq!(options.get_options(), Some("-c x=1"));
        assert_eq!(options.get_database(), Some("d b"));
        assert!(connect_options("postgres://h/d?pwd=x").is_ok());
    }

    #[test]
    fn another_machine_is_reached_over_tls_unless_the_url_says_otherwise() {
        for (url, expected) in [
            ("postgres://u:p@db.example/d", "Require"),
            ("postgres://u:p@db.example/d?pwd=x", "Require"),
            ("postgres://u:p@db.example/d?sslmode=prefer", "Prefer"),
            ("postgres://u:p@db.example/d?ssl-mode=disable", "Disable"),
            ("postgres://u:p@db.example/d?sslmode=VERIFY-FULL", "VerifyFull"),
            ("postgres://u:p@localhost/d?host=db.example", "Require"),
            ("postgres://u:p@db.example/d?host=127.0.0.1", "Prefer"),
            ("postgres://u:p@db.example/d?host=/run", "Prefer"),
            ("postgres://u:p@localhost/d", "Prefer"),
        ] {
            let mode = connect_options(url).unwrap().get_ssl_mode();
            assert_eq!(format!("{mode:?}"), expected, "{url}");
        }
        let unknown = connect_options("postgres://h/d?sslmode=on").unwrap_err();
        assert!(matches!(unknown, InvalidUrl::Mode("sslmode in DATABASE_URL")));
    }
}
