//! One walker a namespace: session-level advisory locks, and the fence that every write checks.
//!
//! A lock lives as long as its database session. The session beats, and the server ends it after 90 s of silence (the
//! process was stopped, the network cut), so a dead holder never blocks a namespace for long. A holder that wakes up
//! after that can write nothing: taking the lock raised the fence, and each write checks it in its own transaction.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{ConnectOptions, Executor, PgConnection, Postgres, Transaction};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Store, StoreError};

/// "dinv": keeps our advisory locks apart from those of other programs in the same database.
pub(super) const LOCK_SPACE: i32 = 0x6469_6e76;
/// Held by a publication in its last statements, shared by readers before they look. No namespace has this key.
pub(super) const PUBLISHING: i32 = 0;
const BEAT: Duration = Duration::from_secs(15);
/// The session's end after silence; see the module's words. Sessions that beat never reach it.
const SESSION: &str = "set idle_session_timeout = '90s'; set lock_timeout = '30s'; set statement_timeout = '60s'";

/// Proof that a namespace's lock was taken, and with which number. Every statement that writes for the namespace
/// demands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    pub namespace_key: i32,
    number: i64,
}

impl Fence {
    /// Holds the namespace's row until the transaction ends: whoever takes the lock meanwhile waits for it, so what is
    /// committed here was written by the holder. Called before each commit.
    pub(super) async fn check(&self, transaction: &mut Transaction<'_, Postgres>) -> Result<(), StoreError> {
        let held = sqlx::query_scalar!(
            "select 1 as held from inventory.namespace where namespace_key = $1 and fence = $2 for no key update",
            self.namespace_key,
            self.number
        )
        .fetch_optional(&mut **transaction)
        .await
        .map_err(StoreError::while_doing("check the lock"))?;
        held.map(drop).ok_or(StoreError::FenceLost)
    }
}

/// The database session that holds this run's locks.
#[derive(Debug)]
pub struct LockSession {
    session: Arc<Mutex<PgConnection>>,
    session_name: String,
    lost: CancellationToken,
    beat: JoinHandle<()>,
}

impl LockSession {
    pub async fn open(store: &Store) -> Result<Self, StoreError> {
        let doing = "open the session for locks";
        let mut session = store.options.connect().await.map_err(StoreError::while_doing(doing))?;
        session.execute(SESSION).await.map_err(StoreError::while_doing(doing))?;
        refuse_transaction_pooler(store, &mut session).await?;
        let session = Arc::new(Mutex::new(session));
        let lost = CancellationToken::new();
        let beat = tokio::spawn(beat(session.clone(), lost.clone()));
        Ok(Self {
            session,
            session_name: store.session_name.clone(),
            lost,
            beat,
        })
    }

    /// Cancelled when the session is gone, and every lock with it.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// `None`: another run holds it.
    pub async fn take(&self, namespace_key: i32) -> Result<Option<Fence>, StoreError> {
        let doing = "take the namespace's lock";
        let mut session = self.session.lock().await;
        let taken = sqlx::query_scalar!("select pg_try_advisory_lock($1, $2)", LOCK_SPACE, namespace_key)
            .fetch_one(&mut *session)
            .await
            .map_err(StoreError::while_doing(doing))?;
        if taken != Some(true) {
            return Ok(None);
        }
        // A holder that let go in order left no name. One that died may have left sessions with open transactions
        // (stopped in the midst of a COPY, say): they are ended, or this run would wait for them.
        sqlx::query!(
            "select pg_terminate_backend(a.pid) as ended
             from pg_stat_activity a
             join inventory.namespace n on n.locked_by = a.application_name
             where n.namespace_key = $1 and a.application_name <> $2
               and a.usename = current_user and a.datname = current_database()",
            namespace_key,
            self.session_name
        )
        .fetch_all(&mut *session)
        .await
        .map_err(StoreError::while_doing(doing))?;
        let number = sqlx::query_scalar!(
            "update inventory.namespace set fence = fence + 1, locked_by = $2 where namespace_key = $1 returning fence",
            namespace_key,
            self.session_name
        )
        .fetch_one(&mut *session)
        .await
        .map_err(StoreError::while_doing(doing))?;
        Ok(Some(Fence { namespace_key, number }))
    }

    pub async fn let_go(&self, fence: Fence) -> Result<(), StoreError> {
        let doing = "let go of the namespace's lock";
        let mut session = self.session.lock().await;
        sqlx::query!(
            "update inventory.namespace set locked_by = null where namespace_key = $1 and fence = $2",
            fence.namespace_key,
            fence.number
        )
        .execute(&mut *session)
        .await
        .map_err(StoreError::while_doing(doing))?;
        sqlx::query!("select pg_advisory_unlock($1, $2)", LOCK_SPACE, fence.namespace_key)
            .fetch_one(&mut *session)
            .await
            .map_err(StoreError::while_doing(doing))?;
        Ok(())
    }
}

impl Drop for LockSession {
    fn drop(&mut self) {
        self.beat.abort();
    }
}

async fn beat(session: Arc<Mutex<PgConnection>>, lost: CancellationToken) {
    let mut interval = tokio::time::interval(BEAT);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let answered = async { session.lock().await.execute("select 1").await };
        if !matches!(tokio::time::timeout(BEAT * 2, answered).await, Ok(Ok(_))) {
            lost.cancel();
            return;
        }
    }
}

/// A pooler in transaction mode gives each transaction any server session, so a session's lock would be nobody's.
/// It shows: while another session is in a transaction, ours is suddenly served by a different one.
async fn refuse_transaction_pooler(store: &Store, session: &mut PgConnection) -> Result<(), StoreError> {
    let doing = "check that it keeps sessions";
    let backend = "select pg_backend_pid()";
    let before: i32 = sqlx::query_scalar(backend)
        .fetch_one(&mut *session)
        .await
        .map_err(StoreError::while_doing(doing))?;
    let mut other = store.pool.begin().await.map_err(StoreError::while_doing(doing))?;
    let others: i32 = sqlx::query_scalar(backend)
        .fetch_one(&mut *other)
        .await
        .map_err(StoreError::while_doing(doing))?;
    let after: i32 = sqlx::query_scalar(backend)
        .fetch_one(&mut *session)
        .await
        .map_err(StoreError::while_doing(doing))?;
    if before != after || before == others {
        return Err(StoreError::TransactionPooler);
    }
    other.rollback().await.map_err(StoreError::while_doing(doing))
}
