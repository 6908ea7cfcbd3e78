//! Configuration from file, environment and secret files, through the program.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use cloudflare_simulator::Simulator;
use tempfile::TempDir;

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::ledger::{objects, texts, truth};
use crate::support::program::{ACCOUNT, Ended, TOKEN, bare, program, run, simulator, sync_by_file};

const OTHER: &str = "fedcba9876543210fedcba9876543210";
const OTHER_TOKEN: &str = "the-other-accounts-token";

/// A folder with a configuration and the files that it names.
struct Files(TempDir);

impl Files {
    fn new(toml: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write("inventory.toml", toml);
        files
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn toml(&self) -> PathBuf {
        self.0.path().join("inventory.toml")
    }
}

async fn recorded(database: &TestDatabase) -> Vec<String> {
    let sql = "select distinct n.name from inventory.snapshots s join inventory.namespaces n using (namespace_id)
               where s.status = 'complete' and $1 = '' order by 1";
    texts(database, sql, "").await
}

fn add(simulator: &Simulator, account: &str, names: &[&str]) -> Vec<String> {
    let add = |name: &&str| {
        let namespace = simulator.add_namespace(account, name);
        simulator.seed(&namespace, 25, 1);
        namespace
    };
    names.iter().map(add).collect()
}

#[tokio::test]
async fn a_file_names_accounts_and_selects_namespaces() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    simulator.add_account(OTHER, OTHER_TOKEN);
    let mine = add(
        &simulator,
        ACCOUNT,
        &["prod-chat", "prod-cart", "prod-old", "staging-chat"],
    );
    add(&simulator, OTHER, &["anything", "wanted-by-id"]);
    let by_id = simulator.with(|state| state.namespaces.last().unwrap().id.clone());
    let files = Files::new(&format!(
        r#"
        limit = 10
        quota = "1000000/1s"
        [[accounts]]
        id = "{ACCOUNT}"
        api_token_file = "first.token"
        namespaces = [{{ name = "prod-*", script = "work*" }}]
        exclude = [{{ class = "*-old" }}]
        [[accounts]]
        id = "{OTHER}"
        api_token_file = "second.token"
        namespaces = [{{ id = "{by_id}" }}]
        "#
    ));
    files.write("first.token", &format!("{TOKEN}\n"));
    files.write("second.token", OTHER_TOKEN);
    let ended = run(sync_by_file(&simulator, &database, &files.toml(), &[]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(recorded(&database).await, ["prod-cart", "prod-chat", "wanted-by-id"]);
    assert_eq!(objects(&database, &mine[0]).await, truth(&simulator, &mine[0]));
    assert_eq!(simulator.requests_to(&mine[0]).len(), 3, "the file's limit");
    assert_eq!(
        simulator.requests_to(&mine[2]).len(),
        0,
        "an excluded one is not asked for"
    );

    // Options override the file, and its excludes stay in force.
    let more = ["--account", ACCOUNT, "--namespace", "*-old", "--namespace", "staging-*"];
    let ended = run(sync_by_file(&simulator, &database, &files.toml(), &more));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let told = ended.json()["namespaces"].clone();
    assert_eq!(
        (told.as_array().unwrap().len(), &told[0]["name"]),
        (1, &"staging-chat".into())
    );
}

#[tokio::test]
async fn secrets_come_from_files() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespaces = add(&simulator, ACCOUNT, &["room"]);
    let files = Files::new("");
    let token = files.write("token", &format!("{TOKEN}\n"));
    let url = files.write("url", &format!("{}\n", database.url()));
    let by_files = || {
        let mut command = program(&simulator, &database, &["sync", "--quota", "1000000/1s"]);
        command
            .env_remove("CLOUDFLARE_API_TOKEN")
            .env_remove("DATABASE_URL")
            .env("CLOUDFLARE_API_TOKEN_FILE", &token)
            .env("DATABASE_URL_FILE", &url);
        command
    };
    let ended = run(by_files());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(
        objects(&database, &namespaces[0]).await,
        truth(&simulator, &namespaces[0])
    );

    let mut unreadable = by_files();
    unreadable.env("CLOUDFLARE_API_TOKEN_FILE", files.0.path().join("none"));
    is_refused(&run(unreadable), &["CLOUDFLARE_API_TOKEN_FILE", "cannot read"]);
    let mut empty = by_files();
    empty.env("CLOUDFLARE_API_TOKEN_FILE", files.write("empty", "\n"));
    is_refused(&run(empty), &["CLOUDFLARE_API_TOKEN_FILE", "empty"]);

    let key = files.write("key", "a-global-key");
    simulator.add_key(ACCOUNT, "me@example.com", "a-global-key");
    let mut pair = by_files();
    pair.env_remove("CLOUDFLARE_API_TOKEN_FILE")
        .env("CLOUDFLARE_EMAIL", "me@example.com")
        .env("CLOUDFLARE_API_KEY_FILE", key);
    let ended = run(pair);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

/// Asserts exit code 2 and a single line that contains all of `parts`.
fn is_refused(ended: &Ended, parts: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:#?}");
    assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{ended:#?}");
    for part in parts {
        assert!(ended.stderr.contains(part), "no {part:?}: {ended:#?}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_configuration_is_told_with_its_place() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let account = format!("[[accounts]]\nid = \"{ACCOUNT}\"\napi_token_env = \"TOKEN\"\n");
    let cases: [(String, &[&str]); 8] = [
        (format!("{account}limt = 100\n"), &["inventory.toml:4", "limt"]),
        (format!("colour = 1\n{account}"), &["inventory.toml:1", "colour"]),
        (
            format!("{account}api_token = \"s3cret\"\n"),
            &["inventory.toml:4", "api_token_file, api_token_env or token_command"],
        ),
        (format!("limit = 9\n{account}"), &["inventory.toml:1", "limit", "10000"]),
        (format!("quota = \"many\"\n{account}"), &["inventory.toml:1", "quota"]),
        (
            format!("{account}namespaces = [{{ nam = \"a\" }}]\n"),
            &["inventory.toml:4", "nam"],
        ),
        (format!("{account}{account}"), &["inventory.toml:5", "line 2"]),
        ("[[accounts]\n".to_owned(), &["inventory.toml:1"]),
    ];
    for (toml, parts) in cases {
        let files = Files::new(&toml);
        let mut command = sync_by_file(&simulator, &database, &files.toml(), &[]);
        command.env("TOKEN", TOKEN);
        let ended = run(command);
        is_refused(&ended, parts);
        assert!(!ended.stderr.contains("s3cret"), "{ended:#?}");
    }

    let files = Files::new(&account);
    let ended = run(sync_by_file(&simulator, &database, &files.toml(), &[]));
    is_refused(&ended, &["inventory.toml:3", "TOKEN", "not set"]);

    let mut no_token = program(&simulator, &database, &["sync"]);
    no_token.env_remove("CLOUDFLARE_API_TOKEN");
    is_refused(&run(no_token), &["CLOUDFLARE_API_TOKEN", ACCOUNT]);
    let mut long_account = program(&simulator, &database, &["sync"]);
    long_account.env("CLOUDFLARE_ACCOUNT_ID", "a".repeat(33));
    is_refused(&run(long_account), &["CLOUDFLARE_ACCOUNT_ID", "1 to 32"]);
    let mut plain_http = program(&simulator, &database, &["sync"]);
    plain_http.env("CLOUDFLARE_API_BASE_URL", "http://example.com/client/v4");
    is_refused(&run(plain_http), &["CLOUDFLARE_API_BASE_URL", "plain http"]);
    let nothing = run(bare(&["sync", "--config", "/no/such/file"]));
    is_refused(&nothing, &["--config", "/no/such/file"]);
    assert!(simulator.requests().is_empty(), "none of these sent anything");
}

#[tokio::test]
async fn a_record_is_bound_to_the_api_that_it_came_from() {
    let (first, database) = (simulator().await, fresh_database().await);
    let namespaces = add(&first, ACCOUNT, &["room"]);
    let sync = |simulator: &Simulator| run(program(simulator, &database, &["sync", "--quota", "1000000/1s"]));
    assert_eq!(sync(&first).code, Some(0));

    let other = simulator().await;
    add(&other, ACCOUNT, &["room"]);
    let ended = sync(&other);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    for part in [ACCOUNT, &first.base_url(), &other.base_url(), "for another API"] {
        assert!(ended.stdout.contains(part), "no {part:?}: {ended:#?}");
    }
    assert!(other.requests().is_empty(), "it is not even asked");
    assert_eq!(objects(&database, &namespaces[0]).await, truth(&first, &namespaces[0]));

    // A trailing slash does not make it another API.
    let mut slash = program(&first, &database, &["sync", "--quota", "1000000/1s"]);
    slash.env("CLOUDFLARE_API_BASE_URL", format!("{}/", first.base_url()));
    let ended = run(slash);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}
