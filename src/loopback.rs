//! Which URLs a secret may be sent to: over https, or to a loopback address, which no network hears.

use std::net::IpAddr;

use url::Url;

pub fn may_carry_a_secret(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => url.host_str().is_some_and(is_loopback),
        _ => false,
    }
}

/// Whether a host name or address, with or without brackets, is this machine.
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
