//! Records with a past. Snapshots are written as if a sync had run at the start of each day, so that daily figures
//! don't depend on when a test runs.

use durable_inventory::store::Store;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, Ended, bare, run};

/// The counts of a snapshot from some days ago.
#[derive(Debug, Clone, Copy, Default)]
pub struct Was {
    pub days_ago: i32,
    pub objects: i64,
    pub with_data: i64,
    pub created: i64,
    pub removed: i64,
}

pub struct Record {
    pub database: TestDatabase,
    pub session: PgConnection,
}

impl Record {
    pub async fn new() -> Self {
        let database = fresh_database().await;
        let store = Store::connect(database.options.clone(), 1).await.unwrap();
        store.migrate().await.unwrap();
        store.close().await;
        let session = PgConnection::connect_with(&database.options).await.unwrap();
        let mut record = Self { database, session };
        record.account(ACCOUNT).await;
        let run = "insert into inventory.run (started_at, finished_at, outcome, version, session_name)
                   values (date_trunc('day', now()), date_trunc('day', now()), 'partial', 'test', 'test')";
        record.sql(run).await;
        record
    }

    pub async fn account(&mut self, id: &str) {
        sqlx::query("insert into inventory.account (account_id, api_base_url) values ($1, 'http://127.0.0.1')")
            .bind(id)
            .execute(&mut self.session)
            .await
            .unwrap();
    }

    pub async fn sql(&mut self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut self.session)
            .await
            .unwrap();
    }

    /// Adds a namespace with these snapshots, oldest first. Its id is derived from its name.
    pub async fn namespace(&mut self, account: &str, name: &str, past: &[Was]) -> i32 {
        let id = format!("{:x}", id_of(name));
        let (script, class) = name.split_once('_').unwrap_or((name, name));
        let key: i32 = sqlx::query_scalar(
            "insert into inventory.namespace (account_key, namespace_id, name, script, class, first_seen_at)
             select account_key, $2, $3, $4, $5, now() - interval '200 days' from inventory.account
             where account_id = $1 returning namespace_key",
        )
        .bind(account)
        .bind(&id)
        .bind(name)
        .bind(script)
        .bind(class)
        .fetch_one(&mut self.session)
        .await
        .unwrap();
        self.snapshots(key, past).await;
        key
    }

    async fn snapshots(&mut self, key: i32, past: &[Was]) {
        let column = |of: fn(&Was) -> i64| past.iter().map(of).collect::<Vec<_>>();
        sqlx::query(
            "insert into inventory.snapshot (run_id, namespace_key, status, started_at, finished_at, recorded_at,
                                             pages, with_data, without_data, created, removed)
             select (select max(run_id) from inventory.run), $1, 'complete', at, at,
                    at + ($1 * 10000 + n) * interval '1 microsecond', 1, with_data, objects - with_data, created, removed
             from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
                  with ordinality as past (days_ago, objects, with_data, created, removed, n)
             cross join lateral (select date_trunc('day', now()) - days_ago * interval '1 day' as at) a
             order by n",
        )
        .bind(key)
        .bind(column(|was| i64::from(was.days_ago)))
        .bind(column(|was| was.objects))
        .bind(column(|was| was.with_data))
        .bind(column(|was| was.created))
        .bind(column(|was| was.removed))
        .execute(&mut self.session)
        .await
        .unwrap();
        sqlx::query(
            "with chain as (
                 select snapshot_id, lag(snapshot_id) over (order by snapshot_id) as base
                 from inventory.snapshot where namespace_key = $1),
             based as (
                 update inventory.snapshot s set base_snapshot = chain.base from chain
                 where s.snapshot_id = chain.snapshot_id)
             update inventory.namespace set
                 baseline_snapshot = (select min(snapshot_id) from chain),
                 published_snapshot = (select max(snapshot_id) from chain)
             where namespace_key = $1",
        )
        .bind(key)
        .execute(&mut self.session)
        .await
        .unwrap();
    }

    /// Adds namespaces in which every snapshot has changes.
    pub async fn many(&mut self, namespaces: i32, snapshots: i32) {
        self.sql(&format!(
            "insert into inventory.namespace (account_key, namespace_id, name, script, class)
             select 1, md5(n::text), 'worker-' || n || '_Room', 'worker-' || n, 'Room'
             from generate_series(1, {namespaces}) n;
             insert into inventory.snapshot (run_id, namespace_key, status, finished_at, recorded_at, pages, with_data,
                                             without_data, created, removed)
             select 1, namespace_key, 'complete', now(), now() - namespace_key * interval '1 second' - s * interval '1 hour',
                    1, 5000 + s * 7 % 911, 1000 + s * 5 % 501, 100 + s % 50, 90 + s % 40
             from inventory.namespace cross join generate_series(1, {snapshots}) s order by namespace_key, s;
             update inventory.snapshot s set base_snapshot = s.snapshot_id - 1
             where exists (select from inventory.snapshot b where b.snapshot_id = s.snapshot_id - 1
                           and b.namespace_key = s.namespace_key);
             update inventory.namespace n set
                 baseline_snapshot = (select min(snapshot_id) from inventory.snapshot s
                                      where s.namespace_key = n.namespace_key),
                 published_snapshot = (select max(snapshot_id) from inventory.snapshot s
                                       where s.namespace_key = n.namespace_key)"
        ))
        .await;
    }

    /// Adds a walk from today that was not published.
    pub async fn unpublished(&mut self, key: i32, status: &str, error: &str) {
        sqlx::query(
            "insert into inventory.snapshot (run_id, namespace_key, status, base_snapshot, finished_at, with_data,
                                             removed, error)
             select max(run_id), $1, $2, (select published_snapshot from inventory.namespace where namespace_key = $1),
                    now(), 7, 1000, $3
             from inventory.run",
        )
        .bind(key)
        .bind(status)
        .bind(error)
        .execute(&mut self.session)
        .await
        .unwrap();
    }

    /// Runs `report` as its users do, with its output through a pipe.
    pub fn report(&self, args: &[&str]) -> Ended {
        let mut command = bare(&[&["report", "--quiet"], args].concat());
        command.env("DATABASE_URL", self.database.url()).env("LANG", "C.UTF-8");
        run(command)
    }
}

