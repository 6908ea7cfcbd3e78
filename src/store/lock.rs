//! One walker a namespace: session-level advisory locks, and the fence that every write checks.
//!
//! A lock lives as long as its database session. The session beats, and the server ends it after 90 s of silence (the
//! process was stopped, the network cut), so a dead holder never blocks a namespace for long. A holder that wakes up
//! after that can write nothing: taking the lock raised the fence, and each write checks it in its own transaction.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Executor, PgConnection, Postgres, Transaction};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::connect::{CAREFUL, backend, connect};
use super::{Store, StoreError};

/// "dinv": keeps our advisory locks apart from those of other programs in the same database.
pub(super) const LOCK_SPACE: i32 = 0x6469_6e76;
/// Held by a publication in its last statements, shared by readers before they look. No namespace has this key.
pub(super) const PUBLISHING: i32 = 0;
/// Held while the schema is created.
pub(super) const MIGRATING: i32 = -1;
const BEAT: Duration = Duration::from_secs(15);
/// Longer than the server's own limits for these sessions.
const ANSWER: Duration = Duration::from_secs(120);
/// How long the server is given to end a session, in milliseconds.
const TERMINATION_MS: i64 = 5_000;
/// The session's end after silence; see the module's words. Sessions that beat never reach it.
const SESSION: &str = "set idle_session_timeout = '90s'; set lock_timeout = '90s'; set statement_timeout = '100s'";

/// Proof that a namespace's lock was taken, and with which number. What walks and decisions write for the namespace
/// demands it; the account's list is recorded without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    pub namespace_key: i32,
    number: i64,
}

impl Fence {
    /// What the record says of the last taking; it proves nothing, and any check of it fails once the lock is taken.
    pub(super) fn last(namespace_key: i32, number: i64) -> Self {
        Self { namespace_key, number }
    }

    /// Whether nobody else held the lock between this taking of it and the next.
    pub fn is_followed_by(&self, next: &Self) -> bool {
        next.number == self.number + 1
    }

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

/// The lock session of a run, and the next one when it is lost.
#[derive(Debug)]
pub struct Locks<'a> {
    store: &'a Store,
    current: Mutex<Arc<LockSession>>,
}

impl<'a> Locks<'a> {
    pub async fn open(store: &'a Store) -> Result<Self, StoreError> {
        Ok(Self {
            store,
            current: Mutex::new(Arc::new(LockSession::open(store).await?)),
        })
    }

    /// The session to take locks with. One that was lost is replaced first, and ended where the server has not noticed
    /// yet: its locks would stand in our own way.
    pub async fn session(&self) -> Result<Arc<LockSession>, StoreError> {
        let mut current = self.current.lock().await;
        if current.lost.is_cancelled() {
            let next = LockSession::open(self.store).await?;
            next.end_session(current.backend).await?;
            *current = Arc::new(next);
        }
        Ok(current.clone())
    }
}

/// The database session that holds this run's locks.
#[derive(Debug)]
pub struct LockSession {
    session: Arc<Mutex<PgConnection>>,
    /// The server's process for it.
    backend: i32,
    session_name: String,
    lost: CancellationToken,
    beat: JoinHandle<()>,
}

impl LockSession {
    pub async fn open(store: &Store) -> Result<Self, StoreError> {
        let doing = "open the session for locks";
        let mut session = connect(&store.options).await.map_err(StoreError::while_doing(doing))?;
        session.execute(CAREFUL).await.map_err(StoreError::while_doing(doing))?;
        session.execute(SESSION).await.map_err(StoreError::while_doing(doing))?;
        let backend = backend(&mut session).await.map_err(StoreError::while_doing(doing))?;
        let session = Arc::new(Mutex::new(session));
        let lost = CancellationToken::new();
        let beat = tokio::spawn(beat(session.clone(), lost.clone()));
        Ok(Self {
            session,
            backend,
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
        self.noticing_loss(self.try_take(namespace_key)).await
    }

    pub async fn let_go(&self, fence: Fence) -> Result<(), StoreError> {
        self.noticing_loss(self.unlock(fence)).await
    }

    /// A session that fails is given up, and with it all its locks: half of what was asked may have been done. One that
    /// does not answer is cut off.
    async fn noticing_loss<T>(&self, answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let silent = || {
            let source = sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
            StoreError::while_doing("answer the session for locks")(source)
        };
        let answer = tokio::time::timeout(ANSWER, answer)
            .await
            .unwrap_or_else(|_| Err(silent()));
        if matches!(answer, Err(StoreError::Database { .. })) {
            self.lost.cancel();
        }
        answer
    }

    async fn try_take(&self, namespace_key: i32) -> Result<Option<Fence>, StoreError> {
        let doing = "take the namespace's lock";
        let mut session = self.session.lock().await;
        let taken = sqlx::query_scalar!(
            "select pg_catalog.pg_try_advisory_lock($1, $2)",
            LOCK_SPACE,
            namespace_key
        )
        .fetch_one(&mut *session)
        .await
        .map_err(StoreError::while_doing(doing))?;
        if taken != Some(true) {
            return Ok(None);
        }
        // A holder that let go in order left no name. One that died may have left sessions with open transactions
        // (stopped in the midst of a COPY, say): they are ended, or this run would wait for them.
        sqlx::query!(
            "select pg_catalog.pg_terminate_backend(a.pid, $3) as ended
             from pg_catalog.pg_stat_activity a
             join inventory.namespace n on n.locked_by = a.application_name
             where n.namespace_key = $1 and a.application_name <> $2
               and a.usename = current_user and a.datname = pg_catalog.current_database()",
            namespace_key,
            self.session_name,
            TERMINATION_MS
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

    async fn end_session(&self, backend: i32) -> Result<(), StoreError> {
        sqlx::query!(
            "select pg_catalog.pg_terminate_backend(pid, $3) as ended from pg_catalog.pg_stat_activity
             where pid = $1 and application_name = $2 and pid <> pg_catalog.pg_backend_pid()",
            backend,
            self.session_name,
            TERMINATION_MS
        )
        .fetch_all(&mut *self.session.lock().await)
        .await
        .map_err(StoreError::while_doing("end the lost session for locks"))?;
        Ok(())
    }

    async fn unlock(&self, fence: Fence) -> Result<(), StoreError> {
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
        sqlx::query!(
            "select pg_catalog.pg_advisory_unlock($1, $2)",
            LOCK_SPACE,
            fence.namespace_key
        )
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
        // Who uses the session right now keeps it from being idle.
        let Ok(mut session) = session.try_lock() else { continue };
        if !matches!(
            tokio::time::timeout(BEAT * 2, session.execute("select 1")).await,
            Ok(Ok(_))
        ) {
            lost.cancel();
            return;
        }
    }
}
