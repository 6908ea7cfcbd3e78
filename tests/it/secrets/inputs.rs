//! Every way to pass a secret: the correct ones, and common mistakes.

use std::fs;
use std::path::Path;

use super::{API_KEY, API_TOKEN, EMAIL, PASSWORD, searched, simulator, sync, with_password};
use crate::support::database::fresh_database;
use crate::support::program::{ACCOUNT, bare};

/// The variables of one run. The account is in the file or in the last variable.
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
    // No run reaches the database: each input is a configuration error or an unknown account.
    let mut command = sync(simulator, "postgres://localhost:1/d");
    // The environment overrides the file, which would then not be validated.
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

/// Parameters of libpq or other drivers that this program does not support are reported by name, without their values.
#[tokio::test]
async fn parameters_that_are_not_known_are_named_without_their_values() {
    let database = fresh_database().await;
    for (parameter, name) in [
        ("sslpassword=s3cretmark", "sslpassword"),
        ("channel_binding=s3cretmark", "channel_binding"),
        ("pwd=s3cretmark", "pwd"),
        ("s3cretmark=1", "a parameter"),
    ] {
        for format in ["text", "json"] {
            let mut command = bare(&["migrate", "--quiet", "--log-format", format]);
            command.env("DATABASE_URL", format!("{}&{parameter}", database.url()));
            let ended = searched(command);
            assert_eq!(ended.code, Some(0), "{ended:#?}");
        }
        // Logs only the warnings.
        let mut command = bare(&["migrate", "--quiet"]);
        command.env("DATABASE_URL", format!("{}&{parameter}", database.url()));
        let ended = crate::support::program::run(command);
        assert!(ended.stderr.contains(name), "{parameter}: {ended:#?}");
        super::search(&ended);
    }
}

/// If a password's special characters are not escaped, its pieces become a host, a port or a parameter. The program
/// does not contact such a host and prints none of the pieces.
#[tokio::test]
async fn urls_that_a_password_tore_apart_are_refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let there = listener.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for torn in [
        "u:x@s3cretmark#1",
        "u:x@s3cretmark/1",
        "u:x@s3cretmark?1",
        "u:x@s3cretmark",
        "u:12345#s3cretmark",
        "u:12345/s3cretmark",
        "u:12345?s3cretmark",
        "u:12345?s3cretmark=1",
        "s3cretmark#x",
        "s3cretmark/x",
    ] {
        let url = format!("postgres://{torn}@{there}/d");
        // A fragment that hides the host would lead to the local server.
        let fragment = format!("postgres://u:x@{there}/d#s3cretmark");
        let bare_parameter = format!("postgres://u:x@{there}/d?s3cretmark");
        for url in [url, fragment, bare_parameter] {
            let file = folder.path().join("url");
            fs::write(&file, &url).unwrap();
            let file = file.to_str().unwrap();
            for (args, variable, value) in [
                (&["namespaces"][..], "DATABASE_URL", url.as_str()),
                (&["psql", "-c", "select 1"], "DATABASE_URL", &url),
                (&["check"], "DATABASE_URL", &url),
                (&["namespaces"], "DATABASE_URL_FILE", file),
            ] {
                let mut command = bare(args);
                command.env(variable, value);
                let ended = searched(command);
                assert_eq!(ended.code, Some(2), "{url}: {ended:#?}");
                let said = format!("{}{}", ended.stdout, ended.stderr);
                assert!(said.contains(variable) && said.contains("%40"), "{url}: {ended:#?}");
            }
        }
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{torn}@{there}/client/v4");
            let simulator = simulator().await;
            let mut command = sync(&simulator, "postgres://localhost:1/d");
            command.env("CLOUDFLARE_API_BASE_URL", &url);
            let ended = searched(command);
            assert_eq!(ended.code, Some(2), "{url}: {ended:#?}");
            for (variable, option) in [
                ("DURABLE_INVENTORY_PING_URL", "--ping-url"),
                ("DURABLE_INVENTORY_NOTIFY_URL", "--notify-url"),
            ] {
                let mut command = sync(&simulator, "postgres://localhost:1/d");
                command.env(variable, &url);
                let ended = searched(command);
                assert_eq!(ended.code, Some(2), "{url}: {ended:#?}");
                assert!(ended.stderr.contains(option), "{url}: {ended:#?}");
            }
        }
    }
    assert!(listener.accept().is_err(), "nobody was asked for anything");
}

/// A URL in the place of a file's path.
#[tokio::test]
async fn urls_in_the_place_of_a_path_are_not_shown() {
    let simulator = simulator().await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("postgres://u:{PASSWORD}@localhost/d");
    let (dsn, without_scheme) = (
        format!("host=h password={PASSWORD}"),
        format!("u:{PASSWORD}@localhost/d"),
    );
    let hook = "https://hooks.example/s3cretmark";
    for value in [url.as_str(), &dsn, &without_scheme, hook] {
        for (option, command) in [
            ("--config", "namespaces"),
            ("--data-dir", "namespaces"),
            ("--postgres-bin", "namespaces"),
            ("--metrics-file", "sync"),
            ("--export", "sync"),
        ] {
            for together in [false, true] {
                let mut command = match command {
                    "sync" => sync(&simulator, "postgres://localhost:1/d"),
                    other => bare(&[other]),
                };
                match together {
                    true => command.arg(format!("{option}={value}")),
                    false => command.args([option, value]),
                };
                // Keeps a folder of that name out of the checkout.
                command.current_dir(folder.path());
                if value != without_scheme {
                    let ended = searched(command);
                    assert_eq!(ended.code, Some(2), "{option} {value}: {ended:#?}");
                    assert!(ended.stderr.contains(option), "{ended:#?}");
                } else if option == "--config" {
                    assert_eq!(searched(command).code, Some(2));
                }
            }
        }
        for name in [
            "DURABLE_INVENTORY_CONFIG",
            "DATABASE_URL_FILE",
            "CLOUDFLARE_API_TOKEN_FILE",
        ] {
            let mut command = bare(&["sync"]);
            command.env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT).env(name, value);
            let ended = searched(command);
            assert_eq!(ended.code, Some(2), "{name}={value}: {ended:#?}");
        }
        let mut man = bare(&["man", value]);
        man.current_dir(folder.path());
        if value != without_scheme {
            assert_eq!(searched(man).code, Some(2));
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was created");
}

/// A line of ~/.pgpass that lacks a field may still contain a password.
#[tokio::test]
async fn a_malformed_pgpass_is_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pgpass");
    fs::write(&file, "localhost:s3cretmark\n").unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = bare(&["namespaces"]);
    command
        .env("DATABASE_URL", "postgres://u@localhost:1/d")
        .env("PGPASSFILE", &file);
    let ended = searched(command);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
}
