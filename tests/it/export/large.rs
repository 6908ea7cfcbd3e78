//! Memory does not grow with rows.

use sqlx::{Connection, PgConnection};

use super::*;
use crate::support::program::bare;

const ROWS: usize = 10_000_000;
const LIMIT_KIB: u64 = 100 * 1024;

/// A record of one namespace, as a sync would leave it, but without the walk.
const FILL: &str = "
    insert into inventory.account (account_id, api_base_url) values ('0123456789abcdef0123456789abcdef', 'none');
    insert into inventory.run (version, session_name) values ('test', 'test');
    insert into inventory.namespace (account_key, namespace_id, name) values (1, 'large', 'large');
    insert into inventory.snapshot (run_id, namespace_key, status, recorded_at, finished_at, with_data)
        values (1, 1, 'complete', now(), now(), 10000000);
    update inventory.namespace set baseline_snapshot = 1, published_snapshot = 1;
    insert into inventory.open_interval (namespace_key, has_stored_data, id)
        select 1, n % 2 = 0, substr(int8send(n) || sha256(int8send(n)), 1, 32) from generate_series(1, 10000000) n;
    analyze inventory.open_interval";

#[tokio::test]
#[ignore = "large: 10,000,000 rows"]
async fn ten_million_rows_are_exported_within_100_mb() {
    let database = fresh_database().await;
    let mut migrate = bare(&["migrate"]);
    migrate.env("DATABASE_URL", database.url());
    assert_eq!(run(migrate).code, Some(0));
    let mut session = PgConnection::connect_with(&database.options).await.unwrap();
    sqlx::raw_sql(FILL).execute(&mut session).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (format, extension) in [(Format::Parquet, "parquet"), (Format::Csv, "csv")] {
        let path = folder.path().join(format!("large.{extension}"));
        let mut export = bare(&["export", "objects", "--output", path.to_str().unwrap()]);
        let mut export = export.env("DATABASE_URL", database.url()).spawn().unwrap();
        let mut peak = 0;
        while export.try_wait().unwrap().is_none() {
            peak = peak_kib(export.id()).unwrap_or(peak);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let ended: Ended = export.wait_with_output().unwrap().into();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(peak > 0 && peak < LIMIT_KIB, "{extension}: {peak} KiB");
        assert_eq!(rows(format, File::open(&path).unwrap()).unwrap().count(), ROWS);
        std::fs::remove_file(path).unwrap();
    }
}

/// The most memory that the process has had resident; `None` when it has ended.
fn peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
