use super::*;
use crate::model::Namespace;
use crate::units::{Cursors, Quota};

const TWO_ACCOUNTS: &str = r#"
limit = 500
concurrency = 8
quota = "1000/300s"
quota_share = 50
pause_without_retry_after = "200s"
retry_for = "20m"
cursors = 1
max_removed_percent = 0
max_removed_floor = 100
resume_within = "1d"
base_url = "https://file.example/v4/"

[[accounts]]
id = "0123456789abcdef0123456789abcdef"
api_token_file = "token-a"
quota = "600/300s"
quota_share = 25
limit = 50
namespaces = [ { script = "chat-*", class = "Room" }, { name = "prod-*" } ]
exclude = [ { script = "*-preview-*" } ]

[[accounts]]
id = "fedcba9876543210fedcba9876543210"
"#;

fn two_accounts() -> Given {
    given()
        .toml(TWO_ACCOUNTS)
        .file("token-a", "token-of-a\n")
        .variable("CLOUDFLARE_API_TOKEN", "env-token")
}

fn namespace(id: &str, name: &str, script: &str) -> Namespace {
    Namespace {
        id: id.parse().unwrap(),
        name: Some(name.to_owned()),
        script: Some(script.to_owned()),
        class: Some("Room".to_owned()),
        use_sqlite: None,
        preview: None,
    }
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = given_account().sync().unwrap();
    let seconds = |duration: Duration| duration.as_secs();
    assert_eq!(config.run.concurrency, 4);
    assert_eq!(seconds(config.accounts[0].pace.pause_without_retry_after), 300);
    assert_eq!(seconds(config.run.retry_for), 900);
    assert_eq!(seconds(config.accounts[0].endpoint.read_timeout), 60);
    assert_eq!(seconds(config.accounts[0].endpoint.connect_timeout), 10);
    assert_eq!(seconds(config.run.resume_within), 129_600);
    assert_eq!(
        (
            config.run.removal_guard.max_removed_percent,
            config.run.removal_guard.max_removed_floor
        ),
        (30, 10)
    );
    assert!(!config.run.removal_guard.accept_removals);
    let [account] = config.accounts.as_slice() else {
        panic!("{config:?}")
    };
    assert_eq!(account.id.as_str(), A);
    assert_eq!(token(account), "env-token");
    assert_eq!(
        account.endpoint.base_url.as_str(),
        "https://api.cloudflare.com/client/v4"
    );
    assert_eq!(
        (account.pace.quota, account.pace.share_percent, account.limit),
        (Quota::CLOUDFLARE, 80, 10_000)
    );
    assert!(account.selection.include.is_empty() && account.selection.exclude.is_empty());
    assert!(matches!(
        config.store.location,
        StoreLocation::Private(managed_postgres::Settings { data_dir: None, .. })
    ));
}

/// Setting each default of contrib/config.toml changes nothing. Setting another value in its place does, so `Debug`
/// shows what the key sets.
#[test]
fn the_defaults_in_the_commented_file_are_the_defaults() {
    let (head, _) = include_str!("../../../contrib/config.toml")
        .split_once("\n#[[accounts]]")
        .unwrap();
    let configured = |line: &str| format!("{:?}", given_account().toml(line).sync().unwrap());
    let without = configured("");
    let lines = head.lines().filter_map(|line| line.strip_prefix('#'));
    let settings = lines.filter_map(|line| line.split_once(" = "));
    let mut tried = 0;
    for (key, value) in settings.filter(|(key, _)| !key.contains(' ') && !key.starts_with("database_url")) {
        assert_eq!(configured(&format!("{key} = {value}")), without, "{key}");
        let other = match value {
            "\"auto\"" => "2".to_owned(),
            "\"1200/300s\"" => "\"1100/300s\"".to_owned(),
            text if text.contains("https") => "\"https://api.example.com\"".to_owned(),
            text if text.starts_with('"') => "\"77m\"".to_owned(),
            _ => "11".to_owned(),
        };
        assert_ne!(configured(&format!("{key} = {other}")), without, "{key}");
        tried += 1;
    }
    assert_eq!(tried, 11);
}

