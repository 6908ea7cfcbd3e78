//! One walk per namespace at a time: session-level advisory locks, and the fencing token that every write checks.
//!
//! A lock lives as long as its database session. The session sends a heartbeat, and the server ends it after 90 s of
//! silence (the process was stopped, the network cut), so a dead holder never blocks a namespace for long. A holder
//! that wakes up after that can write nothing: acquiring the lock raised the fencing token, and each write checks it in
//! its own transaction.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Executor, PgConnection};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::error::Doing;
use super::session::{SAFE_DEFAULTS, backend, connect};
use super::{Store, StoreError};

/// "dinv": keeps our advisory locks apart from those of other programs in the same database.
pub(super) const LOCK_SPACE: i32 = 0x6469_6e76;
/// Held by a publication in its last statements, shared by readers before they look. No namespace has this key.
pub(super) const PUBLISHING: i32 = 0;
/// Held while the schema is created.
pub(super) const MIGRATING: i32 = -1;
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a statement of a lock connection may take. Longer than the server's own limits for these sessions.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the server is given to end a session, in milliseconds.
const TERMINATION_MS: i64 = 5_000;
/// The server's limits for a lock connection. A session that sends its heartbeat never reaches the first one.
const SESSION: &str = "set idle_session_timeout = '90s'; set lock_timeout = '90s'; set statement_timeout = '100s'";

/// The fencing token: how often a namespace's lock was acquired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeaseNumber(pub(super) i64);

/// The lock on one namespace, with the fencing token that every write checks. Cheap to clone into tasks.
///
/// All that is written for a namespace goes through its lease; only the account's list is recorded without one.
#[derive(Debug, Clone)]
pub struct Lease {
    pub(super) store: Store,
    connection: Arc<LockConnection>,
    pub(super) namespace_key: i32,
    number: LeaseNumber,
}

impl Lease {
    pub fn number(&self) -> LeaseNumber {
        self.number
    }

    /// Whether nobody else held the lock between `earlier` and this lease.
    pub fn follows(&self, earlier: LeaseNumber) -> bool {
        self.number.0 == earlier.0 + 1
    }

    /// Waits until the lock's database session is gone, and the lock with it.
    pub async fn lost(&self) {
        self.connection.lost.cancelled().await;
    }

    pub async fn release(self) -> Result<(), StoreError> {
        self.connection.noticing_loss(self.connection.unlock(&self)).await
    }

    /// Commits `work` only if nobody has acquired the lock since.
    ///
    /// A page's commit and a publication begin their own transactions and place the check themselves; every other write
    /// for a namespace goes through here. The check comes last: until the commit it keeps the namespace's row locked,
    /// which other runs update when they record the account's list.
    pub(super) async fn write<T, R: Doing<T>>(
        &self,
        doing: &'static str,
        work: impl AsyncFnOnce(&mut PgConnection) -> R,
    ) -> Result<T, StoreError> {
        let mut transaction = self.store.begin().await?;
        let done = work(&mut transaction).await.doing(doing)?;
        self.check(&mut transaction).await?;
        transaction.commit().await.doing(doing)?;
        Ok(done)
    }

    /// Fails if somebody else acquired the lock. Otherwise the namespace's row stays locked until the transaction ends,
    /// and whoever acquires the lock meanwhile waits for it: what is committed was written by the holder.
    pub(super) async fn check(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let held = sqlx::query_scalar!(
            "select 1 as held from inventory.namespace where namespace_key = $1 and fence = $2 for no key update",
            self.namespace_key,
            self.number.0
        )
        .fetch_optional(connection)
        .await
        .doing("check the lock")?;
        held.map(drop).ok_or(StoreError::FenceLost)
    }
}

/// A run's lock connection, replaced when it is lost.
#[derive(Debug)]
pub struct LockManager<'a> {
    store: &'a Store,
    current: Mutex<Arc<LockConnection>>,
}

impl<'a> LockManager<'a> {
    pub async fn open(store: &'a Store) -> Result<Self, StoreError> {
        Ok(Self {
            store,
            current: Mutex::new(LockConnection::open(store).await?),
        })
    }

    /// The connection to acquire locks with. A lost one is replaced first, and ended if the server has not noticed the
    /// loss yet: its locks would be in our own way.
    pub async fn connection(&self) -> Result<Arc<LockConnection>, StoreError> {
        let mut current = self.current.lock().await;
        if current.lost.is_cancelled() {
            let next = LockConnection::open(self.store).await?;
            next.end_session(current.backend).await?;
            *current = next;
        }
        Ok(current.clone())
    }
}

/// The database session that holds advisory locks.
#[derive(Debug)]
pub struct LockConnection {
    store: Store,
    session: Arc<Mutex<PgConnection>>,
    /// The server's process id of the session.
    backend: i32,
    lost: CancellationToken,
    heartbeat: JoinHandle<()>,
}

