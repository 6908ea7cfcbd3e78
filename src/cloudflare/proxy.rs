//! The proxy on the way to the API: which variable names it, where it is, and whether it refuses a tunnel.

use std::fmt;
use std::time::Duration;

use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::base_url::BaseUrl;
use crate::text::is_ambiguous;

/// The longest response to a probe that is read: enough for its first line.
const STATUS_LINE: usize = 512;

/// Messages never contain the URL, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    #[error("not the URL of a proxy: write it like http://USER:PASSWORD@HOST:PORT")]
    NotAUrl,
    #[error(
        "unsupported proxy scheme: use http://, https://, socks5h:// (the proxy resolves names), socks5://, socks4a:// or socks4://"
    )]
    Scheme,
    #[error(
        "a special character in the password or another part is not percent-encoded: write '@' as %40, '/' as %2F, \
         '?' as %3F and '#' as %23"
    )]
    Ambiguous,
}

/// A proxy that one of the usual variables names.
#[derive(Clone)]
pub struct Proxy {
    variable: &'static str,
    url: Url,
    no_proxy: String,
}

/// A proxy's URL may hold a password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.variable)
    }
}

impl Proxy {
    /// Parses the value of `variable`; without a scheme it means http. `no_proxy` lists the hosts that are reached
    /// directly, in the syntax of `NO_PROXY`.
    pub fn parse(variable: &'static str, value: &str, no_proxy: String) -> Result<Self, ProxyError> {
        let value = value.trim_ascii();
        if is_ambiguous(value) {
            return Err(ProxyError::Ambiguous);
        }
        let with_scheme = match value.contains("://") {
            true => value.to_owned(),
            false => format!("http://{value}"),
        };
        let mut url = Url::parse(&with_scheme).map_err(|_| ProxyError::NotAUrl)?;
        let port = match url.scheme() {
            "http" | "https" => url.port_or_known_default(),
            "socks4" | "socks4a" | "socks5" | "socks5h" => url.port().or(Some(1080)),
            _ => return Err(ProxyError::Scheme),
        };
        if url.host_str().is_none_or(str::is_empty) || url.set_port(port).is_err() {
            return Err(ProxyError::NotAUrl);
        }
        let proxy = Self {
            variable,
            url,
            no_proxy,
        };
        // The HTTP client parses it once more. What it can't parse, it would ignore.
        match proxy.intercept(&BaseUrl::default(), "") {
            Some(_) => Ok(proxy),
            None => Err(ProxyError::NotAUrl),
        }
    }

    /// Returns the proxy for this API, or `None` if the API is reached directly.
    pub(super) fn on_the_way_to(&self, api: &BaseUrl) -> Option<Via> {
        let intercept = self.intercept(api, &self.no_proxy)?;
        Some(Via {
            variable: self.variable,
            url: self.url.clone(),
            host: intercept.uri().host()?.to_owned(),
            port: self.url.port_or_known_default()?,
            intercept,
        })
    }

    fn intercept(&self, api: &BaseUrl, no_proxy: &str) -> Option<Intercept> {
        let matcher = Matcher::builder().https(self.url.as_str()).no(no_proxy).build();
        matcher.intercept(&api.as_str().parse().ok()?)
    }
}

/// A proxy in use. Shown as "the proxy of VARIABLE (HOST:PORT)".
pub(super) struct Via {
    variable: &'static str,
    url: Url,
    pub(super) host: String,
    port: u16,
    intercept: Intercept,
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy of {} ({}:{})", self.variable, self.host, self.port)
    }
}

/// A proxy's response to CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tunnel {
    /// A status and its reason.
    Status(u16, String),
    /// Another protocol.
    NotHttp,
    /// Not at all, or it can't be asked.
    Unknown,
}

impl Via {
    pub(super) fn as_url(&self) -> &Url {
        &self.url
    }

    /// Asks for a tunnel once more: the HTTP client says that it was refused, but not with which status. Sends nothing
    /// through the tunnel. A proxy behind TLS is not asked.
    pub(super) async fn probe(&self, api: &BaseUrl, patience: Duration) -> Tunnel {
        if self.url.scheme() != "http" {
            return Tunnel::Unknown;
        }
        match timeout(patience, self.ask(api)).await {
            Ok(Ok(answer)) => Tunnel::read(&answer),
            _ => Tunnel::Unknown,
        }
    }

