//! Memory does not grow with rows.

use sqlx::{Connection, PgConnection};

use super::*;
use crate::support::memory::run_measured;
use crate::support::program::bare;

const ROWS: usize = 10_000_000;
const LIMIT_KIB: u64 = 100 * 1024;

/// Fills a record of one namespace as a sync would, but without the walk. The digest is not computed: version 0 is one
/// that the program does not know, so it compares the number of objects alone.
const FILL: &str = "
    insert into inventory.account (account_id, api_base_url) values ('0123456789abcdef0123456789abcdef', 'none');
    insert into inventory.run (version, session_name) values ('test', 'test');
    insert into inventory.namespace (account_key, namespace_id, name) values (1, 'large', 'large');
    insert into inventory.snapshot (run_id, namespace_key, status, recorded_at, finished_at, with_data,
                                    digest_version)
        values (1, 1, 'complete', now(), now(), 10000000, 0);
    update inventory.namespace set baseline_snapshot = 1, published_snapshot = 1;
    insert into inventory.open_interval (namespace_key, has_stored_data, id)
        select 1, n % 2 = 0, substr(int8send(n) || sha256(int8send(n)), 1, 32) from generate_series(1, 10000000) n;
    analyze inventory.open_interval";

#[tokio::test]
#[ignore = "large: 10,000,000 rows"]
async fn ten_million_rows_are_exported_and_compared_within_100_mb() {
    let database = fresh_database().await;
    let mut migrate = bare(&["migrate"]);
    migrate.env("DATABASE_URL", database.url());
    assert_eq!(run(migrate).code, Some(0));
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    sqlx::raw_sql(FILL).execute(&mut session).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let measured = |args: &[&str]| {
        let mut command = bare(args);
        command.env("DATABASE_URL", database.url());
        let (ended, peak) = run_measured(command);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(peak > 0 && peak < LIMIT_KIB, "{args:?}: {peak} KiB");
        ended
    };
    let [parquet, csv] = ["parquet", "csv"].map(|end| format!("{}/large.{end}", folder.path().display()));
    for path in [&parquet, &csv] {
        measured(&["export", "objects", "--output", path]);
        let mut reader = RowReader::open(path, File::open(path).unwrap()).unwrap();
        let mut rows = 0;
        while reader.next_row().unwrap().is_some() {
            rows += 1;
        }
        assert_eq!(rows, ROWS);
    }
    let (parquet, csv) = (parquet.as_str(), csv.as_str());
    for sides in [[parquet, csv], [parquet, "latest"], ["latest", csv]] {
        let ended = measured(&["diff", sides[0], sides[1], "--exit-code"]);
        assert!(
            ended.stderr.contains("10,000,000 objects are identical"),
            "{}",
            ended.stderr
        );
    }
}
