//! Publication by hand: what it checks before anything is visible, and the one clock that it sets.

use std::time::Duration;

use durable_inventory::model::Counts;
use durable_inventory::store::{Fence, LockSession, ProvenWalk, Published, Store, StoreError};
use sqlx::Connection;
use time::OffsetDateTime;
use tokio::task::JoinHandle;

use crate::support::bench::{Bench, Seen, seen};

const HOUR: Duration = Duration::from_secs(3600);

fn before() -> Seen {
    seen([(1, None), (2, Some(true)), (3, Some(false))])
}

/// One object goes, one changes, one comes.
fn after() -> Seen {
    seen([(2, Some(true)), (3, Some(true)), (4, None)])
}

/// A namespace with a record, and its lock.
async fn recorded() -> (Bench, LockSession, Fence) {
    let bench = Bench::new(1).await;
    let locks = LockSession::open(&bench.store).await.unwrap();
    let fence = bench.take(&locks, 0).await;
    bench.published(fence, &before()).await;
    (bench, locks, fence)
}

impl Bench {
    async fn is_inconsistent(&mut self, fence: Fence, walk: &ProvenWalk, what: &str) {
        let before = self.everything().await;
        match self.store.publish(fence, walk).await {
            Err(StoreError::Inconsistent { what: told }) => assert!(told.contains(what), "{what}: {told}"),
            answer => panic!("{what}: {answer:?}"),
        }
        assert_eq!(self.everything().await, before, "{what}");
    }

    async fn clock(&mut self) -> OffsetDateTime {
        let clock = "select clock_timestamp()";
        sqlx::query_scalar(clock).fetch_one(&mut self.admin).await.unwrap()
    }
}

fn in_the_background(store: &Store, fence: Fence, walk: ProvenWalk) -> JoinHandle<Published> {
    let store = store.clone();
    tokio::spawn(async move { store.publish(fence, &walk).await.unwrap() })
}

fn recorded_at(published: Published) -> OffsetDateTime {
    match published {
        Published::Complete(at) => at,
        other => panic!("{other:?}"),
    }
}

/// Each statement is held against what the walk counted, by itself.
#[tokio::test]
async fn rows_that_are_not_what_the_walk_counted_publish_nothing() {
    type Miscount = fn(&mut Counts);
    let miscounts: [(Miscount, &str); 4] = [
        (|counts| counts.removed += 1, "closed"),
        (|counts| counts.data_known += 1, "closed"),
        (|counts| (counts.removed, counts.data_gained) = (0, 2), "removed"),
        (|counts| counts.created += 1, "created"),
    ];
    let (mut bench, _locks, fence) = recorded().await;
    let walk = bench.walked(fence, &after()).await;
    for (miscount, what) in miscounts {
        let mut counts = walk.counts;
        miscount(&mut counts);
        let walk = ProvenWalk { counts, ..walk };
        bench.is_inconsistent(fence, &walk, what).await;
    }
    recorded_at(bench.store.publish(fence, &walk).await.unwrap());
}

#[tokio::test]
async fn a_record_that_was_changed_under_a_walk_is_noticed() {
    let (mut bench, _locks, fence) = recorded().await;
    let walk = bench.walked(fence, &after()).await;
    bench
        .execute("update inventory.open_interval set has_stored_data = null where has_stored_data = false")
        .await;
    bench.is_inconsistent(fence, &walk, "closed").await;
    // A flip that was staged of something else: its row is there to be changed, but not to be closed.
    bench
        .execute(
            "update inventory.open_interval set has_stored_data = false where id = decode(repeat('03', 32), 'hex');
                  insert into inventory.staged_change select max(snapshot_id), decode(repeat('02', 32), 'hex'), 1, 2
                  from inventory.snapshot",
        )
        .await;
    bench.is_inconsistent(fence, &walk, "changed").await;
}

#[tokio::test]
async fn a_walk_whose_base_is_no_longer_published_is_told_so() {
    let (mut bench, _locks, fence) = recorded().await;
    let held = bench.walked(fence, &after()).await;
    bench.store.hold(fence, held.snapshot_id, "why").await.unwrap();
    let left = bench.store.begin_walk(fence, bench.run, false).await.unwrap();
    bench.store.interrupt(fence, left.snapshot_id, "why", 0).await.unwrap();
    recorded_at(bench.store.publish(fence, &held).await.unwrap());
    // Its changes were applied: their rows are not there a second time, but the base is what is told of.
    let before = bench.everything().await;
    let again = bench.store.publish(fence, &held).await.unwrap();
    assert_eq!(again, Published::BaseIsStale);
    assert_eq!(bench.everything().await, before);

    let next = bench.store.open_walk(fence, bench.run, HOUR).await.unwrap();
    assert_ne!(
        next.snapshot_id, left.snapshot_id,
        "the walk began before the publication"
    );
    assert_eq!(next.checkpoint.resumed, 0);
    let status = bench.store.snapshot_status(left.snapshot_id).await.unwrap();
    assert_eq!(status, "superseded");
}

