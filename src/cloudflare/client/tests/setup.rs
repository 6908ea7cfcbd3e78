//! Settings that are refused before anything is sent, and secrets that are never shown.

use super::*;

fn setup(url: &str, token: &str) -> Result<(), String> {
    let endpoint = Endpoint::new(url.parse().unwrap(), Credentials::Token(token.into()));
    let made = Client::new(endpoint, Arc::new(Limiter::new(quick())), short());
    made.map(drop).map_err(|error| {
        assert_eq!((error.kind(), error.requests()), (ErrorKind::Setup, 0));
        error.to_string()
    })
}

#[test]
fn base_urls_that_would_expose_the_secret_are_refused() {
    for url in [
        "https://api.cloudflare.com/client/v4",
        "http://localhost:1/x/",
        "http://127.8.9.1",
        "http://[::1]:8",
    ] {
        assert_eq!(setup(url, TOKEN), Ok(()), "{url}");
    }
    let table = [
        ("http://api.cloudflare.com", "must begin with https"),
        ("http://localhost.example", "must begin with https"),
        ("http://128.0.0.1", "must begin with https"),
        ("http://[::2]", "must begin with https"),
        ("ftp://localhost", "must begin with https"),
        ("data:x", "must begin with https"),
        ("https://user@x.example", "must not hold a user name"),
        ("https://:pass@x.example", "must not hold a user name"),
        ("https://x.example/?", "must not have a query"),
        ("https://x.example/#a", "must not have a query"),
    ];
    for (url, expected) in table {
        let words = setup(url, TOKEN).unwrap_err();
        assert!(words.contains(expected) && !words.contains("pass@"), "{url}: {words}");
    }
}

#[test]
fn no_secret_is_shown() {
    let words = setup("https://x.example", "bad\nsecret").unwrap_err();
    assert!(words.contains("the API token has characters that a header can't carry") && !words.contains("secret"));
    let token = Credentials::Token(TOKEN.into());
    let key = Credentials::Key {
        email: "me@example.com".into(),
        key: TOKEN.into(),
    };
    let endpoint = Endpoint::new("https://x.example".parse().unwrap(), token.clone());
    assert!(!format!("{token:?}{key:?}{endpoint:?}").contains(TOKEN));
}
