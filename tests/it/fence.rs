//! The lock and its fence, write by write: a program that lost a namespace's lock can't change the namespace any more.

use std::pin::pin;
use std::time::Duration;

use durable_inventory::model::{Change, ObjectId, State};
use durable_inventory::store::{Ending, LockConnection, LockManager, PublishError, StoreError, Walk};

use sqlx::{Connection, PgConnection};

use crate::support::bench::{Bench, acquire, seen};
use crate::support::polled::polled;

const HOUR: Duration = Duration::from_secs(3600);

impl Bench {
    async fn refused<T>(&mut self, before: &[String], doing: &str, answer: Result<T, StoreError>) {
        let refused = matches!(answer, Err(StoreError::FenceLost));
        assert!(refused, "{doing}: {:?}", answer.map(drop));
        assert_eq!(self.everything().await, before, "{doing}: something was written");
    }

    /// Makes the next holder end no sessions, so that only the fence protects the namespace.
    async fn forget_holder(&mut self) {
        self.execute("update inventory.namespace set locked_by = null").await;
    }
}

#[tokio::test]
async fn a_walk_whose_lock_was_taken_over_writes_nothing_more() {
    let mut bench = Bench::new(1).await;
    let run = bench.run;
    let old = bench.acquire(0).await;
    bench.published(&old, &seen([(1, None), (2, Some(true))])).await;
    let proven = bench.walked(&old, &seen([(2, Some(false)), (3, None)])).await;
    let id = proven.walk().snapshot_id();
    // A fresh handle on the same walk for each kind of write.
    let walk = async || Walk::load(old.clone(), id).await.unwrap();

    bench.end_lock_session(0).await;
    let new = acquire(&bench.another_store().await, bench.keys[0]).await;
    let before = bench.everything().await;
    let published = proven.publish().await.map_err(|unpublished| match unpublished.why {
        PublishError::Store(error) => error,
        other => panic!("{other}"),
    });
    bench.refused(&before, "publish", published).await;
    let held = walk().await.prove().unwrap().hold("why").await;
    bench.refused(&before, "hold", held).await;
    for how in [Ending::Interrupted, Ending::Failed] {
        let ended = walk().await.end(how, "why", 1).await;
        bench.refused(&before, &format!("{how:?}"), ended).await;
    }
    let resumed = Walk::open(old.clone(), run, HOUR).await;
    bench.refused(&before, "resume", resumed).await;
    bench
        .refused(&before, "mark as missing", old.mark_missing().await)
        .await;
    bench
        .refused(&before, "remember", old.remember_one_cursor().await)
        .await;
    let mut begun = walk().await;
    let page = begun.begin_page().await.unwrap();
    let checkpoint = begun.checkpoint().clone();
    bench
        .refused(&before, "commit a page", begun.commit(page, checkpoint).await)
        .await;

    // Now no walk is in progress.
    let walk = Walk::load(new, id).await.unwrap();
    walk.prove().unwrap().hold("why").await.unwrap();
    let before = bench.everything().await;
    let begun = Walk::begin(old.clone(), run, false).await;
    bench.refused(&before, "begin", begun).await;
    bench.refused(&before, "retire", old.stage_retirement(run).await).await;
    // The new holder clears what is left.
    bench
        .execute("update inventory.snapshot set status = 'failed' where status = 'held'")
        .await;
    let before = bench.everything().await;
    let opened = Walk::open(old, run, HOUR).await;
    bench.refused(&before, "clear", opened).await;
}

/// Nobody can take the lock over between a write's check of the fence and its commit.
#[tokio::test]
async fn who_takes_the_lock_waits_for_a_write_that_has_checked_the_fence() {
    let mut bench = Bench::new(1).await;
    let lease = bench.acquire(0).await;
    bench.published(&lease, &seen([(1, None)])).await;
    let walk = bench.walked(&lease, &seen([(2, None)])).await;
    bench.forget_holder().await;
    // A publication needs the store's row after it has checked the lease.
    let mut blocker = PgConnection::connect_with(&bench.options()).await.unwrap();
    let mut block = blocker.begin().await.unwrap();
    sqlx::raw_sql("select from inventory.store for update")
        .execute(&mut *block)
        .await
        .unwrap();
    let publication = tokio::spawn(async move { walk.publish().await });
    bench.until_waiting(1).await;
    bench.end_lock_session(0).await;
    let (other, key) = (bench.another_store().await, bench.keys[0]);
    let acquired = tokio::spawn(async move { acquire(&other, key).await });
    bench.until_waiting(2).await;
    block.rollback().await.unwrap();
    publication.await.unwrap().unwrap();
    acquired.await.unwrap();
}

/// The driver returns a session to its pool even if its COPY was abandoned. The rest of the server's response would
/// then be taken for the result of the next query.
#[tokio::test]
async fn sessions_that_were_left_in_the_midst_of_a_page_are_not_used_again() {
    let bench = Bench::new(1).await;
    let lease = bench.acquire(0).await;
    let walk = Walk::open(lease, bench.run, HOUR).await.unwrap();
    let created = |n: u16| {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        Change {
            id: ObjectId::from_bytes(id),
            old: State::Absent,
            new: State::WithData,
        }
    };
    // The rows fill more than one message.
    let changes: Vec<_> = (0..5_000).map(created).collect();
    let mut finished = 0;
    for polls in 0..40 {
        let mut page = walk.begin_page().await.unwrap();
        finished += u32::from(polled(pin!(page.stage(&changes)), polls).await.is_some());
        drop(page);
        // More loads than the pool has sessions, so that each session is used.
        for _ in 0..4 {
            let loaded = Walk::load(walk.lease().clone(), walk.snapshot_id()).await;
            assert_eq!(loaded.unwrap().status(), "running", "left after {polls} polls");
        }
    }
    assert!((1..40).contains(&finished), "none, or all, were left: {finished}");
}

