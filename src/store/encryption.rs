//! Whether the connection to the database is encrypted. A server on another machine that declines TLS, or an impostor
//! in its place, would receive the password in clear text.

use std::env;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::StoreError;
use super::session::{connect, has_code, is_declined, place, unreachable};
use crate::loopback::is_loopback;

/// Returned to a role that may not connect over TLS. Like libpq, we then retry without TLS.
const INVALID_AUTHORIZATION: &str = "28000";

/// The default if neither the URL nor `PGSSLMODE` sets a mode. Connections within this machine can't be eavesdropped
/// on.
pub(super) fn default_mode(options: &PgConnectOptions) -> PgSslMode {
    match is_this_machine(options) {
        true => PgSslMode::Prefer,
        false => PgSslMode::Require,
    }
}

/// libpq's variable. The driver ignores invalid values of it.
pub(super) fn mode_variable() -> Option<String> {
    let text = env::var_os("PGSSLMODE")?.to_string_lossy().into_owned();
    Some(text).filter(|text| !text.is_empty())
}

/// Resolves `prefer` and `allow`, which leave the choice to the server, for all sessions. A server on another machine
/// is asked for TLS first; if it declines, a warning is logged before the password is sent. The driver would not warn.
pub(super) async fn settle(options: PgConnectOptions) -> Result<PgConnectOptions, StoreError> {
    let is_open = matches!(options.get_ssl_mode(), PgSslMode::Prefer | PgSslMode::Allow);
    if !is_open || is_this_machine(&options) {
        return Ok(options);
    }
    let encrypted = options.clone().ssl_mode(PgSslMode::Require);
    match connect(&encrypted).await {
        Ok(session) => {
            // The probe succeeded, so an error on closing does not matter.
            let _closed = session.close().await;
            Ok(encrypted)
        }
        Err(error) if is_declined(&error) || has_code(&error, INVALID_AUTHORIZATION) => {
            tracing::warn!(
                "the connection to the database at {} is unencrypted, including any password: enable TLS on the \
                 server and set sslmode=verify-full, or, on a trusted network, set sslmode=disable",
                place(&options)
            );
            Ok(options.ssl_mode(PgSslMode::Disable))
        }
        Err(error) => Err(unreachable(&options, error)),
    }
}

/// Whether the host is a socket or a loopback address. A host that begins with a slash is a socket's folder.
fn is_this_machine(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some() || host.starts_with('/') || is_loopback(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_is_reached_over_tls() {
        for (host, here) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("127.1.2.3", true),
            ("::1", true),
            ("[::1]", true),
            ("/var/run/postgresql", true),
            ("0.0.0.0", false),
            ("10.0.0.1", false),
            ("localhost.example", false),
            ("127.0.0.1.example", false),
            ("postgres", false),
        ] {
            let options = PgConnectOptions::new_without_pgpass().host(host);
            let mode = default_mode(&options);
            assert_eq!(matches!(mode, PgSslMode::Prefer), here, "{host}: {mode:?}");
            assert_eq!(matches!(mode, PgSslMode::Require), !here, "{host}: {mode:?}");
        }
        let socket = PgConnectOptions::new_without_pgpass().host("db.example").socket("/run");
        assert!(matches!(default_mode(&socket), PgSslMode::Prefer));
    }
}
