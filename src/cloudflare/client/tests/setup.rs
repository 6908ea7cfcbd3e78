//! Settings that are refused before anything is sent, and secrets that are never shown.

use super::*;

fn setup(url: &str, token: &str) -> Result<(), String> {
    let endpoint = Endpoint::new(url.parse().unwrap(), Credentials::Token(token.into()));
    let made = Client::new(endpoint, Arc::new(Limiter::new(quick())), Arc::default(), short());
    made.map(drop).map_err(|error| {
        assert_eq!((error.kind(), error.requests()), (ErrorKind::Setup, 0));
        error.to_string()
    })
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
