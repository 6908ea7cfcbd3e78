//! The queries are checked at compile time against the data in `.sqlx`. This test checks that data against the schema.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::database::fresh_database;
use crate::support::program::{bare, run};

fn files(dir: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
#[ignore = "large: compiles the library once more"]
async fn the_data_of_the_checked_queries_is_that_of_the_schema() {
    let database = fresh_database().await;
    let mut migrate = bare(&["migrate"]);
    migrate.env("DATABASE_URL", database.url());
    let migrated = run(migrate);
    assert_eq!(migrated.code, Some(0), "{migrated:#?}");

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = tempfile::tempdir().unwrap();
    // The macros run when the library is compiled, and cargo recompiles files that are newer than its last build.
    fs::File::options()
        .append(true)
        .open(root.join("src/lib.rs"))
        .unwrap()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
    let checked = Command::new(env!("CARGO"))
        .args(["check", "--lib", "--locked"])
        .current_dir(root)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", made.path())
        .env("DATABASE_URL", database.url())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let (made, kept) = (files(made.path()), files(&root.join(".sqlx")));
    assert!(!made.is_empty());
    assert_eq!(
        made.keys().collect::<Vec<_>>(),
        kept.keys().collect::<Vec<_>>(),
        "queries that .sqlx lacks, or has in vain"
    );
    assert_eq!(made, kept);
}
