use super::*;

fn account(keys: &str) -> Given {
    given().toml(&format!("[[accounts]]\nid = '{A}'\n{keys}"))
}

fn toml(content: &str) -> Given {
    given_account().toml(content)
}

fn assert_errors(cases: &[(Given, &str)]) {
    let told: Vec<_> = cases.iter().map(|(given, _)| given.error()).collect();
    let expected: Vec<_> = cases.iter().map(|(_, expected)| *expected).collect();
    let wrong: Vec<_> = told
        .iter()
        .zip(expected)
        .filter(|(told, expected)| told != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn of_the_environment() {
    let bare = || given().variable("CLOUDFLARE_ACCOUNT_ID", A);
    let no_file = "check that it exists and that this user may read it: No such file or directory (os error 2)";
    assert_errors(&[
        (
            given(),
            "no account: set CLOUDFLARE_ACCOUNT_ID, for example CLOUDFLARE_ACCOUNT_ID=023e105f4ecef8ad9ca31a8372d0c353",
        ),
        (
            bare(),
            "account 0123456789abcdef0123456789abcdef: no credentials: set CLOUDFLARE_API_TOKEN or, for example, CLOUDFLARE_API_TOKEN_FILE=/run/secrets/cloudflare-token",
        ),
        (
            bare().variable("CLOUDFLARE_EMAIL", "a@b"),
            "CLOUDFLARE_EMAIL: CLOUDFLARE_API_KEY is not set: set it too, or use a token instead of both",
        ),
        (
            bare().variable("CLOUDFLARE_API_KEY", "k"),
            "CLOUDFLARE_API_KEY: CLOUDFLARE_EMAIL is not set: set it too, or use a token instead of both",
        ),
        (
            bare()
                .variable("CLOUDFLARE_EMAIL", "a")
                .variable("CLOUDFLARE_API_KEY", "k"),
            "CLOUDFLARE_EMAIL: not an email address: it needs an '@', and no white space or quotation marks",
        ),
        (
            given_account().variable("CLOUDFLARE_API_TOKEN_FILE", "f"),
            "CLOUDFLARE_API_TOKEN: CLOUDFLARE_API_TOKEN_FILE is set too: remove one of the two",
        ),
        (
            given_account()
                .variable("DATABASE_URL", "postgres://")
                .variable("DATABASE_URL_FILE", "f"),
            "DATABASE_URL: DATABASE_URL_FILE is set too: remove one of the two",
        ),
        (
            bare().variable("CLOUDFLARE_API_TOKEN_FILE", "$DIR/f"),
            &format!("CLOUDFLARE_API_TOKEN_FILE: cannot read f: {no_file}"),
        ),
        (
            bare().variable("CLOUDFLARE_API_TOKEN_FILE", "gone"),
            &format!("CLOUDFLARE_API_TOKEN_FILE: cannot read the file that it names: {no_file}"),
        ),
        (
            bare().variable("CLOUDFLARE_API_TOKEN_FILE", "$DIR/f").file("f", "\n"),
            "CLOUDFLARE_API_TOKEN_FILE: the file that it names is empty: write the secret into it",
        ),
        (
            bare().variable("CLOUDFLARE_API_TOKEN", "Bearer x"),
            "CLOUDFLARE_API_TOKEN: a token or key has only letters, digits, '-' and '_', but this value begins with \
             \"Bearer\": remove that, because the program adds it",
        ),
        (
            given_account().variable("DATABASE_URL", "h/db"),
            "DATABASE_URL: not the URL of a PostgreSQL database: it must start with postgres:// and be one line",
        ),
        (
            given_account().variable("DATABASE_URL_FILE", "postgres://"),
            "DATABASE_URL_FILE: expected the path of a file, but this looks like the secret itself: write the secret \
             into a file",
        ),
        (
            given().variable("CLOUDFLARE_ACCOUNT_ID", "a b"),
            "CLOUDFLARE_ACCOUNT_ID: not the id of an account: copy it from the dashboard's address, or from Account home: an account id is 1 to 32 letters, digits, '-' or '_'",
        ),
        (
            given_account().variable("CLOUDFLARE_API_BASE_URL", "http://example.com"),
            "CLOUDFLARE_API_BASE_URL: plain http would reveal the token to the network: use https, or a loopback \
             address such as 127.0.0.1",
        ),
        (
            given_account().variable("DURABLE_INVENTORY_CONFIG", "$DIR/gone.toml"),
            &format!("DURABLE_INVENTORY_CONFIG: cannot read gone.toml: {no_file}"),
        ),
        (
            given_account().options(&["--config", "$DIR/gone.toml"]),
            &format!("--config: cannot read gone.toml: {no_file}"),
        ),
        (
            given_account().options(&["--quota", "5/1s", "--quota-share", "19"]),
            "account 0123456789abcdef0123456789abcdef: 19% of the quota 5/1s is less than one request: raise the \
             quota or the quota share",
        ),
    ]);
}

#[test]
fn of_a_token_by_its_form() {
    let by_file = given()
        .variable("CLOUDFLARE_ACCOUNT_ID", A)
        .variable("CLOUDFLARE_API_TOKEN_FILE", "$DIR/f");
    for (value, what) in [
        ("\"abc123\"", "has quotation marks"),
        ("'abc123'", "has quotation marks"),
        ("“abc123”", "has quotation marks"),
        ("${CLOUDFLARE_API_TOKEN}", "has a '$'"),
        ("$TOKEN", "has a '$'"),
        ("***", "has a '*'"),
        ("abc\\n", "has a backslash"),
        ("CLOUDFLARE_API_TOKEN=abc123", "has a '='"),
        ("bearer abc", "begins with \"Bearer\""),
        ("abc 123", "has white space"),
        (" abc", "has white space"),
        ("abc\nabc", "has white space"),
        ("\u{feff}abc", "begins with a byte order mark"),
        ("abc\u{7}", "has control characters"),
        ("abc…", "has characters beyond ASCII"),
        ("<token>", "has punctuation"),
        ("abc.", "has punctuation"),
    ] {
        let by_variable = given()
            .variable("CLOUDFLARE_ACCOUNT_ID", A)
            .variable("CLOUDFLARE_API_TOKEN", value);
        let by_file = by_file.with_file("f", value);
        let by_name = given()
            .variable("MINE", value)
            .toml(&format!("[[accounts]]\nid = '{A}'\napi_token_env = 'MINE'"));
        for (given, origin) in [
            (by_variable, "CLOUDFLARE_API_TOKEN: "),
            (by_file, "CLOUDFLARE_API_TOKEN_FILE: "),
            (by_name, "MINE: "),
        ] {
            let error = given.error();
            assert!(error.starts_with(origin) && error.contains(what), "{value}: {error}");
        }
    }
    // A gateway in front of the API may use tokens of its own.
    let elsewhere = given()
        .variable("CLOUDFLARE_ACCOUNT_ID", "elsewhere")
        .variable("CLOUDFLARE_API_TOKEN", "ab.c~d+e/f")
        .variable("CLOUDFLARE_API_BASE_URL", "https://gateway.example");
    assert_eq!(token(&elsewhere.sync().unwrap().accounts[0]), "ab.c~d+e/f");
}

#[test]
fn of_files_that_are_not_utf8() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let marked = [b"\xff\xfe".as_slice(), &utf16("abc\r\n")].concat();
    for (content, form) in [
        (marked, "UTF-16"),
        (utf16("abc"), "UTF-16"),
        (b"abc\xe9".to_vec(), "binary or in another encoding"),
    ] {
        let token = given()
            .variable("CLOUDFLARE_ACCOUNT_ID", A)
            .variable("CLOUDFLARE_API_TOKEN_FILE", "$DIR/f")
            .with_file("f", &content);
        let advice = "write the file again as UTF-8, without a byte order mark";
        let expected = format!("CLOUDFLARE_API_TOKEN_FILE: f is {form}, not UTF-8 text: {advice}");
        assert_eq!(token.error(), expected);
        let file = given_account()
            .options(&["--config", "$DIR/f"])
            .with_file("f", &content);
        assert_eq!(file.error(), format!("--config: f is {form}, not UTF-8 text: {advice}"));
    }
}

#[test]
fn of_the_way_to_the_api() {
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    let quoted = "takes PEM, which has -----BEGIN CERTIFICATE-----";
    let cases = [
        (
            given_account().variable("https_proxy", "ftp://h"),
            "https_proxy: unsupported proxy scheme: use",
        ),
        (
            given_account().variable("ALL_PROXY", "http://[bad"),
            "ALL_PROXY: not the URL of a proxy",
        ),
        (
            given_account().variable("HTTPS_PROXY", "http://u:a#b@h:1"),
            "HTTPS_PROXY: a special character in the password",
        ),
        (
            given_account().variable("HTTPS_PROXY", "http://u:a/b@h:1"),
            "write '@' as %40, '/' as %2F",
        ),
        (
            given_account().variable("SSL_CERT_FILE", "$DIR/gone"),
            "SSL_CERT_FILE: cannot read",
        ),
        (
            given_account().variable("SSL_CERT_FILE", ""),
            "SSL_CERT_FILE: set, but empty: unset it",
        ),
        (
            given_account().variable("SSL_CERT_FILE", "$DIR"),
            "SSL_CERT_FILE: cannot read",
        ),
        (
            given_account()
                .variable("SSL_CERT_FILE", "$DIR/f")
                .with_file("f", "no PEM"),
            quoted,
        ),
        (
            given_account().variable("SSL_CERT_FILE", "$DIR/f").with_file("f", PEM),
            quoted,
        ),
        (
            given_account().variable("SSL_CERT_DIR", "$DIR/gone"),
            "SSL_CERT_DIR: cannot read",
        ),
        (
            given_account()
                .variable("SSL_CERT_DIR", "$DIR")
                .with_file("f", "no PEM"),
            quoted,
        ),
    ];
    for (given, expected) in cases {
        let error = given.error();
        assert!(error.contains(expected), "{error}");
        // Plain http goes neither through a proxy nor through TLS.
        let plain = given.variable("CLOUDFLARE_API_BASE_URL", "http://127.0.0.1:1");
        assert!(plain.sync().is_ok());
    }
    // The first that is set counts, as with curl; a blank one is not set.
    let chosen = given_account()
        .variable("HTTPS_PROXY", " ")
        .variable("https_proxy", "http://h:1")
        .variable("all_proxy", "ftp://h");
    let proxy = chosen.sync().unwrap().accounts[0].endpoint.proxy.clone();
    assert_eq!(format!("{proxy:?}"), "Some(Proxy(https_proxy))");
}

#[test]
fn of_an_account_that_cloudflare_cannot_have() {
    let form = "not the id of an account at Cloudflare, which has 32 hex digits";
    let token = || given().variable("CLOUDFLARE_API_TOKEN", "t");
    for (given, origin) in [
        (
            token().variable("CLOUDFLARE_ACCOUNT_ID", "mine"),
            "CLOUDFLARE_ACCOUNT_ID",
        ),
        (token().options(&["--account", "mine"]), "--account"),
        (
            token().toml("\n[[accounts]]\nid = 'mine'"),
            "inventory.toml:3: accounts.id",
        ),
    ] {
        assert!(
            given.error().starts_with(&format!("{origin}: {form}")),
            "{}",
            given.error()
        );
        let elsewhere = given.variable("CLOUDFLARE_API_BASE_URL", "http://127.0.0.1:1");
        assert_eq!(ids(&elsewhere.sync().unwrap()), ["mine"]);
    }
}

#[test]
fn of_the_file_as_such() {
    assert_errors(&[
        (
            toml("\nlimit = 10\nlimits = 5"),
            "inventory.toml:3: unknown key `limits`, expected one of `base_url`, `limit`, `concurrency`, `cursors`, `quota`, `quota_share`, `pause_without_retry_after`, `retry_for`, `max_removed_percent`, `max_removed_floor`, `resume_within`, `database_url_file`, `database_url_env`, `accounts`",
        ),
        (toml("limit 10"), "inventory.toml:1: key with no value, expected `=`"),
        (toml("\nlimit = 9"), "inventory.toml:2: limit: 9 is not in 10 to 10000"),
        (
            toml("concurrency = 65"),
            "inventory.toml:1: concurrency: 65 is not in 1 to 64",
        ),
        (
            toml("quota_share = 0"),
            "inventory.toml:1: quota_share: 0 is not in 1 to 100",
        ),
        (
            toml("cursors = 33"),
            "inventory.toml:1: cursors: expected `auto` or a number from 1 to 32",
        ),
        (
            toml("cursors = 'many'"),
            "inventory.toml:1: cursors: expected `auto` or a number from 1 to 32",
        ),
        (
            toml("max_removed_percent = 300"),
            "inventory.toml:1: max_removed_percent: 300 is not in 0 to 100",
        ),
        (
            toml("max_removed_floor = -1"),
            "inventory.toml:1: max_removed_floor: invalid value: integer `-1`, expected a whole number",
        ),
        (
            toml("retry_for = 5"),
            "inventory.toml:1: retry_for: invalid type: integer `5`, expected a string",
        ),
        (
            toml("retry_for = '5'"),
            "inventory.toml:1: retry_for: a duration needs a unit (ms, s, m, h, d or w), such as 300s",
        ),
        (
            toml("quota = '5'"),
            "inventory.toml:1: quota: a quota is a number of requests and a window, such as 1200/300s",
        ),
        (
            toml("limit = 'ten'"),
            "inventory.toml:1: limit: invalid type: string, expected a whole number",
        ),
        (
            toml("base_url = 'http://example.com'"),
            "inventory.toml:1: base_url: plain http would reveal the token to the network: use https, or a loopback \
             address such as 127.0.0.1",
        ),
        (
            toml("database_url = 'x'"),
            "inventory.toml:1: unknown key `database_url`: secrets do not belong in this file, use database_url_file \
             or database_url_env",
        ),
        (
            toml("\ndatabase_url_env = 'DB'\ndatabase_url_file = 'db'"),
            "inventory.toml:2: database_url_env: database_url_file is set too: remove one of the two",
        ),
        (
            toml("database_url_env = 'DB'"),
            "inventory.toml:1: database_url_env: DB is not set or empty: set it, or change the name here",
        ),
    ]);
}

#[test]
fn of_accounts() {
    assert_errors(&[
        (
            toml("[[accounts]]\nlimit = 10"),
            "inventory.toml:1: accounts: missing key `id`: write the account's id; only without [[accounts]] is the token's single account found",
        ),
        (
            toml(&format!(
                "[[accounts]]\nid = '{A}'\n[[accounts]]\nid = '{B}'\n[[accounts]]\nid = '{A}'"
            )),
            "inventory.toml:6: accounts.id: 0123456789abcdef0123456789abcdef is already defined in line 2: merge the \
             two tables",
        ),
        (
            toml("[[accounts]]\nid = ''"),
            "inventory.toml:2: accounts.id: an account id is 1 to 32 letters, digits, '-' or '_'",
        ),
        (
            account("").options(&["--account", B]),
            "--account: fedcba9876543210fedcba9876543210 is not in inventory.toml, which lists \
             0123456789abcdef0123456789abcdef",
        ),
        (
            account("api_token = 'x'"),
            "inventory.toml:3: accounts: unknown key `api_token`: secrets do not belong in this file, use api_token_file, \
             api_token_env or token_command",
        ),
        (
            account("api_token_env = 'T'\napi_token_file = 't'"),
            "inventory.toml:3: accounts.api_token_env: accounts.api_token_file is set too: remove one of the two",
        ),
        (
            account("api_token_env = 'T'\nemail = 'a@b'"),
            "inventory.toml:3: accounts.api_token_env: email is set too: remove one of the two",
        ),
        (
            account("api_token_env = 'T'\napi_key_env = 'K'"),
            "inventory.toml:3: accounts.api_token_env: an API key is set too: remove one of the two",
        ),
        (
            account("email = 'a@b'"),
            "inventory.toml:3: accounts.email: api_key_file or api_key_env is not set: set it too, or use a token \
             instead of both",
        ),
        (
            account("api_key_env = 'K'"),
            "inventory.toml:3: accounts.api_key_env: email is not set: set it too, or use a token instead of both",
        ),
        (
            account("api_token_env = 'CF_TOKEN_A'"),
            "inventory.toml:3: accounts.api_token_env: CF_TOKEN_A is not set or empty: set it, or change the name here",
        ),
        (
            account("api_token_file = './gone'"),
            "inventory.toml:3: accounts.api_token_file: cannot read ./gone: check that it exists and that this user \
             may read it: No such file or directory (os error 2)",
        ),
        (
            account("limit = 5"),
            "inventory.toml:3: accounts.limit: 5 is not in 10 to 10000",
        ),
        (
            account("\nnamespaces = [\n  { name = 'a' },\n  { nmae = 'b' },\n]"),
            "inventory.toml:6: accounts.namespaces: unknown key `nmae`, expected one of `id`, `name`, `script`, `class`",
        ),
        (
            account("namespaces = [ { name = '[' } ]"),
            "inventory.toml:3: accounts.namespaces: '[' is not a glob: unclosed character class; missing ']'",
        ),
        (
            account("exclude = [ {} ]"),
            "inventory.toml:3: accounts.exclude: a table without keys would match everything: give one of id, name, script or class",
        ),
        (
            account("exclude = [ { id = '' } ]"),
            "inventory.toml:3: accounts.exclude.id: a namespace id is a non-empty text without control characters",
        ),
    ]);
}
