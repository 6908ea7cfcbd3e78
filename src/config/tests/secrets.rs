use super::*;

/// Every secret of these tests contains this.
const MARK: &str = "s3cr3t";

pub(super) fn assert_clean(text: &str) {
    assert!(!text.contains(MARK), "a secret is shown: {text}");
}

#[test]
fn tokens_and_keys_come_by_variable_or_file() {
    let account = || given().variable("CLOUDFLARE_ACCOUNT_ID", A);
    let by_file = account().variable("CLOUDFLARE_API_TOKEN_FILE", "$DIR/t");
    for content in ["abc", "abc\n", "abc\r\n", "abc\n\n"] {
        let by_variable = account().variable("CLOUDFLARE_API_TOKEN", content);
        for config in [by_file.with_file("t", content).sync(), by_variable.sync()] {
            assert_eq!(token(&config.unwrap().accounts[0]), "abc", "{content:?}");
        }
    }
    let pair = || account().variable("CLOUDFLARE_EMAIL", "a@example.com");
    let pairs = [
        pair().variable("CLOUDFLARE_API_KEY", "k"),
        pair().variable("CLOUDFLARE_API_KEY_FILE", "$DIR/k").file("k", "k\n"),
    ];
    for given in pairs {
        let config = given.sync().unwrap();
        let Credentials::Key { email, key } = &config.accounts[0].endpoint.credentials else {
            panic!("{config:?}")
        };
        assert_eq!((email.as_str(), key.expose_secret()), ("a@example.com", "k"));
    }
}

#[test]
fn a_token_is_preferred_and_half_a_pair_beside_it_does_not_matter() {
    let halves = [
        ("CLOUDFLARE_EMAIL", "not an address"),
        ("CLOUDFLARE_API_KEY", "k"),
        ("CLOUDFLARE_API_KEY_FILE", "/nowhere"),
    ];
    let mut given = given_account();
    for (name, value) in halves {
        given = given.variable(name, value);
        assert_eq!(token(&given.sync().unwrap().accounts[0]), "env-token");
    }
}

#[test]
fn database_urls_come_by_variable_or_file() {
    let file = || given().file("url", "postgres://u:p@h/db\n");
    let ways = [
        given().variable("DATABASE_URL", "postgres://u:p@h/db"),
        file().variable("DATABASE_URL_FILE", "$DIR/url"),
        file().toml("database_url_file = 'url'"),
        given()
            .variable("MY_DB", "postgres://u:p@h/db")
            .toml("database_url_env = 'MY_DB'"),
    ];
    for way in ways {
        let StoreLocation::Url(url) = way.store().unwrap() else {
            panic!()
        };
        assert_eq!(url.expose_secret(), "postgres://u:p@h/db");
    }
}

#[test]
fn an_account_of_the_file_has_credentials_of_every_kind() {
    let with = |keys: &str| given().toml(&format!("[[accounts]]\nid = '{A}'\n{keys}"));
    let by_variable = with("api_token_env = 'CF_TOKEN_A'").variable("CF_TOKEN_A", "abc");
    assert_eq!(token(&by_variable.sync().unwrap().accounts[0]), "abc");
    let keys = [
        with("email = 'a@b'\napi_key_env = 'CF_KEY'").variable("CF_KEY", "k"),
        with("email = 'a@b'\napi_key_file = './k'").file("k", "k\n"),
    ];
    for given in keys {
        // Credentials of the environment are not looked at: these would be an error.
        let given = given
            .variable("CLOUDFLARE_API_TOKEN", "x")
            .variable("CLOUDFLARE_API_TOKEN_FILE", "y");
        let config = given.sync().unwrap();
        assert!(matches!(&config.accounts[0].endpoint.credentials, Credentials::Key { email, .. } if email == "a@b"));
    }
}

#[test]
fn debug_shows_no_secret() {
    let toml = format!("[[accounts]]\nid = '{A}'\nemail = 'a@b'\napi_key_env = 'CF_KEY'\n[[accounts]]\nid = '{B}'");
    let config = given()
        .toml(&toml)
        .variable("CF_KEY", "s3cr3t-key")
        .variable("CLOUDFLARE_API_TOKEN", "s3cr3t-token")
        .variable("DATABASE_URL", "postgres://u:s3cr3t@h/db")
        .sync()
        .unwrap();
    assert_eq!(ids(&config), [A, B]);
    assert_clean(&format!("{config:?} {config:#?} {:?}", config.store));
}