#[tokio::test]
async fn a_walk_is_not_begun_by_who_lost_the_lock_meanwhile() {
    let mut bench = Bench::new(1).await;
    let lease = bench.acquire(0).await;
    bench.forget_holder().await;
    let mut blocker = PgConnection::connect_with(&bench.options()).await.unwrap();
    let mut block = blocker.begin().await.unwrap();
    sqlx::raw_sql("select from inventory.run for update")
        .execute(&mut *block)
        .await
        .unwrap();
    let begin = tokio::spawn(Walk::begin(lease, bench.run, false));
    bench.until_waiting(1).await;
    bench.end_lock_session(0).await;
    let _new = acquire(&bench.another_store().await, bench.keys[0]).await;
    let before = bench.everything().await;
    block.rollback().await.unwrap();
    let begun = begin.await.unwrap();
    bench.refused(&before, "begin", begun).await;
}

#[tokio::test]
async fn a_baselines_rows_are_left_to_who_took_it_over() {
    let mut bench = Bench::new(1).await;
    let old = bench.acquire(0).await;
    bench.walked(&old, &seen([(1, None), (2, Some(true))])).await;
    bench.execute("update inventory.snapshot set status = 'failed'").await;
    bench.end_lock_session(0).await;
    let _new = acquire(&bench.another_store().await, bench.keys[0]).await;
    let before = bench.everything().await;
    let begun = Walk::begin(old, bench.run, false).await;
    bench.refused(&before, "clear hidden rows", begun).await;
}

/// A program that was stopped in the middle of a page would keep its rows locked.
#[tokio::test]
async fn a_transaction_that_a_dead_holder_left_open_is_ended() {
    let mut bench = Bench::new(1).await;
    let lease = bench.acquire(0).await;
    let mut walk = bench.begun(&lease).await;
    let mut page = walk.begin_page().await.unwrap();
    page.spool(&[]).await.unwrap();
    bench.end_lock_session(0).await;
    let _new = acquire(&bench.another_store().await, bench.keys[0]).await;
    let open = "select count(*) from pg_stat_activity
                where datname = current_database() and state = 'idle in transaction'";
    let open: i64 = sqlx::query_scalar(open).fetch_one(&mut bench.admin).await.unwrap();
    assert_eq!(open, 0);
    let checkpoint = walk.checkpoint().clone();
    walk.commit(page, checkpoint).await.unwrap_err();
}

/// The first program's sessions work on other namespaces by then.
#[tokio::test]
async fn who_let_a_namespace_go_is_not_harmed_when_another_takes_it() {
    let bench = Bench::new(2).await;
    let first = LockConnection::open(&bench.store).await.unwrap();
    let gone = first.try_acquire(bench.keys[0]).await.unwrap().unwrap();
    let kept = first.try_acquire(bench.keys[1]).await.unwrap().unwrap();
    let mut walk = bench.begun(&kept).await;
    let page = walk.begin_page().await.unwrap();
    gone.release().await.unwrap();
    let second = LockConnection::open(&bench.another_store().await).await.unwrap();
    let _taken = second.try_acquire(bench.keys[0]).await.unwrap().unwrap();
    assert!(second.try_acquire(bench.keys[1]).await.unwrap().is_none());
    let checkpoint = walk.checkpoint().clone();
    walk.commit(page, checkpoint).await.unwrap();
    kept.release().await.unwrap();
    assert!(!first.lost().is_cancelled());
}

#[tokio::test]
async fn a_lost_session_is_noticed_at_its_next_statement_and_replaced() {
    let mut bench = Bench::new(2).await;
    let store = bench.store.clone();
    let locks = LockManager::open(&store).await.unwrap();
    let first = locks.connection().await.unwrap();
    let lease = first.try_acquire(bench.keys[0]).await.unwrap().unwrap();
    bench.end_lock_session(0).await;
    lease.release().await.unwrap_err();
    assert!(first.lost().is_cancelled());
    let second = locks.connection().await.unwrap();
    assert!(!second.lost().is_cancelled());
    assert!(second.try_acquire(bench.keys[0]).await.unwrap().is_some());
}

/// After a network failure, the server does not know yet that the session is lost, and would keep its locks.
#[tokio::test]
async fn a_lost_sessions_locks_do_not_stand_in_the_way_of_the_next() {
    let bench = Bench::new(1).await;
    let locks = LockManager::open(&bench.store).await.unwrap();
    let first = locks.connection().await.unwrap();
    let _lease = first.try_acquire(bench.keys[0]).await.unwrap().unwrap();
    first.lost().cancel();
    let next = locks.connection().await.unwrap();
    assert!(next.try_acquire(bench.keys[0]).await.unwrap().is_some());
}

#[tokio::test]
#[ignore = "large: waits for a beat"]
async fn a_lost_session_is_noticed_by_its_beat() {
    let mut bench = Bench::new(1).await;
    let lease = bench.acquire(0).await;
    bench.end_lock_session(0).await;
    let beat = tokio::time::timeout(Duration::from_secs(40), lease.lost());
    beat.await.unwrap();
}
