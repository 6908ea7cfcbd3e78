//! The connection pool of the store.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, PgPool, Postgres, Transaction};

use super::error::Doing;
use super::identity::SeenDatabase;
use super::managed_postgres::ProcessHandle;
use super::session::{
    CONNECT_TIMEOUT, LIMITS, SAFE_DEFAULTS, answers_in_step, connect, place, refuse_transaction_pooler, unreachable,
};
use super::{StoreError, encryption};

/// The database that holds the record.
#[derive(Clone)]
pub struct Store {
    /// Used by [`Store::acquire`] and [`Store::begin`] only: they find out what its errors hide.
    pool: PgPool,
    pub(super) options: PgConnectOptions,
    /// The `application_name` of this process's sessions. It is unique, so that the next holder of a lock can end the
    /// sessions of a dead one.
    pub(super) session_name: String,
    pub(super) known: SeenDatabase,
    /// The private server's process.
    server: Option<ProcessHandle>,
}

/// How long the pool's sessions may take to close before the server is asked to end them.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long this process's sessions may take to end when the server is asked to.
const END_TIMEOUT: Duration = Duration::from_millis(1_500);

impl Store {
    /// Connects with a pool of at most `sessions` sessions; locks have a session of their own.
    pub async fn connect(options: PgConnectOptions, sessions: u32) -> Result<Self, StoreError> {
        let session_name = format!("durable-inventory {:016x}", RandomState::new().build_hasher().finish());
        let options = options.application_name(&session_name).disable_statement_logging();
        let options = encryption::settle(options).await?;
        let first = connect(&options)
            .await
            .map_err(|source| unreachable(&options, source))?;
        refuse_transaction_pooler(first, &options).await?;
        let known = SeenDatabase::default();
        let check = known.clone();
        let pool = PgPoolOptions::new()
            .max_connections(sessions)
            .acquire_timeout(CONNECT_TIMEOUT)
            // The pool's own ping would be answered by a session that is out of step, too.
            .test_before_acquire(false)
            .before_acquire(|session, _| Box::pin(answers_in_step(session)))
            .after_connect(move |session, _| {
                let check = check.clone();
                Box::pin(async move {
                    session.execute(SAFE_DEFAULTS).await?;
                    session.execute(LIMITS).await?;
                    match check.check(session).await? {
                        None => Ok(()),
                        // The pool tries again until its timeout, but `Store::replaced` returns at once.
                        Some(difference) => Err(sqlx::Error::Protocol(difference.to_string())),
                    }
                })
            })
            .connect_lazy_with(options.clone());
        let store = Self {
            pool,
            options,
            session_name,
            known,
            server: None,
        };
        store.require_server().await?;
        Ok(store)
    }

    /// Names the process of the private server that this database is on.
    pub fn on_server(self, server: Option<ProcessHandle>) -> Self {
        Self { server, ..self }
    }

    /// Waits until the private server has ended. Never returns for another server, whose processes can't be seen.
    pub async fn server_ended(&self) {
        match &self.server {
            Some(server) => server.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Starts the private server again if it has ended, once. An error is final.
    pub async fn restart_server(&self) -> Result<(), StoreError> {
        match &self.server {
            Some(server) => server
                .restart_once()
                .await
                .map_err(|source| StoreError::ServerEnded { source }),
            None => Ok(()),
        }
    }

    /// Locks need `idle_session_timeout`, which came with version 14.
    async fn require_server(&self) -> Result<(), StoreError> {
        let (number, name): (i32, String) = sqlx::query_as(
            "select pg_catalog.current_setting('server_version_num')::int,
                        pg_catalog.current_setting('server_version')",
        )
        .fetch_one(&mut *self.acquire().await?)
        .await
        .doing("read the server's version")?;
        if number < 140_000 {
            return Err(StoreError::OldServer { found: name });
        }
        Ok(())
    }

    /// How many seconds this machine's clock is ahead of the database's.
    pub async fn clock_ahead_s(&self) -> Result<f64, StoreError> {
        let theirs: f64 = sqlx::query_scalar("select extract(epoch from pg_catalog.clock_timestamp())::float8")
            .fetch_one(&mut *self.acquire().await?)
            .await
            .doing("read the time")?;
        let ours = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Ok(ours.as_secs_f64() - theirs)
    }

    /// A session of the pool.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        match self.pool.acquire().await {
            Ok(session) => Ok(session),
            Err(error) => Err(self.refused(error).await),
        }
    }

    /// A transaction in a session of the pool.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.begin_with("begin").await
    }

    pub(super) async fn begin_with(&self, begin: &'static str) -> Result<Transaction<'static, Postgres>, StoreError> {
        match self.pool.begin_with(begin).await {
            Ok(transaction) => Ok(transaction),
            Err(error) => Err(self.refused(error).await),
        }
    }

    /// The error for a session that the pool could not open. While the server has no session left, the pool retries
    /// until its timeout, and its error does not contain the server's message: another attempt returns it.
    async fn refused(&self, error: sqlx::Error) -> StoreError {
        let source = match error {
            sqlx::Error::PoolTimedOut => self.session().await.err().unwrap_or(error),
            error => error,
        };
        unreachable(&self.options, source)
    }

    /// A session outside the pool, with the same settings.
    pub(super) async fn session(&self) -> Result<PgConnection, sqlx::Error> {
        let mut session = connect(&self.options).await?;
        session.execute(SAFE_DEFAULTS).await?;
        session.execute(LIMITS).await?;
        Ok(session)
    }

    /// Closes the sessions of the pool. If one of them still waits for a statement that was dropped, all are ended.
    pub async fn close(self) {
        if tokio::time::timeout(CLOSE_TIMEOUT, self.pool.close()).await.is_err() {
            self.end_sessions().await;
        }
    }

    /// Ends all sessions of this process at the server, so that a statement that was dropped while it waited is not
    /// carried out later. Gives up after 1.5 s: the server may be out of reach.
    pub async fn end_sessions(&self) {
        let ended = async {
            let mut session = self.options.connect().await?;
            sqlx::query(
                "select pg_catalog.pg_terminate_backend(pid, 1000) from pg_catalog.pg_stat_activity
                 where application_name = $1 and usename = current_user
                   and datname = pg_catalog.current_database() and pid <> pg_catalog.pg_backend_pid()",
            )
            .bind(&self.session_name)
            .execute(&mut session)
            .await?;
            session.close().await
        };
        match tokio::time::timeout(END_TIMEOUT, ended).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "could not end the database sessions"),
            Err(_) => tracing::debug!("could not end the database sessions in time"),
        }
    }
}

/// Leaves out the options, which hold the password.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = place(&self.options);
        f.debug_struct("Store").field("place", &place).finish_non_exhaustive()
    }
}
