//! The address of the API. Every request to it carries a credential, so only an address that keeps it secret is one.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::loopback::may_carry_a_secret;

const DEFAULT: &str = "https://api.cloudflare.com/client/v4";

/// Messages never contain the URL, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    #[error("not a URL: write it like {DEFAULT}")]
    NotAUrl,
    #[error("the URL has to start with https://")]
    Scheme,
    #[error("plain http would reveal the token to the network: use https, or a loopback address such as 127.0.0.1")]
    PlainHttp,
    #[error("the URL contains a user or password: remove them, because credentials have their own variables")]
    UserInfo,
    #[error("the URL has a query or fragment: remove everything from '?' or '#' on")]
    QueryOrFragment,
}

/// An address without a trailing slash, so that two spellings of one address are equal. The default is Cloudflare's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether this is Cloudflare's own API, in any version.
    pub fn is_cloudflare(&self) -> bool {
        self.0.host_str() == Some("api.cloudflare.com")
    }

    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Host and port.
    pub(super) fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        format!("{host}:{}", self.0.port_or_known_default().unwrap_or_default())
    }

    pub(super) fn as_url(&self) -> &Url {
        &self.0
    }
}

impl Default for BaseUrl {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "a constant")]
        DEFAULT.parse().expect("the default address is valid")
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        let mut url = Url::parse(text).map_err(|_| BaseUrlError::NotAUrl)?;
        if !may_carry_a_secret(&url) {
            return Err(match url.scheme() {
                "http" => BaseUrlError::PlainHttp,
                _ => BaseUrlError::Scheme,
            });
        }
        // An unescaped `/` in a password ends the host, so an `@` may also be found in what parses as the path.
        if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
            return Err(BaseUrlError::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BaseUrlError::QueryOrFragment);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BaseUrl, BaseUrlError> {
        text.parse()
    }

    #[test]
    fn addresses_to_trust() {
        for (text, expected) in [
            (DEFAULT, DEFAULT),
            ("https://api.cloudflare.com/client/v4/", DEFAULT),
            ("HTTPS://API.cloudflare.com:443/client/v4//", DEFAULT),
            ("http://127.0.0.1:8787/v4", "http://127.0.0.1:8787/v4"),
            ("http://127.9.9.9", "http://127.9.9.9/"),
            ("http://localhost:1/x/", "http://localhost:1/x"),
            ("http://[::1]:1/", "http://[::1]:1/"),
            ("http://localhost:8787", "http://localhost:8787/"),
        ] {
            assert_eq!(parse(text).unwrap().as_str(), expected, "{text}");
        }
    }

    #[test]
    fn addresses_that_are_refused() {
        use BaseUrlError::{NotAUrl, PlainHttp, QueryOrFragment, Scheme, UserInfo};
        for (text, expected) in [
            ("", NotAUrl),
            ("api.cloudflare.com/client/v4", NotAUrl),
            ("https://", NotAUrl),
            ("ftp://api.cloudflare.com", Scheme),
            ("file:///etc/passwd", Scheme),
            ("ftp://localhost", Scheme),
            ("data:x", Scheme),
            ("localhost:8787", Scheme),
            ("http://api.cloudflare.com/client/v4", PlainHttp),
            ("http://0.0.0.0", PlainHttp),
            ("http://10.0.0.1", PlainHttp),
            ("http://128.0.0.1", PlainHttp),
            ("http://[::2]", PlainHttp),
            ("http://localhost.example.com", PlainHttp),
            ("http://127.0.0.1.example.com", PlainHttp),
            ("http://localhost@example.com", PlainHttp),
            ("https://user@api.cloudflare.com", UserInfo),
            ("https://:pw@api.cloudflare.com", UserInfo),
            ("https://u:1/pw@api.cloudflare.com", UserInfo),
            ("https://u:1\\pw@api.cloudflare.com", UserInfo),
            ("https://api.cloudflare.com/?", QueryOrFragment),
            ("https://api.cloudflare.com/?a=b", QueryOrFragment),
            ("https://api.cloudflare.com/#a", QueryOrFragment),
        ] {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }
}
