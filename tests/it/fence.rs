//! The lock and its fence, write by write: whoever lost a namespace's lock changes nothing of it any more.

use std::pin::pin;
use std::time::Duration;

use durable_inventory::model::{Change, ObjectId, State};
use durable_inventory::store::{Abandoned, Checkpoint, LockSession, Locks, StoreError};

use sqlx::{Connection, PgConnection};

use crate::support::bench::{Bench, seen};
use crate::support::polled::polled;

const HOUR: Duration = Duration::from_secs(3600);

impl Bench {
    async fn refused<T>(&mut self, before: &[String], doing: &str, answer: Result<T, StoreError>) {
        let refused = matches!(answer, Err(StoreError::FenceLost));
        assert!(refused, "{doing}: {:?}", answer.map(drop));
        assert_eq!(self.everything().await, before, "{doing}: something was written");
    }

    /// Whoever takes the lock over ends no sessions then: only the fence is in the way.
    async fn forget_holder(&mut self) {
        self.execute("update inventory.namespace set locked_by = null").await;
    }
}

#[tokio::test]
async fn a_walk_whose_lock_was_taken_over_writes_nothing_more() {
    let mut bench = Bench::new(1).await;
    let (store, run) = (bench.store.clone(), bench.run);
    let first = LockSession::open(&store).await.unwrap();
    let old = bench.take(&first, 0).await;
    bench.published(old, &seen([(1, None), (2, Some(true))])).await;
    let proven = bench.walked(old, &seen([(2, Some(false)), (3, None)])).await;
    let walk = store.open_walk(old, run, HOUR).await.unwrap();

    bench.end_lock_session(0).await;
    let second = LockSession::open(&bench.another_store().await).await.unwrap();
    let new = bench.take(&second, 0).await;
    let before = bench.everything().await;
    let id = walk.snapshot_id;
    bench
        .refused(&before, "publish", store.publish(old, &proven).await)
        .await;
    bench.refused(&before, "hold", store.hold(old, id, "why").await).await;
    bench
        .refused(&before, "interrupt", store.interrupt(old, id, "why", 1).await)
        .await;
    let abandoned = store.abandon(old, id, Abandoned::Failed, "why", 1).await;
    bench.refused(&before, "abandon", abandoned).await;
    bench
        .refused(&before, "resume", store.open_walk(old, run, HOUR).await)
        .await;
    bench
        .refused(&before, "mark as missing", store.mark_missing(old).await)
        .await;
    bench
        .refused(&before, "remember", store.remember_one_cursor(old).await)
        .await;
    let page = store.begin_page(old, &walk).await.unwrap();
    bench
        .refused(&before, "commit a page", page.commit(&Checkpoint::default()).await)
        .await;

    // Now no walk is in progress.
    store.hold(new, id, "why").await.unwrap();
    let before = bench.everything().await;
    bench
        .refused(&before, "begin", store.begin_walk(old, run, false).await)
        .await;
    bench
        .refused(&before, "retire", store.stage_retirement(old, run).await)
        .await;
    // What was left is the other's to clear.
    bench
        .execute("update inventory.snapshot set status = 'failed' where status = 'held'")
        .await;
    let before = bench.everything().await;
    bench
        .refused(&before, "clear", store.open_walk(old, run, HOUR).await)
        .await;
}

/// Between its check and its commit nobody takes the lock over.
#[tokio::test]
async fn who_takes_the_lock_waits_for_a_write_that_has_checked_the_fence() {
    let mut bench = Bench::new(1).await;
    let first = LockSession::open(&bench.store).await.unwrap();
    let fence = bench.take(&first, 0).await;
    let walk = bench.walked(fence, &seen([(1, None)])).await;
    bench.forget_holder().await;
    let mut blocker = PgConnection::connect_with(&bench.options()).await.unwrap();
    let mut block = blocker.begin().await.unwrap();
    sqlx::raw_sql("select from inventory.snapshot for update")
        .execute(&mut *block)
        .await
        .unwrap();
    let store = bench.store.clone();
    let hold = tokio::spawn(async move { store.hold(fence, walk.snapshot_id, "why").await });
    bench.until_waiting(1).await;
    bench.end_lock_session(0).await;
    let second = LockSession::open(&bench.another_store().await).await.unwrap();
    let key = bench.keys[0];
    let taken = tokio::spawn(async move { second.take(key).await.unwrap().is_some() });
    bench.until_waiting(2).await;
    block.rollback().await.unwrap();
    hold.await.unwrap().unwrap();
    assert!(taken.await.unwrap());
}

/// The driver puts a session back into its pool that was left in the midst of a COPY, and what the server says of it
/// would then be taken for the answer to the next question.
#[tokio::test]
async fn sessions_that_were_left_in_the_midst_of_a_page_are_not_used_again() {
    let bench = Bench::new(1).await;
    let locks = LockSession::open(&bench.store).await.unwrap();
    let fence = bench.take(&locks, 0).await;
    let walk = bench.store.open_walk(fence, bench.run, HOUR).await.unwrap();
    let created = |n: u16| {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        Change {
            id: ObjectId::from_bytes(id),
            old: State::Absent,
            new: State::WithData,
        }
    };
    // More than one message holds.
    let changes: Vec<_> = (0..5_000).map(created).collect();
    let mut finished = 0;
    for polls in 0..40 {
        let mut page = bench.store.begin_page(fence, &walk).await.unwrap();
        finished += u32::from(polled(pin!(page.stage(&changes)), polls).await.is_some());
        drop(page);
        // More often than there are sessions in the pool.
        for _ in 0..4 {
            let status = bench.store.snapshot_status(walk.snapshot_id).await;
            assert_eq!(status.unwrap(), "running", "left after {polls} polls");
        }
    }
    assert!((1..40).contains(&finished), "none, or all, were left: {finished}");
}

