//! Walks driven step by step against a store, without a service, in orders that the program itself never produces.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use durable_inventory::model::{Change, Namespace, ObjectId, Observation, State};
use durable_inventory::store::{Checkpoint, Lease, LockConnection, ProvenWalk, Store, Walk};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::database::{TestDatabase, fresh_database};
use super::program::ACCOUNT;

/// A namespace's objects, keyed by the byte that fills their id.
pub type Seen = BTreeMap<u8, Option<bool>>;

pub struct Bench {
    pub store: Store,
    pub admin: PgConnection,
    /// The keys of the namespaces; all belong to the only account.
    pub keys: Vec<i32>,
    pub run: i64,
    database: TestDatabase,
}

impl Bench {
    pub async fn new(namespaces: u8) -> Self {
        let database = fresh_database().await;
        let store = Store::connect(database.options.clone(), 3).await.unwrap();
        store.migrate().await.unwrap();
        let account = store
            .register_account(&ACCOUNT.parse().unwrap(), "http://127.0.0.1")
            .await
            .unwrap();
        let listed: Vec<_> = (1..=namespaces).map(namespace).collect();
        store.record_listing(account, &listed).await.unwrap();
        let recorded = store.namespaces_of_account(account).await.unwrap();
        Self {
            run: store.begin_run().await.unwrap(),
            keys: recorded.iter().map(|namespace| namespace.key).collect(),
            admin: PgConnection::connect_with(&database.options).await.unwrap(),
            store,
            database,
        }
    }

    /// A second store on the same database, as another program would open it.
    pub async fn another_store(&self) -> Store {
        Store::connect(self.options(), 3).await.unwrap()
    }

    /// Acquires the namespace's lease on a connection of its own.
    pub async fn acquire(&self, at: usize) -> Lease {
        acquire(&self.store, self.keys[at]).await
    }

    pub async fn begun(&self, lease: &Lease) -> Walk {
        Walk::begin(lease.clone(), self.run, false).await.unwrap()
    }

    /// Runs a walk to its end and returns it ready for publication.
    pub async fn walked(&self, lease: &Lease, seen: &Seen) -> ProvenWalk {
        let mut walk = self.begun(lease).await;
        let recorded = match walk.base() {
            Some(_) => lease.recorded_rows(None, 1_000).await.unwrap(),
            None => Vec::new(), // a baseline's rows in the table are the walk's own
        };
        let mut page = walk.begin_page().await.unwrap();
        let observed: Vec<_> = seen.iter().map(|(id, flag)| observation(*id, *flag)).collect();
        let changes = changes(&recorded, &observed);
        let mut next = Checkpoint {
            all_pages_read: true,
            compared_through: Some(ObjectId::MAX),
            ..walk.checkpoint().clone()
        };
        for row in &observed {
            next.counts.observe(row.data);
            next.digest.add(row);
        }
        for change in &changes {
            next.change_digest.apply(change);
            if walk.base().is_some() {
                next.counts.change(change.old, change.new);
            }
        }
        page.stage(&changes).await.unwrap();
        walk.commit(page, next).await.unwrap();
        walk.prove().unwrap()
    }

    /// Runs a walk that the removal_guard holds and returns its snapshot.
    pub async fn held(&self, lease: &Lease, seen: &Seen) -> i32 {
        let walk = self.walked(lease, seen).await;
        let snapshot_id = walk.walk().snapshot_id();
        walk.hold("why").await.unwrap();
        snapshot_id
    }

    pub async fn reloaded(&self, lease: &Lease, snapshot_id: i32) -> ProvenWalk {
        ProvenWalk::held(lease.clone(), snapshot_id).await.unwrap().unwrap()
    }

    pub async fn published(&self, lease: &Lease, seen: &Seen) {
        self.walked(lease, seen).await.publish().await.unwrap();
    }

    pub async fn status(&mut self, snapshot_id: i32) -> String {
        let status = "select status from inventory.snapshot where snapshot_id = $1";
        sqlx::query_scalar(status)
            .bind(snapshot_id)
            .fetch_one(&mut self.admin)
            .await
            .unwrap()
    }

    pub fn options(&self) -> PgConnectOptions {
        self.database.options.clone()
    }

    /// Ends every session that holds the namespace's lock.
    pub async fn end_lock_session(&mut self, at: usize) {
        let end = "select pg_terminate_backend(l.pid, 10000) from pg_locks l
                   where l.locktype = 'advisory' and l.objid::int = $1
                     and l.database = (select oid from pg_database where datname = current_database())";
        let ended: Vec<bool> = sqlx::query_scalar(end)
            .bind(self.keys[at])
            .fetch_all(&mut self.admin)
            .await
            .unwrap();
        assert_eq!(ended, [true]);
    }

    /// Waits until `sessions` sessions wait for a lock.
    pub async fn until_waiting(&mut self, sessions: i64) {
        let waits = "select count(*) from pg_stat_activity
                     where datname = current_database() and wait_event_type = 'Lock'";
        self.until(waits, sessions).await;
    }

    /// Waits until the sessions of all other programs have ended.
    pub async fn until_alone(&mut self) {
        let programs = "select count(distinct application_name) from pg_stat_activity
                        where datname = current_database() and application_name like 'durable-inventory %'";
        self.until(programs, 1).await;
    }

    async fn until(&mut self, count: &'static str, wanted: i64) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let found: i64 = sqlx::query_scalar(count).fetch_one(&mut self.admin).await.unwrap();
            if found == wanted {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{found} are there, not {wanted}, of: {count}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Returns every row of the record's tables.
    pub async fn everything(&mut self) -> Vec<String> {
        let all = "select t::text from inventory.namespace t union all select t::text from inventory.snapshot t
                   union all select t::text from inventory.open_interval t
                   union all select t::text from inventory.closed_interval t
                   union all select t::text from inventory.staged_change t
                   union all select t::text from inventory.store t order by 1";
        sqlx::query_scalar(all).fetch_all(&mut self.admin).await.unwrap()
    }

    pub async fn execute(&mut self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.admin).await.unwrap();
    }
}

pub async fn acquire(store: &Store, namespace_key: i32) -> Lease {
    let connection = LockConnection::open(store).await.unwrap();
    connection.try_acquire(namespace_key).await.unwrap().unwrap()
}

pub fn seen<const N: usize>(rows: [(u8, Option<bool>); N]) -> Seen {
    rows.into_iter().collect()
}

fn namespace(n: u8) -> Namespace {
    Namespace {
        id: format!("{n:032x}").parse().unwrap(),
        name: None,
        script: None,
        class: None,
        use_sqlite: None,
        preview: None,
    }
}

fn observation(id: u8, flag: Option<bool>) -> Observation {
    Observation {
        id: ObjectId::from_bytes([id; 32]),
        data: flag.into(),
    }
}

fn changes(stored: &[Observation], observed: &[Observation]) -> Vec<Change> {
    let mut states: BTreeMap<[u8; 32], (State, State)> = BTreeMap::new();
    for row in stored {
        states.insert(*row.id.as_bytes(), (row.data.into(), State::Absent));
    }
    for row in observed {
        states
            .entry(*row.id.as_bytes())
            .or_insert((State::Absent, State::Absent))
            .1 = row.data.into();
    }
    let all = states.into_iter().map(|(id, (old, new))| Change {
        id: ObjectId::from_bytes(id),
        old,
        new,
    });
    all.filter(|change| change.old != change.new).collect()
}
