//! The record against a plain model. Through any changes to a namespace, any way of serving it and any prunes in
//! between, the views show for every point in time what a list of maps would.

mod cases;
mod model;
mod pruning;
mod reader;
mod served;
mod views;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cloudflare_simulator::Simulator;
use durable_inventory::cloudflare::{Client, Credentials, Endpoint, Limiter, Pace, RetryPolicy};
use durable_inventory::select::Selection;
use durable_inventory::store::Store;
use durable_inventory::sync::{Account, NamespaceOutcome, Progress, RemovalGuard, Settings, Shutdown, Status, sync};
use durable_inventory::units::Cursors;
use durable_inventory::units::Quota;
use proptest::test_runner::{Config, TestRunner};
use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;

use self::cases::{Case, any_case};
use self::model::{Model, Published};
use self::served::serve;
use crate::support::database::fresh_database;
use crate::support::program::TOKEN;

const SETTINGS: Settings = Settings {
    concurrency: 1,
    cursors: Cursors::Exactly(1),
    resume_within: Duration::from_secs(3600),
    retry_for: Duration::ZERO,
    rebuild: false,
    removal_guard: RemovalGuard {
        max_removed_percent: 30,
        max_removed_floor: 10,
        accept_removals: true, // the model has no held snapshots
    },
};

#[test]
fn the_record_says_of_every_moment_what_the_model_says() {
    check(64);
}

#[test]
#[ignore = "large: many more cases"]
fn the_record_says_of_every_moment_what_the_model_says_in_many_more_cases() {
    check(150);
}

fn check(cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (simulator, database) = runtime.block_on(async { (Simulator::start().await, fresh_database().await) });
    let (store, session) = runtime.block_on(async {
        let store = Store::connect(database.options.clone(), 3).await.unwrap();
        store.migrate().await.unwrap();
        let mut session = PgConnection::connect_with(&database.options).await.unwrap();
        pruning::lay_fuse(&mut session).await;
        (store, session)
    });
    // Each case uses its own account, so that many cases share one database.
    let bench = Bench {
        simulator,
        store,
        session: tokio::sync::Mutex::new(session),
        accounts: AtomicU32::new(0),
    };
    let config = Config {
        cases,
        max_shrink_iters: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&any_case(), |case| {
        runtime.block_on(bench.live_through(&case));
        Ok(())
    });
    runtime.block_on(bench.close());
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

struct Bench {
    simulator: Simulator,
    store: Store,
    session: tokio::sync::Mutex<PgConnection>,
    accounts: AtomicU32,
}

impl Bench {
    /// Syncs after each of the namespace's states, and compares everything recorded so far.
    async fn live_through(&self, case: &Case) {
        let account = format!("{:032x}", self.accounts.fetch_add(1, Ordering::Relaxed));
        self.simulator.add_account(&account, TOKEN);
        let namespace = self.simulator.add_namespace(&account, "chat_Room");
        let mut account = self.account(&account);
        let mut model = Model::default();
        let mut session = self.session.lock().await;
        for (state, way, prune) in case.states() {
            serve(&self.simulator, &namespace, &state, &way);
            account.limit = way.limit;
            let changed_at = OffsetDateTime::now_utc();
            let outcome = self.sync(&account).await;
            let snapshot = views::newest_snapshot(&mut session, &namespace).await;
            assert_eq!(outcome.snapshot_id.map(i64::from), Some(snapshot.snapshot_id));
            model.publish(Published {
                snapshot_id: snapshot.snapshot_id,
                recorded_at: snapshot.recorded_at,
                walk: (snapshot.started_at, snapshot.finished_at),
                state,
            });
            assert!(changed_at <= snapshot.started_at && snapshot.finished_at <= snapshot.recorded_at);
            assert_eq!(outcome.counts, model.newest_counts(), "what the run tells");
            assert_eq!(snapshot.counts, model.newest_counts(), "what the snapshot holds");
            assert_eq!(snapshot.digest, hex::encode(model.newest_digest().to_bytes()));
            assert_eq!(
                (outcome.baseline, snapshot.baseline),
                (model.is_baseline(), model.is_baseline())
            );
            assert_eq!(snapshot.base_snapshot_id, model.base_snapshot());
            compare(&mut session, &namespace, &model).await;
            if let Some(prune) = prune {
                pruning::prune(&self.store, &mut session, &namespace, &mut model, &prune).await;
                compare(&mut session, &namespace, &model).await;
                reader::compare(&self.store, &namespace, &model).await;
            }
        }
        reader::compare(&self.store, &namespace, &model).await;
    }

    async fn sync(&self, account: &Account) -> NamespaceOutcome {
        let accounts = std::slice::from_ref(account);
        let (stop, progress) = (Shutdown::default(), Progress::default());
        let mut summary = sync(&self.store, accounts, &SETTINGS, &stop, &progress).await.unwrap();
        assert!(summary.failed_accounts.is_empty(), "{summary:#?}");
        let outcome = summary.namespaces.pop().unwrap();
        assert_eq!(outcome.status, Status::Complete, "{outcome:#?}");
        outcome
    }

    fn account(&self, id: &str) -> Account {
        let pace = Pace {
            quota: Quota {
                requests: 1_000_000,
                window: Duration::from_secs(1),
            },
            share_percent: 100,
            ..Pace::default()
        };
        let base_url = self.simulator.base_url();
        let endpoint = Endpoint::new(base_url.parse().unwrap(), Credentials::Token(TOKEN.into()));
        Account {
            id: id.parse().unwrap(),
            client: Client::new(
                endpoint,
                Arc::new(Limiter::new(pace)),
                Arc::default(),
                RetryPolicy::default(),
            )
            .unwrap()
            .into(),
            base_url,
            limit: 10,
            selection: Selection::default(),
        }
    }

    /// Closes connections in order, so that the database can be dropped.
    async fn close(self) {
        self.session.into_inner().close().await.unwrap();
        self.store.close().await;
    }
}

/// Compares what the views show of the namespace, at all points in time so far.
async fn compare(session: &mut PgConnection, namespace: &str, model: &Model) {
    assert_eq!(views::objects(session, namespace).await, model.objects());
    let moments = model.moments();
    assert_eq!(views::as_of(session, namespace, &moments).await, model.as_of(&moments));
    assert_eq!(views::changes(session, namespace).await, model.changes());
    let history = views::history(session, namespace).await;
    for pair in history.windows(2).filter(|pair| pair[0].object_id == pair[1].object_id) {
        let (earlier, later) = (&pair[0], &pair[1]);
        let ended = earlier.valid_to.expect("only an object's last interval is open");
        assert!(ended <= later.valid_from, "{earlier:?} overlaps {later:?}");
        assert!(
            ended < later.valid_from || earlier.has_stored_data != later.has_stored_data,
            "{earlier:?} goes on as {later:?}"
        );
    }
    for interval in history {
        assert!(
            interval.valid_to.is_none_or(|to| interval.valid_from < to),
            "{interval:?}"
        );
    }
}