/// Whatever goes wrong, and wherever a secret was put by mistake, no error shows it: `rendered` checks each one.
#[test]
fn errors_show_no_secret() {
    let with = |keys: &str| given().toml(&format!("[[accounts]]\nid = '{A}'\n{keys}"));
    let account = || given().variable("CLOUDFLARE_ACCOUNT_ID", A);
    let url = "postgres://u:s3cr3t@h/db";
    let refused = [
        account().variable("CLOUDFLARE_API_TOKEN", "s3cr3t token"),
        account().variable("CLOUDFLARE_API_TOKEN", "s3cr3t\ns3cr3t"),
        account().variable("CLOUDFLARE_API_TOKEN", "\"s3cr3t\""),
        account().variable("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_TOKEN=s3cr3t"),
        given_account().variable("HTTPS_PROXY", "http://u:s3cr3t#@proxy.example"),
        given_account().variable("all_proxy", "s3cr3t://u:s3cr3t@proxy.example"),
        account().variable("CLOUDFLARE_API_TOKEN", "“s3cr3t”"),
        account()
            .variable("CLOUDFLARE_API_TOKEN", "s3cr3t")
            .variable("CLOUDFLARE_API_TOKEN_FILE", "s3cr3t"),
        account().variable("CLOUDFLARE_API_TOKEN_FILE", "s3cr3t"),
        account().variable("CLOUDFLARE_API_KEY", "s3cr3t"),
        account()
            .variable("CLOUDFLARE_EMAIL", "s3cr3t")
            .variable("CLOUDFLARE_API_KEY", "s3cr3t"),
        given().variable("CLOUDFLARE_ACCOUNT_ID", "s3cr3t s3cr3t"),
        given_account().variable("CLOUDFLARE_API_BASE_URL", "https://u:s3cr3t@example.com"),
        given_account().variable("CLOUDFLARE_API_BASE_URL", "s3cr3t"),
        given_account().variable("DATABASE_URL", "mysql://u:s3cr3t@h/db"),
        given_account().variable("DATABASE_URL", format!("{url}\n{url}")),
        given_account().variable("DATABASE_URL_FILE", url),
        given_account().variable("DATABASE_URL_FILE", "host=/run password=s3cr3t"),
        given_account().toml(&format!("database_url = '{url}'")),
        given_account().toml(&format!("database_url_file = '{url}'")),
        given_account().toml(&format!("database_url_file = ['{url}']")),
        given_account().toml(&format!("database_url_env = '{url}'")),
        given_account().toml(&format!("base_url = '{url}'")),
        given_account().toml("limit = 's3cr3t'"),
        given_account().toml("limit = \"s3cr3t\\\", or\""),
        given_account().toml("quota = 's3cr3t'"),
        given_account().toml("retry_for = 's3cr3t'"),
        given_account().toml("accounts = 's3cr3t'"),
        given_account().toml("accounts = ['s3cr3t']"),
        given().toml("[[accounts]]\nid = 's3cr3t/'"),
        with("api_token = 's3cr3t'"),
        with("api_key = 's3cr3t'"),
        with("api_token_file = 's3cr3t'"),
        with("api_token_env = 's3cr3t'"),
        with("api_token_file = s3cr3t"),
        with("api_token_file = 's3cr3t"),
        with("api_token_file = \"s3cr3t\\q\""),
        with("api_token_file = { file = 's3cr3t' }"),
        with("api_key_file = 's3cr3t'"),
        with("email = 's3cr3t'\napi_key_env = 'KEY'"),
        with("api_token_env = 'TOKEN'").variable("TOKEN", "s3cr3t s3cr3t"),
        with("api_token_file = 'token'").file("token", "s3cr3t s3cr3t"),
        with("api_token_file = 'token'").file("token", b"s3cr3t\xff"),
    ];
    for (n, given) in refused.iter().enumerate() {
        let error = given.error();
        assert!(error.contains(": "), "case {n}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn what_is_not_text_is_refused_without_being_shown() {
    use std::os::unix::ffi::OsStringExt;
    let value = OsString::from_vec(b"s3cr3t\xff".to_vec());
    let error = given_account().variable("DATABASE_URL", value).error();
    assert_eq!(error, "DATABASE_URL: the value is not UTF-8 text: set it again");
}
