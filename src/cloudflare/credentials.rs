//! The credentials of an account, and the headers that carry them.

use std::fmt;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::error::Error;

/// API credentials.
#[derive(Clone)]
pub enum Credentials {
    Token(SecretString),
    /// The older pair of `X-Auth-Email` and `X-Auth-Key`.
    Key {
        email: String,
        key: SecretString,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(..)",
            Self::Key { .. } => "Key { .. }",
        })
    }
}

impl Credentials {
    pub(super) fn secret(&self) -> &SecretString {
        match self {
            Self::Token(secret) | Self::Key { key: secret, .. } => secret,
        }
    }

    pub(super) fn headers(&self) -> Result<HeaderMap, Error> {
        let unfit = |what: &str| Error::setup(format!("{what} has characters that a header can't carry"), None);
        let sensitive = |text: &str, what: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| unfit(what))?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        match self {
            Self::Token(token) => {
                let bearer = format!("Bearer {}", token.expose_secret());
                headers.insert(AUTHORIZATION, sensitive(&bearer, "the API token")?);
            }
            Self::Key { email, key } => {
                headers.insert("x-auth-email", sensitive(email, "the e-mail address")?);
                headers.insert("x-auth-key", sensitive(key.expose_secret(), "the API key")?);
            }
        }
        Ok(headers)
    }
}
