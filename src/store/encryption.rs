//! Whether the connection to the database is encrypted. A server on another machine that declines TLS, or an impostor
//! in its place, would receive the password in clear text.

use std::env;

use rustls::CertificateError;
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

/// One of libpq's variables. An empty one counts as unset.
pub(super) fn variable(name: &str) -> Option<String> {
    let text = env::var_os(name)?.to_string_lossy().into_owned();
    Some(text).filter(|text| !text.is_empty())
}

/// The value of `sslrootcert` for the certificate authorities that the operating system trusts.
pub(super) const SYSTEM: &str = "system";

/// Trusts only the certificate authorities that the operating system trusts. The driver always trusts those, so it gets
/// an empty list of others.
pub(super) fn platform_roots(options: PgConnectOptions) -> PgConnectOptions {
    options.ssl_root_cert_from_pem(Vec::new())
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

/// Why the server's certificate was refused, and what to do, if that is why the connection failed.
pub(super) fn refused_certificate(error: &sqlx::Error) -> Option<String> {
    let sqlx::Error::Io(error) = error else { return None };
    let rustls::Error::InvalidCertificate(why) = error.get_ref()?.downcast_ref()? else {
        return None;
    };
    let advice = match why {
        CertificateError::UnknownIssuer => {
            "it is not signed by a certificate authority that is trusted here: add sslrootcert=FILE to the database's \
             URL, with the certificate of the authority that signed it"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            return Some(format!(
                "{why}: connect by a name in it, or use sslmode=verify-ca, which does not check the name"
            ));
        }
        // The error's type belongs to a library that is not a direct dependency.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "it is a certificate authority's own, which `openssl req -x509` creates by default, and can't be a server's \
             too: create it with `-addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:HOST` (HOST is \
             the server's name), or have it signed by an authority"
        }
        _ => return Some(why.to_string()),
    };
    Some(advice.to_owned())
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