/// Derives 32 hex digits from a name, as an id.
pub fn id_of(name: &str) -> u128 {
    name.bytes()
        .fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash: u128, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        })
}

/// One snapshot per day, `from` days ago to `to` days ago.
pub fn days(from: i32, to: i32, count: impl Fn(i64) -> i64, with_data: f64, churn: i64) -> Vec<Was> {
    let mut past: Vec<Was> = Vec::new();
    for days_ago in (to..=from).rev() {
        let objects = count(i64::from(from - days_ago));
        let grown = past.last().map_or(0, |before| objects - before.objects);
        let churn = if past.is_empty() { 0 } else { churn };
        past.push(Was {
            days_ago,
            objects,
            with_data: (objects as f64 * with_data) as i64,
            created: churn + grown.max(0),
            removed: churn + (-grown).max(0),
        });
    }
    past
}

/// A record with every case that a report distinguishes.
pub async fn everything() -> Record {
    let mut record = Record::new().await;
    let weekly = |day: i64| [0, 40, 95, 160, 180, 120, 30][day as usize % 7];
    let room = days(119, 0, |d| 82_000 + d * 140 + weekly(d) * 9 + (d * d) / 3, 0.61, 310);
    record.namespace(ACCOUNT, "chat_ChatRoom", &room).await;
    let session = days(119, 0, |d| 10_000 + weekly(d + 3) * 3, 0.6, 900);
    record.namespace(ACCOUNT, "login_Session", &session).await;
    let leaders = days(119, 0, |d| 2_200 + d * 3, 0.574, 12);
    record.namespace(ACCOUNT, "game_Leaderboard", &leaders).await;
    let cart = days(119, 0, |d| 900 + d * 4 + if d == 119 { 2_600 } else { 0 }, 0.42, 25);
    record.namespace(ACCOUNT, "shop_Cart", &cart).await;
    let ledger = days(119, 1, |d| 5_200 - d * 2, 0.97, 8);
    let ledger = record.namespace(ACCOUNT, "billing_Ledger", &ledger).await;
    record
        .unpublished(
            ledger,
            "held",
            "This snapshot would remove 1,950 of 4,964 objects. Publish it: `durable-inventory snapshots accept 42` \
             Drop it: `durable-inventory snapshots discard 42`",
        )
        .await;
    let search = days(119, 1, |d| 1_400 + d * 5, 0.8, 3);
    let search = record.namespace(ACCOUNT, "search_Index", &search).await;
    record
        .unpublished(search, "failed", "no cursor in the expected place")
        .await;
    let outbox = days(119, 5, |d| 300 + weekly(d), 0.5, 60);
    let outbox = record.namespace(ACCOUNT, "mail_Outbox", &outbox).await;
    record
        .unpublished(outbox, "interrupted", "no answer for 15 minutes: connection reset")
        .await;
    let young = days(11, 0, |d| 40 + d * 22, 0.9, 1);
    record.namespace(ACCOUNT, "jobs_Queue", &young).await;
    record
        .namespace(ACCOUNT, "docs_Archive", &days(60, 0, |_| 0, 0.0, 0))
        .await;
    record.namespace(ACCOUNT, "new_Presence", &[]).await;
    for (name, objects) in [("shop_Cart_pr-1", 12), ("shop_Cart_pr-2", 0)] {
        let key = record
            .namespace(ACCOUNT, name, &days(50, 20, |_| objects, 0.5, 0))
            .await;
        record
            .sql(&format!(
                "update inventory.namespace set missing_since = date_trunc('day', now()) - interval '20 days'
                 where namespace_key = {key}"
            ))
            .await;
    }
    record
}
