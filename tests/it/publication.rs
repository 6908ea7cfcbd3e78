//! Publication, driven by hand: the checks before anything becomes visible, and the clock that it sets.

use std::time::Duration;

use durable_inventory::store::{Ending, Lease, ProvenWalk, PublishError, StoreError, Unpublished, Walk};
use sqlx::Connection;
use time::OffsetDateTime;
use tokio::task::JoinHandle;

use crate::support::bench::{Bench, Seen, acquire, seen};

const HOUR: Duration = Duration::from_secs(3600);

fn before() -> Seen {
    seen([(1, None), (2, Some(true)), (3, Some(false))])
}

/// One object is removed, one changed and one added.
fn after() -> Seen {
    seen([(2, Some(true)), (3, Some(true)), (4, None)])
}

/// A namespace with a record, and its lease.
async fn recorded() -> (Bench, Lease) {
    let bench = Bench::new(1).await;
    let lease = bench.acquire(0).await;
    bench.published(&lease, &before()).await;
    (bench, lease)
}

impl Bench {
    async fn is_inconsistent(&mut self, walk: ProvenWalk, what: &str) {
        let before = self.everything().await;
        match walk.publish().await.map_err(|unpublished| unpublished.why) {
            Err(PublishError::Store(StoreError::Inconsistent { what: told })) => {
                assert!(told.contains(what), "{what}: {told}");
            }
            answer => panic!("{what}: {answer:?}"),
        }
        assert_eq!(self.everything().await, before, "{what}");
    }