    async fn ask(&self, api: &BaseUrl) -> std::io::Result<Vec<u8>> {
        let target = api.authority();
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        if let Some(credentials) = self.intercept.basic_auth() {
            request.extend(b"Proxy-Authorization: ");
            request.extend(credentials.as_bytes());
            request.extend(b"\r\n");
        }
        request.extend(b"\r\n");
        let mut proxy = TcpStream::connect((self.host.trim_matches(['[', ']']), self.port)).await?;
        proxy.write_all(&request).await?;
        let mut answer = Vec::new();
        while !answer.contains(&b'\n') && answer.len() < STATUS_LINE {
            if proxy.read_buf(&mut answer).await? == 0 {
                break;
            }
        }
        Ok(answer)
    }
}

impl Tunnel {
    fn read(answer: &[u8]) -> Self {
        if answer.is_empty() {
            return Self::Unknown;
        }
        let text = String::from_utf8_lossy(answer);
        let line = text.lines().next().unwrap_or_default();
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| {
            let mut words = rest.splitn(3, ' ').skip(1);
            let status = words.next()?.parse().ok()?;
            Some(Self::Status(status, words.next().unwrap_or_default().trim().to_owned()))
        });
        status.unwrap_or(Self::NotHttp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<Proxy, ProxyError> {
        Proxy::parse("HTTPS_PROXY", value, String::new())
    }

    fn via(value: &str) -> String {
        let via = parse(value).unwrap().on_the_way_to(&BaseUrl::default());
        via.unwrap().to_string()
    }

    #[test]
    fn proxies_are_named_by_variable_host_and_port() {
        for (value, place) in [
            ("http://proxy.example:3128", "proxy.example:3128"),
            ("proxy.example:3128", "proxy.example:3128"),
            (" http://proxy.example ", "proxy.example:80"),
            ("https://user:s3cr3t%23%2F@proxy.example/", "proxy.example:443"),
            ("user:s3cr3t@proxy.example:8080", "proxy.example:8080"),
            ("http://[::1]:3128", "[::1]:3128"),
            ("socks5h://127.0.0.1:9050", "127.0.0.1:9050"),
            ("socks5://u:s3cr3t@proxy.example", "proxy.example:1080"),
        ] {
            assert_eq!(via(value), format!("the proxy of HTTPS_PROXY ({place})"), "{value}");
            assert_eq!(format!("{:?}", parse(value).unwrap()), "Proxy(HTTPS_PROXY)");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        use ProxyError::{Ambiguous, NotAUrl, Scheme};
        for (value, expected) in [
            ("http://[bad", NotAUrl),
            ("http://", NotAUrl),
            ("socks5://", NotAUrl),
            ("http://user:s3cr3t", NotAUrl),
            ("http://proxy.example:99999", NotAUrl),
            ("http://proxy example:3128", NotAUrl),
            ("ftp://proxy.example", Scheme),
            ("socks6://proxy.example", Scheme),
            ("file:///proxy", Scheme),
            ("http://user:s3c#r3t@proxy.example:3128", Ambiguous),
            ("http://user:s3c/r3t@proxy.example:3128", Ambiguous),
            ("http://user:s3c?r3t@proxy.example:3128", Ambiguous),
            ("http://user:s3c@r3t@proxy.example:3128", Ambiguous),
            ("user:s3c/r3t@proxy.example:3128", Ambiguous),
        ] {
            assert_eq!(parse(value).err(), Some(expected), "{value}");
        }
    }

    #[test]
    fn no_proxy_and_plain_http_lead_past_the_proxy() {
        for (no_proxy, api, is_used) in [
            ("", "https://api.example.com", true),
            ("other.example, 10.0.0.0/8", "https://api.example.com", true),
            ("other.example,.example.com", "https://api.example.com", false),
            ("10.0.0.0/8", "https://10.1.2.3:8443", false),
            ("*", "https://api.example.com", false),
            ("", "http://127.0.0.1:8787", false),
        ] {
            let proxy = Proxy::parse("HTTPS_PROXY", "http://proxy.example", no_proxy.to_owned()).unwrap();
            let via = proxy.on_the_way_to(&api.parse().unwrap());
            assert_eq!(via.is_some(), is_used, "{no_proxy} {api}");
        }
    }

    #[test]
    fn the_status_of_a_tunnel_is_read() {
        let status = |code, reason: &str| Tunnel::Status(code, reason.to_owned());
        for (answer, expected) in [
            (&b"HTTP/1.1 403 Not Today\r\nX: y\r\n\r\n"[..], status(403, "Not Today")),
            (b"HTTP/1.0 503\r\n\r\n", status(503, "")),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Tunnel::NotHttp),
            (b"\x15\x03\x03\x00\x02\x02\x46", Tunnel::NotHttp),
            (b"HTTP/1.1 wrong\r\n", Tunnel::NotHttp),
            (b"", Tunnel::Unknown),
        ] {
            assert_eq!(Tunnel::read(answer), expected);
        }
    }
}
