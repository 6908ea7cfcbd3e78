//! Every way to hand a secret over, the right ones and the mistakes that people make.

use std::fs;
use std::path::Path;

use super::{API_KEY, API_TOKEN, EMAIL, PASSWORD, searched, simulator, sync, with_password};
use crate::support::database::fresh_database;
use crate::support::program::{ACCOUNT, bare};

/// The variables of one run; the account is in the file or in the last of them.
type Variables<'a> = Vec<(&'a str, &'a str)>;

#[tokio::test]
async fn every_way_works_and_shows_nothing() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    simulator.add_namespace(ACCOUNT, "chat");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let url = with_password(&database);
    let (token_file, key_file) = (write("token", API_TOKEN), write("key", API_KEY));
    let url_file = write("url", &format!("{url}\n"));
    let by_file = write(
        "by_file.toml",
        &format!("database_url_file = 'url'\n[[accounts]]\nid = '{ACCOUNT}'\napi_token_file = 'token'\n"),
    );
    let by_variable = write(
        "by_variable.toml",
        &format!("database_url_env = 'URL'\n[[accounts]]\nid = '{ACCOUNT}'\nemail = '{EMAIL}'\napi_key_env = 'KEY'\n"),
    );
    let ways: [Variables<'_>; 5] = [
        vec![("CLOUDFLARE_API_TOKEN", API_TOKEN), ("DATABASE_URL", &url)],
        vec![
            ("CLOUDFLARE_API_TOKEN_FILE", &token_file),
            ("DATABASE_URL_FILE", &url_file),
        ],
        vec![
            ("CLOUDFLARE_EMAIL", EMAIL),
            ("CLOUDFLARE_API_KEY_FILE", &key_file),
            ("DATABASE_URL", &url),
        ],
        vec![("DURABLE_INVENTORY_CONFIG", &by_file)],
        vec![
            ("DURABLE_INVENTORY_CONFIG", &by_variable),
            ("KEY", API_KEY),
            ("URL", &url),
        ],
    ];
    for way in ways {
        for format in ["text", "json"] {
            let mut command = bare(&["sync", "--log-format", format]);
            command
                .envs(way.clone())
                .env("CLOUDFLARE_API_BASE_URL", simulator.base_url())
                .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT);
            let ended = searched(command);
            assert_eq!(ended.code, Some(0), "{way:?}: {ended:#?}");
        }
    }
    super::database::is_searched(&database);
}

#[tokio::test]
async fn mistakes_show_nothing() {
    let simulator = simulator().await;
    let folder = tempfile::tempdir().unwrap();
    let good = format!("[[accounts]]\nid = '{ACCOUNT}'\n");
    let url = format!("postgres://u:{PASSWORD}@localhost/d");
    let files = [
        format!("{good}api_token = '{API_TOKEN}'\n"),
        format!("{good}api_key = '{API_KEY}'\n"),
        format!("{good}api_token_file = '{API_TOKEN}'\n"),
        format!("{good}api_token_env = '{API_TOKEN}'\n"),
        format!("{good}api_token_file = ['{API_TOKEN}']\n"),
        format!("{good}api_token_file = '{API_TOKEN}\n"),
        format!("{good}api_token_env = {API_TOKEN}\n"),
        format!("{good}email = '{API_KEY}'\napi_key_env = 'KEY'\n"),
        format!("{good}'{API_TOKEN}' = 1\n"),
        format!("{good}limit = '{API_TOKEN}'\n"),
        format!("{good}quota = '{API_TOKEN}'\n"),
        format!("database_url = '{url}'\n{good}"),
        format!("database_url_file = '{url}'\n{good}"),
        format!("database_url_env = '{url}'\n{good}"),
        format!("base_url = 'https://u:{PASSWORD}@localhost/'\n{good}"),
        format!("[[accounts]]\nid = '{API_TOKEN} '\n"),
        format!("{API_TOKEN}\n"),
    ];
    for text in files {
        let path = folder.path().join("wrong.toml");
        fs::write(&path, &text).unwrap();
        refused(&simulator, &path, &[], &text);
    }
    let right = folder.path().join("right.toml");
    fs::write(&right, &good).unwrap();
    let spaced = format!("{API_TOKEN} x");
    let mistakes: [Variables<'_>; 6] = [
        vec![("CLOUDFLARE_API_TOKEN", &spaced)],
        vec![("CLOUDFLARE_API_TOKEN", ""), ("CLOUDFLARE_API_TOKEN_FILE", API_TOKEN)],
        vec![("CLOUDFLARE_API_TOKEN_FILE", API_TOKEN)],
        vec![("CLOUDFLARE_ACCOUNT_ID", API_TOKEN)],
        vec![("DATABASE_URL", ""), ("DATABASE_URL_FILE", &url)],
        vec![("DATABASE_URL_FILE", &url)],
    ];
    for mistake in mistakes {
        refused(&simulator, &right, &mistake, &format!("{mistake:?}"));
    }
}

fn refused(simulator: &cloudflare_simulator::Simulator, file: &Path, variables: &[(&str, &str)], what: &str) {
    // The store is never reached: each of these is an error of configuration, or the account is unknown there.
    let mut command = sync(simulator, "postgres://localhost:1/d");
    // The environment wins over the file, whose mistakes would not be looked at.
    for (key, variable) in [
        ("database_url", "DATABASE_URL"),
        ("base_url", "CLOUDFLARE_API_BASE_URL"),
    ] {
        if what.starts_with(key) {
            command.env_remove(variable);
        }
    }
    command
        .arg("--config")
        .arg(file)
        .env("KEY", API_KEY)
        .envs(variables.iter().copied());
    let ended = searched(command);
    assert_ne!(ended.code, Some(0), "{what}: {ended:#?}");
}
