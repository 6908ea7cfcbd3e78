//! contrib/config.toml has every key, and each works when it is uncommented. That its defaults are true is a test of
//! `config`.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use cloudflare_simulator::Namespace;

use super::markdown::root;
use super::options::{keys_of_an_account, keys_of_the_file};
use crate::support::database::fresh_database;
use crate::support::program::{bare, run, simulator};

const SECRET: &str = "a-token-or-a-key";

fn file() -> String {
    fs::read_to_string(root().join("contrib/config.toml")).unwrap()
}

/// The settings that are commented out: those of the file, and those of an account. `# ` begins prose.
fn settings() -> [Vec<String>; 2] {
    let file = file();
    let (head, account) = file.split_once("\n#[[accounts]]\n").unwrap();
    [head, account].map(|part| {
        let lines = part.lines().filter_map(|line| line.strip_prefix('#'));
        let settings = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
        settings.map(str::to_owned).collect()
    })
}

fn key(setting: &str) -> &str {
    setting.split_once(" = ").unwrap().0
}

#[test]
fn the_commented_file_has_every_key_and_sets_none() {
    let keys = settings().map(|settings| -> BTreeSet<_> {
        let keys = settings.iter().map(|setting| key(setting).to_owned());
        keys.collect()
    });
    let mut of_the_file = keys_of_the_file();
    assert!(of_the_file.remove("accounts"), "{of_the_file:?}");
    assert_eq!(keys, [of_the_file, keys_of_an_account()]);
    assert!(file().lines().all(|line| line.is_empty() || line.starts_with('#')));
}

#[tokio::test]
async fn each_key_of_the_commented_file_works_when_it_is_uncommented() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let [of_the_file, of_an_account] = settings();
    let of_an_account_by = |name: &str| of_an_account.iter().find(|setting| key(setting) == name).unwrap();
    let account = of_an_account_by("id").split('"').nth(1).unwrap();
    simulator.add_account(account, SECRET);
    simulator.add_key(account, "ops@example.com", SECRET);
    // Each pattern of the example selects one of these.
    for (name, script, class) in [
        ("prod-a", "a", "A"),
        ("b", "chat", "Room2"),
        ("c", "c", "C"),
        ("d", "d", "Scratch"),
    ] {
        let mut namespace = Namespace::new(account, name);
        namespace.script = Some(script.to_owned());
        namespace.class = Some(class.to_owned());
        if name == "c" {
            namespace.id = "5fd1cafff895419c8bcc647fc64ab8f0".to_owned();
        }
        simulator.add(namespace);
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    };
    write("token", SECRET, 0o600);
    write("global-key", SECRET, 0o600);
    write("database-url", &database.url(), 0o600);
    // A stand-in for the program of the example.
    write("wrangler", &format!("#!/bin/sh\necho {SECRET}\n"), 0o755);
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());

    let table = format!("[[accounts]]\n{}\n", of_an_account_by("id"));
    let of_the_file = of_the_file.iter().map(|setting| format!("{setting}\n{table}"));
    let of_an_account = of_an_account.iter().map(|setting| match key(setting) {
        "id" => table.clone(),
        "email" => format!("{table}{setting}\n{}\n", of_an_account_by("api_key_file")),
        "api_key_file" | "api_key_env" => format!("{table}{setting}\n{}\n", of_an_account_by("email")),
        _ => format!("{table}{setting}\n"),
    });
    for text in of_the_file.chain(of_an_account) {
        // A test must not call the real API.
        let text = text.replace("https://api.cloudflare.com/client/v4", &simulator.base_url());
        let file = write("config.toml", &text, 0o600);
        let mut command = bare(&[
            "sync",
            "--quiet",
            "--quota",
            "1000000/1s",
            "--config",
            file.to_str().unwrap(),
        ]);
        command
            .env("PATH", &path)
            .env("INVENTORY_DATABASE_URL", database.url())
            .env("PRODUCTION_TOKEN", SECRET)
            .env("GLOBAL_KEY", SECRET);
        // Variables win over the file, so the program gets only those that the file makes necessary.
        let without = |keys: &[&str]| !keys.iter().any(|key| text.contains(key));
        if without(&["base_url ="]) {
            command.env("CLOUDFLARE_API_BASE_URL", simulator.base_url());
        }
        if without(&["database_url_"]) {
            command.env("DATABASE_URL", database.url());
        }
        if without(&["api_token_", "token_command", "api_key_"]) {
            command.env("CLOUDFLARE_API_TOKEN", SECRET);
        }
        let ended = run(command);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{text}{ended:#?}");
    }
}