#[tokio::test]
async fn a_walk_is_not_begun_by_who_lost_the_lock_meanwhile() {
    let mut bench = Bench::new(1).await;
    let first = LockSession::open(&bench.store).await.unwrap();
    let fence = bench.take(&first, 0).await;
    bench.forget_holder().await;
    let mut blocker = PgConnection::connect_with(&bench.options()).await.unwrap();
    let mut block = blocker.begin().await.unwrap();
    sqlx::raw_sql("select from inventory.run for update")
        .execute(&mut *block)
        .await
        .unwrap();
    let (store, run) = (bench.store.clone(), bench.run);
    let begin = tokio::spawn(async move { store.begin_walk(fence, run, false).await });
    bench.until_waiting(1).await;
    bench.end_lock_session(0).await;
    let second = LockSession::open(&bench.another_store().await).await.unwrap();
    bench.take(&second, 0).await;
    let before = bench.everything().await;
    block.rollback().await.unwrap();
    let begun = begin.await.unwrap();
    bench.refused(&before, "begin", begun).await;
}

#[tokio::test]
async fn a_baselines_rows_are_left_to_who_took_it_over() {
    let mut bench = Bench::new(1).await;
    let first = LockSession::open(&bench.store).await.unwrap();
    let old = bench.take(&first, 0).await;
    bench.walked(old, &seen([(1, None), (2, Some(true))])).await;
    bench.execute("update inventory.snapshot set status = 'failed'").await;
    bench.end_lock_session(0).await;
    let second = LockSession::open(&bench.another_store().await).await.unwrap();
    bench.take(&second, 0).await;
    let before = bench.everything().await;
    let begun = bench.store.begin_walk(old, bench.run, false).await;
    bench.refused(&before, "clear hidden rows", begun).await;
}

/// A program that was stopped in the midst of a page would keep its rows locked.
#[tokio::test]
async fn a_transaction_that_a_dead_holder_left_open_is_ended() {
    let mut bench = Bench::new(1).await;
    let first = LockSession::open(&bench.store).await.unwrap();
    let fence = bench.take(&first, 0).await;
    let walk = bench.store.begin_walk(fence, bench.run, false).await.unwrap();
    let mut page = bench.store.begin_page(fence, &walk).await.unwrap();
    page.spool(&[]).await.unwrap();
    bench.end_lock_session(0).await;
    let second = LockSession::open(&bench.another_store().await).await.unwrap();
    bench.take(&second, 0).await;
    let open = "select count(*) from pg_stat_activity
                where datname = current_database() and state = 'idle in transaction'";
    let open: i64 = sqlx::query_scalar(open).fetch_one(&mut bench.admin).await.unwrap();
    assert_eq!(open, 0);
    page.commit(&Checkpoint::default()).await.unwrap_err();
}

/// Its sessions are at work on other namespaces by then.
#[tokio::test]
async fn who_let_a_namespace_go_is_not_harmed_when_another_takes_it() {
    let bench = Bench::new(2).await;
    let first = LockSession::open(&bench.store).await.unwrap();
    let gone = bench.take(&first, 0).await;
    let kept = bench.take(&first, 1).await;
    let walk = bench.store.begin_walk(kept, bench.run, false).await.unwrap();
    let page = bench.store.begin_page(kept, &walk).await.unwrap();
    first.let_go(gone).await.unwrap();
    let second = LockSession::open(&bench.another_store().await).await.unwrap();
    bench.take(&second, 0).await;
    assert_eq!(second.take(bench.keys[1]).await.unwrap(), None);
    page.commit(&walk.checkpoint).await.unwrap();
    first.let_go(kept).await.unwrap();
    assert!(!first.lost().is_cancelled());
}

#[tokio::test]
async fn a_lost_session_is_noticed_at_its_next_statement_and_replaced() {
    let mut bench = Bench::new(2).await;
    let store = bench.store.clone();
    let locks = Locks::open(&store).await.unwrap();
    let first = locks.session().await.unwrap();
    let fence = bench.take(&first, 0).await;
    bench.end_lock_session(0).await;
    first.let_go(fence).await.unwrap_err();
    assert!(first.lost().is_cancelled());
    let second = locks.session().await.unwrap();
    assert!(!second.lost().is_cancelled());
    bench.take(&second, 0).await;
}

/// The network was cut: the server knows nothing of it yet, and would keep the locks.
#[tokio::test]
async fn a_lost_sessions_locks_do_not_stand_in_the_way_of_the_next() {
    let bench = Bench::new(1).await;
    let locks = Locks::open(&bench.store).await.unwrap();
    let first = locks.session().await.unwrap();
    bench.take(&first, 0).await;
    first.lost().cancel();
    bench.take(&locks.session().await.unwrap(), 0).await;
}

#[tokio::test]
#[ignore = "large: waits for a beat"]
async fn a_lost_session_is_noticed_by_its_beat() {
    let mut bench = Bench::new(1).await;
    let first = LockSession::open(&bench.store).await.unwrap();
    bench.take(&first, 0).await;
    bench.end_lock_session(0).await;
    let beat = tokio::time::timeout(Duration::from_secs(40), first.lost().cancelled());
    beat.await.unwrap();
}
