//! Where the API is. Everything that is sent there carries a credential, so it has to be an address to trust.

use url::Url;

use super::error::{ConfigError, Place};
use crate::loopback::is_loopback;

pub(super) const DEFAULT: &str = "https://api.cloudflare.com/client/v4";

/// None of these shows the URL: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlProblem {
    #[error("not a URL: write it like {DEFAULT}")]
    NotAUrl,
    #[error("the URL has to start with https://")]
    Scheme,
    #[error("plain http would show the token to the network: use https, or a loopback address such as 127.0.0.1")]
    PlainHttp,
    #[error("the URL has a user or password in it: leave those out, credentials have variables of their own")]
    UserInfo,
    #[error("the URL has a query or fragment: leave out everything from '?' or '#' on")]
    QueryOrFragment,
}

pub(super) fn parse(place: Place, text: &str) -> Result<Url, ConfigError> {
    check(text).map_err(|problem| ConfigError::BaseUrl { place, problem })
}

fn check(text: &str) -> Result<Url, BaseUrlProblem> {
    let mut url = Url::parse(text).map_err(|_| BaseUrlProblem::NotAUrl)?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err(BaseUrlProblem::PlainHttp),
        _ => return Err(BaseUrlProblem::Scheme),
    }
    // Also where a part of a password would be a path, and its user the host.
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        return Err(BaseUrlProblem::UserInfo);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(BaseUrlProblem::QueryOrFragment);
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_trust() {
        for (text, expected) in [
            (DEFAULT, DEFAULT),
            ("https://api.cloudflare.com/client/v4/", DEFAULT),
            ("HTTPS://API.cloudflare.com:443/client/v4//", DEFAULT),
            ("http://127.0.0.1:8787/v4", "http://127.0.0.1:8787/v4"),
            ("http://127.9.9.9", "http://127.9.9.9/"),
            ("http://[::1]:1/", "http://[::1]:1/"),
            ("http://localhost:8787", "http://localhost:8787/"),
        ] {
            assert_eq!(check(text).unwrap().as_str(), expected, "{text}");
        }
    }

    #[test]
    fn addresses_that_are_refused() {
        use BaseUrlProblem::{NotAUrl, PlainHttp, QueryOrFragment, Scheme, UserInfo};
        for (text, expected) in [
            ("", NotAUrl),
            ("api.cloudflare.com/client/v4", NotAUrl),
            ("https://", NotAUrl),
            ("ftp://api.cloudflare.com", Scheme),
            ("file:///etc/passwd", Scheme),
            ("localhost:8787", Scheme),
            ("http://api.cloudflare.com/client/v4", PlainHttp),
            ("http://0.0.0.0", PlainHttp),
            ("http://10.0.0.1", PlainHttp),
            ("http://localhost.example.com", PlainHttp),
            ("http://127.0.0.1.example.com", PlainHttp),
            ("http://localhost@example.com", PlainHttp),
            ("https://user@api.cloudflare.com", UserInfo),
            ("https://:pw@api.cloudflare.com", UserInfo),
            ("https://u:1/pw@api.cloudflare.com", UserInfo),
            ("https://u:1\\pw@api.cloudflare.com", UserInfo),
            ("https://api.cloudflare.com/?a=b", QueryOrFragment),
            ("https://api.cloudflare.com/#a", QueryOrFragment),
        ] {
            assert_eq!(check(text), Err(expected), "{text}");
        }
    }
}