#[test]
fn the_file_wins_over_the_defaults() {
    let config = two_accounts().sync().unwrap();
    assert_eq!((config.run.concurrency, config.run.cursors), (8, Cursors::Exactly(1)));
    assert_eq!(config.accounts[0].pace.pause_without_retry_after.as_secs(), 200);
    assert_eq!(config.run.retry_for.as_secs(), 1_200);
    assert_eq!(config.run.resume_within.as_secs(), 86_400);
    assert_eq!(
        (
            config.run.removal_guard.max_removed_percent,
            config.run.removal_guard.max_removed_floor
        ),
        (0, 100)
    );
    let told: Vec<_> = config
        .accounts
        .iter()
        .map(|a| {
            (
                token(a),
                a.pace.quota.to_string(),
                a.pace.share_percent,
                a.limit,
                a.endpoint.base_url.as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("token-of-a", "600/300s".to_owned(), 25, 50, "https://file.example/v4"),
            ("env-token", "1000/300s".to_owned(), 50, 500, "https://file.example/v4"),
        ]
    );
}

#[test]
fn options_win_over_the_file() {
    let options = "--limit 77 --concurrency 2 --cursors auto --quota 90/60s --quota-share 99 \
                   --pause-without-retry-after 7s --retry-for 8s --read-timeout 9s --connect-timeout 10ms --resume-within 11s --max-removed-percent 12 \
                   --max-removed-floor 13 --accept-removals --deadline 14s";
    let config = two_accounts()
        .options(&options.split_whitespace().collect::<Vec<_>>())
        .sync()
        .unwrap();
    for account in &config.accounts {
        assert_eq!((account.limit, account.pace.share_percent), (77, 99));
        assert_eq!(account.pace.quota.to_string(), "90/60s");
    }
    let durations = [
        config.accounts[0].pace.pause_without_retry_after,
        config.run.retry_for,
        config.accounts[0].endpoint.read_timeout,
        config.run.resume_within,
    ];
    assert_eq!(durations.map(|d| d.as_secs()), [7, 8, 9, 11]);
    assert_eq!(config.accounts[0].endpoint.connect_timeout.as_millis(), 10);
    assert_eq!(
        (
            config.run.concurrency,
            config.run.removal_guard.max_removed_percent,
            config.run.removal_guard.max_removed_floor
        ),
        (2, 12, 13)
    );
    assert_eq!(config.run.cursors, Cursors::Auto);
    assert!(config.run.removal_guard.accept_removals);
}

#[test]
fn the_environment_wins_over_the_file() {
    let config = two_accounts()
        .variable("CLOUDFLARE_API_BASE_URL", "http://127.0.0.1:8787/v4")
        .variable("DATABASE_URL", "postgres://env/db")
        .sync()
        .unwrap();
    assert_eq!(
        config.accounts[0].endpoint.base_url.as_str(),
        "http://127.0.0.1:8787/v4"
    );
    assert!(matches!(config.store.location, StoreLocation::Url(_)));
}

#[test]
fn variables_that_are_set_but_empty_are_not_set() {
    let config = two_accounts()
        .variable("CLOUDFLARE_API_BASE_URL", "")
        .variable("CLOUDFLARE_ACCOUNT_ID", "")
        .variable("CLOUDFLARE_API_TOKEN_FILE", "")
        .variable("CLOUDFLARE_EMAIL", "")
        .variable("DATABASE_URL", "")
        .variable("DURABLE_INVENTORY_CONFIG", "")
        .sync()
        .unwrap();
    assert_eq!(ids(&config), [A, B]);
    assert_eq!(config.accounts[0].endpoint.base_url.as_str(), "https://file.example/v4");
    assert!(matches!(config.store.location, StoreLocation::Private(_)));
}

#[test]
fn the_files_name_comes_by_option_or_variable() {
    let variable = "DURABLE_INVENTORY_CONFIG";
    let by_variable = given_account()
        .file("b.toml", "concurrency = 9")
        .variable(variable, "$DIR/b.toml");
    assert_eq!(by_variable.sync().unwrap().run.concurrency, 9);
    let by_both = by_variable.toml("concurrency = 10");
    assert_eq!(by_both.sync().unwrap().run.concurrency, 10);
}

#[test]
fn accounts_are_selected() {
    const ELSEWHERE: &str = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
    let cases: [(Option<&str>, &[&str], &[&str]); 6] = [
        (None, &[], &[A, B]),
        (Some(B), &[], &[B]),
        (Some(ELSEWHERE), &[], &[ELSEWHERE]),
        (Some(B), &["--account", A], &[A]),
        (None, &["--account", B, "--account", A, "--account", B], &[B, A]),
        (Some(ELSEWHERE), &["--account", B], &[B]),
    ];
    for (variable, options, expected) in cases {
        let given = two_accounts()
            .variable("CLOUDFLARE_ACCOUNT_ID", variable.unwrap_or_default())
            .options(options);
        assert_eq!(ids(&given.sync().unwrap()), expected, "{variable:?} {options:?}");
    }
    let elsewhere = two_accounts()
        .variable("CLOUDFLARE_ACCOUNT_ID", ELSEWHERE)
        .sync()
        .unwrap();
    assert_eq!(
        (token(&elsewhere.accounts[0]), elsewhere.accounts[0].limit),
        ("env-token", 500)
    );
    let without_file = given()
        .variable("CLOUDFLARE_API_TOKEN", "t")
        .options(&["--account", B, "--account", A]);
    assert_eq!(ids(&without_file.sync().unwrap()), [B, A]);
    let capitals = two_accounts().options(&["--account", &B.to_uppercase()]);
    assert_eq!(ids(&capitals.sync().unwrap()), [B]);
}

#[test]
fn namespaces_on_the_command_line_replace_the_files_but_not_its_excludes() {
    let room = namespace("1", "chat-eu_Room", "chat-eu");
    let other = namespace("2", "game_Room", "game");
    let preview = namespace("5fd1cafff895419c8bcc647fc64ab8f0", "prod-preview-1", "prod-preview-1");
    let cases: [(&[&str], [bool; 3]); 4] = [
        (&[], [true, false, false]),
        (&["--namespace", "game*"], [false, true, false]),
        (&["--namespace", "*"], [true, true, false]),
        (
            &["--namespace", "5fd1cafff895419c8bcc647fc64ab8f0"],
            [false, false, true],
        ),
    ];
    for (options, expected) in cases {
        let config = two_accounts().options(options).sync().unwrap();
        let selection = &config.accounts[0].selection;
        assert_eq!(
            [&room, &other, &preview].map(|ns| selection.selects(ns)),
            expected,
            "{options:?}"
        );
    }
    let config = two_accounts().sync().unwrap();
    assert!(
        config.accounts[1].selection.selects(&preview),
        "the other account has no excludes"
    );
}

#[test]
fn the_store_is_chosen() {
    let toml = "database_url_env = 'MY_DB'";
    let url = |given: Given| match given.store().unwrap() {
        StoreLocation::Url(url) => url.expose_secret().to_owned(),
        StoreLocation::Private(managed_postgres::Settings { data_dir, .. }) => format!("private in {data_dir:?}"),
    };
    let from_file = || given().toml(toml).variable("MY_DB", "postgres://file");
    assert_eq!(url(given()), "private in None");
    assert_eq!(url(from_file()), "postgres://file");
    assert_eq!(
        url(from_file().variable("DATABASE_URL", "postgresql://env")),
        "postgresql://env"
    );
    let all = from_file()
        .variable("DATABASE_URL", "postgres://env")
        .options(&["--data-dir", "/d"]);
    assert_eq!(url(all), r#"private in Some("/d")"#);
    let private = given()
        .options(&["--postgres-bin", "/b", "--postgres-user", "pg"])
        .store()
        .unwrap();
    let StoreLocation::Private(settings) = &private else {
        panic!("{private:?}")
    };
    assert_eq!(
        (settings.postgres_bin.clone(), settings.postgres_user.as_deref()),
        (Some("/b".into()), Some("pg"))
    );
}

#[test]
fn the_store_asks_for_no_token_and_no_account() {
    let toml = format!("[[accounts]]\nid = '{A}'\napi_token_env = 'NOT_SET'\n");
    assert!(matches!(given().toml(&toml).store(), Ok(StoreLocation::Private(_))));
}
