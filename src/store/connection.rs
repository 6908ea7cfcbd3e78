//! The connection pool of the store.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Executor, PgConnection, PgPool};

use super::error::Doing;
use super::session::{
    CONNECT_TIMEOUT, LIMITS, SAFE_DEFAULTS, answers_in_step, connect, place, refuse_transaction_pooler, unreachable,
};
use super::{StoreError, encryption};

/// The database that holds the record.
#[derive(Clone)]
pub struct Store {
    pub(super) pool: PgPool,
    pub(super) options: PgConnectOptions,
    /// The `application_name` of this process's sessions. It is unique, so that the next holder of a lock can end the
    /// sessions of a dead one.
    pub(super) session_name: String,
}

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
        let pool = PgPoolOptions::new()
            .max_connections(sessions)
            .acquire_timeout(CONNECT_TIMEOUT)
            // The pool's own ping would be answered by a session that is out of step, too.
            .test_before_acquire(false)
            .before_acquire(|session, _| Box::pin(answers_in_step(session)))
            .after_connect(|session, _| {
                Box::pin(async move {
                    session.execute(SAFE_DEFAULTS).await?;
                    session.execute(LIMITS).await?;
                    Ok(())
                })
            })
            .connect_with(options.clone())
            .await
            .doing("be connected to")?;
        let store = Self {
            pool,
            options,
            session_name,
        };
        store.require_server().await?;
        Ok(store)
    }

    /// Locks need `idle_session_timeout`, which came with version 14.
    async fn require_server(&self) -> Result<(), StoreError> {
        let (number, name): (i32, String) = sqlx::query_as(
            "select pg_catalog.current_setting('server_version_num')::int,
                        pg_catalog.current_setting('server_version')",
        )
        .fetch_one(&self.pool)
        .await
        .doing("tell its version")?;
        if number < 140_000 {
            return Err(StoreError::OldServer { found: name });
        }
        Ok(())
    }

    /// How many seconds this machine's clock is ahead of the database's.
    pub async fn clock_ahead_s(&self) -> Result<f64, StoreError> {
        let theirs: f64 = sqlx::query_scalar("select extract(epoch from pg_catalog.clock_timestamp())::float8")
            .fetch_one(&self.pool)
            .await
            .doing("tell the time")?;
        let ours = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Ok(ours.as_secs_f64() - theirs)
    }

    /// A session outside the pool, with the same settings.
    pub(super) async fn session(&self) -> Result<PgConnection, sqlx::Error> {
        let mut session = connect(&self.options).await?;
        session.execute(SAFE_DEFAULTS).await?;
        session.execute(LIMITS).await?;
        Ok(session)
    }

    /// Closes the sessions of the pool.
    pub async fn close(self) {
        self.pool.close().await;
    }
}

/// Leaves out the options, which hold the password.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = place(&self.options);
        f.debug_struct("Store").field("place", &place).finish_non_exhaustive()
    }
}