/// What was asked at the start is asked again when no one can change it any more.
#[tokio::test]
async fn a_base_that_changes_while_changes_are_applied_is_noticed() {
    let (mut bench, _locks, fence) = recorded().await;
    let walk = bench.walked(fence, &after()).await;
    let mut blocker = sqlx::PgConnection::connect_with(&bench.options()).await.unwrap();
    let mut block = blocker.begin().await.unwrap();
    sqlx::raw_sql("select from inventory.open_interval for update")
        .execute(&mut *block)
        .await
        .unwrap();
    let publication = in_the_background(&bench.store, fence, walk);
    bench.until_waiting(1).await;
    bench
        .execute(
            "update inventory.namespace set published_snapshot = (select max(snapshot_id) from inventory.snapshot)",
        )
        .await;
    block.rollback().await.unwrap();
    assert_eq!(publication.await.unwrap(), Published::BaseIsStale);
}

#[tokio::test]
async fn a_clock_that_was_set_back_goes_on_by_microseconds() {
    let (mut bench, _locks, fence) = recorded().await;
    bench
        .execute("update inventory.store set last_recorded_at = '2099-01-01 00:00:00Z'")
        .await;
    let ahead: OffsetDateTime = sqlx::query_scalar("select last_recorded_at from inventory.store")
        .fetch_one(&mut bench.admin)
        .await
        .unwrap();
    for n in 1..=2 {
        let walk = bench.walked(fence, &if n == 1 { after() } else { before() }).await;
        let at = recorded_at(bench.store.publish(fence, &walk).await.unwrap());
        assert_eq!(at - ahead, time::Duration::microseconds(n));
    }
}

/// A reader holds the lock while it looks: what it did not see is recorded after the moment that it knows.
#[tokio::test]
async fn the_clock_is_read_when_no_reader_is_in_the_way_any_more() {
    let (mut bench, _locks, fence) = recorded().await;
    let walk = bench.walked(fence, &after()).await;
    let mut reader = sqlx::PgConnection::connect_with(&bench.options()).await.unwrap();
    let mut look = reader.begin().await.unwrap();
    sqlx::raw_sql("select pg_advisory_xact_lock_shared(x'64696e76'::int, 0)")
        .execute(&mut *look)
        .await
        .unwrap();
    let publication = in_the_background(&bench.store, fence, walk);
    bench.until_waiting(1).await;
    let known = bench.clock().await;
    look.rollback().await.unwrap();
    assert!(recorded_at(publication.await.unwrap()) > known);
}

/// `not_after` bounds when a change happened: by the walk, however late it was decided about.
#[tokio::test]
async fn a_held_walks_end_is_not_its_publication() {
    let (mut bench, _locks, fence) = recorded().await;
    let held = bench.walked(fence, &after()).await;
    bench.store.hold(fence, held.snapshot_id, "why").await.unwrap();
    let decided = bench.clock().await;
    recorded_at(bench.store.publish(fence, &held).await.unwrap());
    let not_after = "select distinct not_after from inventory.changes";
    let not_after: OffsetDateTime = sqlx::query_scalar(not_after).fetch_one(&mut bench.admin).await.unwrap();
    assert!(not_after < decided);
}

#[tokio::test]
async fn what_is_no_walk_of_this_program_is_not_resumed() {
    let (mut bench, _locks, fence) = recorded().await;
    let store = bench.store.clone();
    let retirement = store.stage_retirement(fence, bench.run).await.unwrap();
    let next = store.open_walk(fence, bench.run, HOUR).await.unwrap();
    assert_ne!(next.snapshot_id, retirement.snapshot_id, "a retirement is no walk");

    bench
        .execute("update inventory.snapshot set digest_version = 0 where status = 'running'")
        .await;
    let last = store.open_walk(fence, bench.run, HOUR).await.unwrap();
    assert_ne!(last.snapshot_id, next.snapshot_id, "its digest can't be gone on with");
}

#[tokio::test]
async fn a_publication_supersedes_what_was_held() {
    let (mut bench, _locks, fence) = recorded().await;
    let held = bench.walked(fence, &seen([])).await;
    bench.store.hold(fence, held.snapshot_id, "why").await.unwrap();
    bench.published(fence, &after()).await;
    let status = bench.store.snapshot_status(held.snapshot_id).await.unwrap();
    assert_eq!(status, "superseded");
    let staged: i64 = sqlx::query_scalar("select count(*) from inventory.staged_change")
        .fetch_one(&mut bench.admin)
        .await
        .unwrap();
    assert_eq!(staged, 0);
}

/// A namespace may have millions.
#[tokio::test]
async fn a_walk_begins_without_a_look_at_the_objects() {
    let mut bench = Bench::new(1).await;
    let locks = LockSession::open(&bench.store).await.unwrap();
    let fence = bench.take(&locks, 0).await;
    bench.published(fence, &before()).await;
    bench
        .execute(
            "insert into inventory.open_interval (namespace_key, id)
             select namespace_key, sha256(n::text::bytea) from inventory.namespace, generate_series(1, 20000) n",
        )
        .await;
    let other = bench.another_store().await;
    other.begin_walk(fence, bench.run, false).await.unwrap();
    other.stored_rows(fence, None, 5).await.unwrap();
    // What a session has read is counted when it ends.
    other.close().await;
    bench.until_alone().await;
    let read = "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables
                where schemaname = 'inventory' and relname = 'open_interval'";
    let read: i64 = sqlx::query_scalar(read).fetch_one(&mut bench.admin).await.unwrap();
    assert!(
        (5..20).contains(&read),
        "{read} rows were read, five of them on purpose"
    );
}
