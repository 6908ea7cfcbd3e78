//! Tries the configuration file and the queries in README.md.

use std::fs;

use cloudflare_simulator::Namespace;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::database::fresh_database;
use crate::support::program::{bare, run, simulator};

/// The block in that language that begins with `start`.
fn block(language: &str, start: &str) -> &'static str {
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once(&format!("```{language}\n{start}")).unwrap();
    let (block, _) = after.split_once("```").unwrap();
    &readme[readme.len() - after.len() - start.len()..][..start.len() + block.len()]
}

#[tokio::test]
async fn its_configuration_and_its_queries_work() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let (production, staging) = ("023e105f4ecef8ad9ca31a8372d0c353", "00000000000000000000000000000d0d");
    simulator.add_account(production, "one");
    simulator.add_account(staging, "another");
    for (account, name) in [(production, "prod-chat"), (production, "left-out"), (staging, "any")] {
        let namespace = simulator.add(Namespace::new(account, name));
        simulator.seed(&namespace, 20, 1);
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("config.toml", block("toml", "database_url_file"));
    write("database-url", &database.url());
    write("production-token", "one");
    let mut command = bare(&["sync", "--output", "json"]);
    command
        .env("DURABLE_INVENTORY_CONFIG", folder.path().join("config.toml"))
        .env("CLOUDFLARE_API_BASE_URL", simulator.base_url())
        .env("STAGING_TOKEN", "another");
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let mut names: Vec<_> = ended.json()["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|namespace| namespace["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["any", "prod-chat"]);

    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    let queries = block("sql", "-- how many objects each namespace has").split(";\n");
    let mut tried = 0;
    for query in queries.filter(|query| !query.trim().is_empty()) {
        session
            .execute(AssertSqlSafe(query))
            .await
            .unwrap_or_else(|error| panic!("{error}: {query}"));
        tried += 1;
    }
    assert_eq!(tried, 5);
}