impl LockConnection {
    pub async fn open(store: &Store) -> Result<Arc<Self>, StoreError> {
        let doing = "open a session for locks";
        let mut session = connect(&store.options).await.doing(doing)?;
        session.execute(SAFE_DEFAULTS).await.doing(doing)?;
        session.execute(SESSION).await.doing(doing)?;
        if let Some(difference) = store.known.check(&mut session).await.doing(doing)? {
            return Err(store.other_database(difference));
        }
        let backend = backend(&mut session).await.doing(doing)?;
        let session = Arc::new(Mutex::new(session));
        let lost = CancellationToken::new();
        let heartbeat = tokio::spawn(heartbeat(session.clone(), lost.clone()));
        Ok(Arc::new(Self {
            store: store.clone(),
            session,
            backend,
            lost,
            heartbeat,
        }))
    }

    /// Cancelled when the session is gone, and every lock with it.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// `None` if another run holds the lock.
    pub async fn try_acquire(self: &Arc<Self>, namespace_key: i32) -> Result<Option<Lease>, StoreError> {
        let number = self.noticing_loss(self.try_lock(namespace_key)).await?;
        Ok(number.map(|number| Lease {
            store: self.store.clone(),
            connection: self.clone(),
            namespace_key,
            number,
        }))
    }

    /// A session on which a statement failed or timed out counts as lost, with all its locks: part of the work may have
    /// been done.
    async fn noticing_loss<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let silent = || {
            let source = sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
            StoreError::while_doing("use the session for locks")(source)
        };
        let done = tokio::time::timeout(STATEMENT_TIMEOUT, work)
            .await
            .unwrap_or_else(|_| Err(silent()));
        if matches!(done, Err(StoreError::Database { .. })) {
            self.lost.cancel();
        }
        done
    }

    async fn try_lock(&self, namespace_key: i32) -> Result<Option<LeaseNumber>, StoreError> {
        let doing = "take the namespace's lock";
        let mut session = self.session.lock().await;
        let taken = sqlx::query_scalar!(
            "select pg_catalog.pg_try_advisory_lock($1, $2)",
            LOCK_SPACE,
            namespace_key
        )
        .fetch_one(&mut *session)
        .await
        .doing(doing)?;
        if taken != Some(true) {
            return Ok(None);
        }
        // A holder that released its lock left no name. One that died may have left sessions with open transactions
        // (stopped in the middle of a COPY, say): they are ended, or this run would wait for them.
        sqlx::query!(
            "select pg_catalog.pg_terminate_backend(a.pid, $3) as ended
             from pg_catalog.pg_stat_activity a
             join inventory.namespace n on n.locked_by = a.application_name
             where n.namespace_key = $1 and a.application_name <> $2
               and a.usename = current_user and a.datname = pg_catalog.current_database()",
            namespace_key,
            self.store.session_name,
            TERMINATION_MS
        )
        .fetch_all(&mut *session)
        .await
        .doing(doing)?;
        let number = sqlx::query_scalar!(
            "update inventory.namespace set fence = fence + 1, locked_by = $2 where namespace_key = $1 returning fence",
            namespace_key,
            self.store.session_name
        )
        .fetch_one(&mut *session)
        .await
        .doing(doing)?;
        Ok(Some(LeaseNumber(number)))
    }

    async fn end_session(&self, backend: i32) -> Result<(), StoreError> {
        sqlx::query!(
            "select pg_catalog.pg_terminate_backend(pid, $3) as ended from pg_catalog.pg_stat_activity
             where pid = $1 and application_name = $2 and pid <> pg_catalog.pg_backend_pid()",
            backend,
            self.store.session_name,
            TERMINATION_MS
        )
        .fetch_all(&mut *self.session.lock().await)
        .await
        .doing("end the lost session")?;
        Ok(())
    }

    async fn unlock(&self, lease: &Lease) -> Result<(), StoreError> {
        let doing = "release the namespace's lock";
        let mut session = self.session.lock().await;
        sqlx::query!(
            "update inventory.namespace set locked_by = null where namespace_key = $1 and fence = $2",
            lease.namespace_key,
            lease.number.0
        )
        .execute(&mut *session)
        .await
        .doing(doing)?;
        sqlx::query!(
            "select pg_catalog.pg_advisory_unlock($1, $2)",
            LOCK_SPACE,
            lease.namespace_key
        )
        .fetch_one(&mut *session)
        .await
        .doing(doing)?;
        Ok(())
    }
}

impl Drop for LockConnection {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

async fn heartbeat(session: Arc<Mutex<PgConnection>>, lost: CancellationToken) {
    let mut interval = tokio::time::interval(HEARTBEAT);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        // A session in use is not idle.
        let Ok(mut session) = session.try_lock() else { continue };
        if !matches!(
            tokio::time::timeout(HEARTBEAT * 2, session.execute("select 1")).await,
            Ok(Ok(_))
        ) {
            lost.cancel();
            return;
        }
    }
}