    async fn set(&mut self, snapshot_id: i32, columns: &str) {
        let update = format!("update inventory.snapshot set {columns} where snapshot_id = {snapshot_id}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(update))
            .execute(&mut self.admin)
            .await
            .unwrap();
    }

    async fn clock(&mut self) -> OffsetDateTime {
        let clock = "select clock_timestamp()";
        sqlx::query_scalar(clock).fetch_one(&mut self.admin).await.unwrap()
    }
}

fn in_the_background(walk: ProvenWalk) -> JoinHandle<Result<OffsetDateTime, Box<Unpublished>>> {
    tokio::spawn(walk.publish())
}

/// Each statement's row count is checked separately against the walk's counts.
#[tokio::test]
async fn rows_that_are_not_what_the_walk_counted_publish_nothing() {
    let miscounts = [
        ("removed = removed + 1", "removed = removed - 1", "closed"),
        ("data_known = data_known + 1", "data_known = data_known - 1", "closed"),
        (
            "removed = 0, data_gained = 2",
            "removed = 1, data_gained = 1",
            "removed",
        ),
        ("created = created + 1", "created = created - 1", "created"),
    ];
    let (mut bench, lease) = recorded().await;
    let snapshot_id = bench.held(&lease, &after()).await;
    for (miscount, undo, what) in miscounts {
        bench.set(snapshot_id, miscount).await;
        let walk = bench.reloaded(&lease, snapshot_id).await;
        bench.is_inconsistent(walk, what).await;
        bench.set(snapshot_id, undo).await;
    }
    bench.reloaded(&lease, snapshot_id).await.publish().await.unwrap();
}

#[tokio::test]
async fn a_record_that_was_changed_under_a_walk_is_noticed() {
    let (mut bench, lease) = recorded().await;
    let snapshot_id = bench.held(&lease, &after()).await;
    bench
        .execute("update inventory.open_interval set has_stored_data = null where has_stored_data = false")
        .await;
    let walk = bench.reloaded(&lease, snapshot_id).await;
    bench.is_inconsistent(walk, "closed").await;
    // A staged flip with a different previous state: the row exists and can be changed, but not closed.
    bench
        .execute(
            "update inventory.open_interval set has_stored_data = false where id = decode(repeat('03', 32), 'hex');
                  insert into inventory.staged_change select max(snapshot_id), decode(repeat('02', 32), 'hex'), 1, 2
                  from inventory.snapshot",
        )
        .await;
    let walk = bench.reloaded(&lease, snapshot_id).await;
    bench.is_inconsistent(walk, "changed").await;
}

#[tokio::test]
async fn a_walk_whose_base_is_no_longer_published_is_told_so() {
    let (mut bench, lease) = recorded().await;
    let held = bench.held(&lease, &after()).await;
    let left = bench.begun(&lease).await;
    let left_id = left.snapshot_id();
    left.end(Ending::Interrupted, "why", 0).await.unwrap();
    let again = bench.reloaded(&lease, held).await;
    bench.reloaded(&lease, held).await.publish().await.unwrap();
    // Its changes were applied, so their rows can't be there a second time. The error still names the base.
    let before = bench.everything().await;
    let refused = again.publish().await.unwrap_err();
    assert!(matches!(refused.why, PublishError::BaseIsStale), "{refused:?}");
    assert_eq!(bench.everything().await, before);

    let next = Walk::open(lease, bench.run, HOUR).await.unwrap();
    assert_ne!(next.snapshot_id(), left_id, "the walk began before the publication");
    assert_eq!(next.checkpoint().resumed, 0);
    assert_eq!(bench.status(left_id).await, "superseded");
}

/// The check at the start is repeated once nobody can change the base any more.
#[tokio::test]
async fn a_base_that_changes_while_changes_are_applied_is_noticed() {
    let (mut bench, lease) = recorded().await;
    let walk = bench.walked(&lease, &after()).await;
    let mut blocker = sqlx::PgConnection::connect_with(&bench.options()).await.unwrap();
    let mut block = blocker.begin().await.unwrap();
    sqlx::raw_sql("select from inventory.open_interval for update")
        .execute(&mut *block)
        .await
        .unwrap();
    let publication = in_the_background(walk);
    bench.until_waiting(1).await;
    bench
        .execute(
            "update inventory.namespace set published_snapshot = (select max(snapshot_id) from inventory.snapshot)",
        )
        .await;
    block.rollback().await.unwrap();
    let refused = publication.await.unwrap().unwrap_err();
    assert!(matches!(refused.why, PublishError::BaseIsStale), "{refused:?}");
}

#[tokio::test]
async fn a_clock_that_was_set_back_goes_on_by_microseconds() {
    let (mut bench, lease) = recorded().await;
    bench
        .execute("update inventory.store set last_recorded_at = '2099-01-01 00:00:00Z'")
        .await;
    let ahead: OffsetDateTime = sqlx::query_scalar("select last_recorded_at from inventory.store")
        .fetch_one(&mut bench.admin)
        .await
        .unwrap();
    for n in 1..=2 {
        let walk = bench.walked(&lease, &if n == 1 { after() } else { before() }).await;
        let at = walk.publish().await.unwrap();
        assert_eq!(at - ahead, time::Duration::microseconds(n));
    }
}

/// A reader holds the lock while it reads. Anything that it did not see is recorded at a later time than the reader's.
#[tokio::test]
async fn the_clock_is_read_when_no_reader_is_in_the_way_any_more() {
    let (mut bench, lease) = recorded().await;
    let walk = bench.walked(&lease, &after()).await;
    let mut reader = sqlx::PgConnection::connect_with(&bench.options()).await.unwrap();
    let mut look = reader.begin().await.unwrap();
    sqlx::raw_sql("select pg_advisory_xact_lock_shared(x'64696e76'::int, 0)")
        .execute(&mut *look)
        .await
        .unwrap();
    let publication = in_the_background(walk);
    bench.until_waiting(1).await;
    let known = bench.clock().await;
    look.rollback().await.unwrap();
    assert!(publication.await.unwrap().unwrap() > known);
}

/// `not_after` bounds the time of a change by the walk's end, however late the decision came.
#[tokio::test]
async fn a_held_walks_end_is_not_its_publication() {
    let (mut bench, lease) = recorded().await;
    let held = bench.held(&lease, &after()).await;
    let decided = bench.clock().await;
    bench.reloaded(&lease, held).await.publish().await.unwrap();
    let not_after = "select distinct not_after from inventory.changes";
    let not_after: OffsetDateTime = sqlx::query_scalar(not_after).fetch_one(&mut bench.admin).await.unwrap();
    assert!(not_after < decided);
}

#[tokio::test]
async fn what_is_no_walk_of_this_program_is_not_resumed() {
    let (mut bench, lease) = recorded().await;
    let retirement = lease.stage_retirement(bench.run).await.unwrap();
    let next = Walk::open(lease.clone(), bench.run, HOUR).await.unwrap();
    let next_id = next.snapshot_id();
    assert_ne!(next_id, retirement.walk().snapshot_id(), "a retirement is no walk");

    bench
        .execute("update inventory.snapshot set digest_version = 0 where status = 'running'")
        .await;
    let last = Walk::open(lease, bench.run, HOUR).await.unwrap();
    assert_ne!(last.snapshot_id(), next_id, "its digest can't be continued");
}

#[tokio::test]
async fn a_publication_supersedes_what_was_held() {
    let (mut bench, lease) = recorded().await;
    let held = bench.held(&lease, &seen([])).await;
    bench.published(&lease, &after()).await;
    assert_eq!(bench.status(held).await, "superseded");
    let staged: i64 = sqlx::query_scalar("select count(*) from inventory.staged_change")
        .fetch_one(&mut bench.admin)
        .await
        .unwrap();
    assert_eq!(staged, 0);
}

/// A namespace may have millions of objects.
#[tokio::test]
async fn a_walk_begins_without_a_look_at_the_objects() {
    let mut bench = Bench::new(1).await;
    let lease = bench.acquire(0).await;
    bench.published(&lease, &before()).await;
    lease.release().await.unwrap();
    bench
        .execute(
            "insert into inventory.open_interval (namespace_key, id)
             select namespace_key, sha256(n::text::bytea) from inventory.namespace, generate_series(1, 20000) n",
        )
        .await;
    let other = bench.another_store().await;
    let lease = acquire(&other, bench.keys[0]).await;
    bench.begun(&lease).await;
    lease.recorded_rows(None, 5).await.unwrap();
    lease.release().await.unwrap();
    // A session's reads are counted when it ends.
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
