//! Converts a database URL into the driver's options. Unknown parameters are removed first: the driver would log them
//! with their values, which may be secrets.

use std::str::FromStr;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use super::encryption::{default_mode, mode_variable};

/// Contains no value: any part of the URL may be a misplaced secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    #[error(
        "DATABASE_URL is not valid: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters \
         percent-encoded"
    )]
    Form,
    #[error("{0} must be one of disable, allow, prefer, require, verify-ca and verify-full")]
    Mode(&'static str),
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
    "ssl",
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
    let mut url = Url::parse(url).map_err(|_| InvalidUrl::Form)?;
    let (known, foreign): (Vec<_>, Vec<_>) = url
        .query_pairs()
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .partition(|(key, _)| KNOWN.contains(&key.as_str()) || key.starts_with("options["));
    for (key, _) in &foreign {
        match FOREIGN.contains(&key.as_str()) {
            true => tracing::warn!("DATABASE_URL: the parameter {key} is not supported and is ignored"),
            false => tracing::warn!("DATABASE_URL: a parameter with an unknown name is ignored"),
        }
    }
    match known.is_empty() {
        true => url.set_query(None),
        false => {
            url.query_pairs_mut().clear().extend_pairs(&known);
        }
    }
    let mode = known
        .iter()
        .rfind(|(key, _)| matches!(key.as_str(), "sslmode" | "ssl-mode"));
    if let Some((_, value)) = mode {
        PgSslMode::from_str(value).map_err(|_| InvalidUrl::Mode("sslmode in DATABASE_URL"))?;
    }
    let variable = mode_variable();
    if let Some(value) = &variable {
        PgSslMode::from_str(value).map_err(|_| InvalidUrl::Mode("PGSSLMODE"))?;
    }
    let options = PgConnectOptions::from_url(&url).map_err(|_| InvalidUrl::Form)?;
    Ok(match (mode, variable) {
        (None, None) => {
            let mode = default_mode(&options);
            options.ssl_mode(mode)
        }
        _ => options,
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
        assert_eq!(
            connect_options("postgres://h/d?sslmode=on").unwrap_err(),
            InvalidUrl::Mode("sslmode in DATABASE_URL")
        );
    }
}
