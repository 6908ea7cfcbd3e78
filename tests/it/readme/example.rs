//! The example of a configuration file, and the first queries of docs/sql.md.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use cloudflare_simulator::Namespace;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::block;
use crate::support::database::fresh_database;
use crate::support::program::{bare, run, simulator};

#[tokio::test]
async fn the_configuration_and_the_queries_work() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let (production, staging) = ("023e105f4ecef8ad9ca31a8372d0c353", "00000000000000000000000000000d0d");
    simulator.add_account(production, "one");
    simulator.add_account(staging, "another");
    // Account, name, script, class.
    for [account, name, script, class] in [
        [production, "prod-chat", "a", "A"],
        [production, "prod-scratch", "a", "Scratch"],
        [production, "chat_Room2", "chat", "Room2"],
        [production, "left-out", "b", "B"],
        [staging, "any", "c", "C"],
    ] {
        let mut namespace = Namespace::new(account, name);
        namespace.script = Some(script.to_owned());
        namespace.class = Some(class.to_owned());
        let namespace = simulator.add(namespace);
        simulator.seed(&namespace, 20, 1);
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("inventory.toml", &block("docs/configuration.md", "toml", "#"));
    write("database-url", &database.url());
    write("production-token", "one");
    let mut command = bare(&["sync", "--output", "json"]);
    command
        .env("DURABLE_INVENTORY_CONFIG", folder.path().join("inventory.toml"))
        .env("CLOUDFLARE_API_BASE_URL", simulator.base_url())
        .env("STAGING_TOKEN", "another");
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(
        ended.stderr.lines().find(|line| line.contains("WARN")),
        None,
        "{ended:#?}"
    );
    let mut names: Vec<_> = ended.json()["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|namespace| namespace["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["any", "chat_Room2", "prod-chat"]);

    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    let queries = block("docs/sql.md", "sql", "-- how many objects each namespace has");
    let mut tried = 0;
    for query in queries.split(";\n").filter(|query| !query.trim().is_empty()) {
        session
            .execute(AssertSqlSafe(query.to_owned()))
            .await
            .unwrap_or_else(|error| panic!("{error}: {query}"));
        tried += 1;
    }
    assert_eq!(tried, 5);
}
