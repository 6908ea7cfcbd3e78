//! The way into the database: sessions, their limits, and the schema's version.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool, Row};

use super::error::Doing;
use super::lease::{LOCK_SPACE, MIGRATING};
use super::owner::Purpose;
use super::{StoreError, encryption, owner};
use crate::text::shown;

/// Forward only; brought up to date by the program itself.
static MIGRATIONS: Migrator = sqlx::migrate!();
/// In our schema, not in `public`.
const MIGRATIONS_TABLE: &str = "inventory._sqlx_migrations";

/// Limits of each working session. A process that was stopped in the middle of a transaction would otherwise keep its
/// row locks, and with them the namespace, for ever.
///
/// Objects are read by their primary key, in its order, a bounded number at a time. Of a table that was just filled, a
/// spool above all, the planner knows no statistics and takes it for small: it would collect the whole rest in a bitmap
/// and sort it again for each such read.
const SESSION: &str = "set statement_timeout = '10min'; set lock_timeout = '2min'; \
     set idle_in_transaction_session_timeout = '60s'; set timezone = 'UTC'; set client_min_messages = warning; \
     set enable_bitmapscan = off";

/// What promises rest on, whatever the server's defaults are: a commit that was answered is kept, and a statement sees
/// what was committed before it. Where an administrator asks for more of a commit, that stays. A statement from which row
/// security would hide rows fails.
///
/// Names that have no schema are PostgreSQL's own, first of all in the statements that follow: a function or an operator
/// that another role put into `public`, or into whatever the database's own `search_path` names, would run as this
/// session's role. It is set by a statement because poolers refuse the parameter at the start of a session.
pub(super) const CAREFUL: &str = "set search_path = pg_catalog, pg_temp; \
     set default_transaction_isolation = 'read committed'; set row_security = off; \
     select pg_catalog.set_config('synchronous_commit', 'on', false) \
     where pg_catalog.current_setting('synchronous_commit') in ('off', 'local')";

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The schema, where this role may use it or bring it up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    Current,
    Behind,
    Missing,
}

/// The database, reached and with a schema that this program knows.
#[derive(Clone)]
pub struct Store {
    pub(super) pool: PgPool,
    pub(super) options: PgConnectOptions,
    /// The application_name of all sessions of this process: unique, so that whoever takes over a lock can end the
    /// sessions that its dead holder left.
    pub(super) session_name: String,
}

impl Store {
    /// Connects, with at most `sessions` sessions for the work; locks have one of their own.
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
            .acquire_timeout(PATIENCE)
            // Instead of the pool's own ping, which a session that is out of step may answer, too.
            .test_before_acquire(false)
            .before_acquire(|session, _| Box::pin(is_in_step(session)))
            .after_connect(|session, _| {
                Box::pin(async move {
                    session.execute(CAREFUL).await?;
                    session.execute(SESSION).await?;
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

    /// The tables that a sync writes and this role may not.
    pub async fn tables_without_rights(&self) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "select 'inventory.' || relname::text from pg_catalog.pg_class
             where relnamespace = 'inventory'::regnamespace::oid and relkind = 'r'
               and relname not in ('_sqlx_migrations', 'pruned_object')
               and not (pg_catalog.has_table_privilege(oid, 'select') and pg_catalog.has_table_privilege(oid, 'insert')
                        and pg_catalog.has_table_privilege(oid, 'update'))
             order by 1",
        )
        .fetch_all(&self.pool)
        .await
        .doing("tell what this role may write")
    }

    /// `idle_session_timeout`, which the lock relies on, came with version 14.
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

    /// Brings the schema up to date. `create schema` is only sent where the schema is missing: it needs a privilege
    /// that a role of daily use does not have.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut session = self.session().await.doing("be connected to for the migrations")?;
        // An index on a large table takes its time, and would be begun again by every run.
        session
            .execute("set statement_timeout = 0")
            .await
            .doing("begin the migrations")?;
        let there: bool = sqlx::query_scalar("select pg_catalog.to_regnamespace('inventory') is not null")
            .fetch_one(&mut session)
            .await
            .doing("look for the schema")?;
        if !there {
            // Two that create it at once would fail in spite of `if not exists`.
            let create = format!(
                "begin; select pg_catalog.pg_advisory_xact_lock({LOCK_SPACE}, {MIGRATING}); \
                 create schema if not exists inventory; commit"
            );
            session.execute(AssertSqlSafe(create)).await.doing(
                "create the schema (its owner can, by `durable-inventory migrate`; then --no-migrate is for others)",
            )?;
        }
        // Also after creating it: somebody else may have come first.
        owner::require_ours(&mut session, Purpose::Migrate).await?;
        if self.applied_version().await? == Some(newest_version()) {
            return Ok(());
        }
        let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
        migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
        match migrator.run(&mut session).await {
            Ok(()) => Ok(()),
            Err(MigrateError::VersionMissing(found)) => Err(newer_schema(found)),
            Err(source) => Err(StoreError::Migration { source }),
        }
    }

    /// For roles that may not change the schema: says what is wrong instead of mending it.
    pub async fn require_schema(&self) -> Result<(), StoreError> {
        self.require_owner(Purpose::Use).await?;
        let known = newest_version();
        match self.applied_version().await?.unwrap_or(0) {
            found if found == known => Ok(()),
            found if found > known => Err(newer_schema(found)),
            found => Err(StoreError::SchemaVersion {
                found,
                known,
                todo: "run `durable-inventory migrate` with a role that may create objects in it",
            }),
        }
    }

    /// What a `sync` would find, and do about it. Nothing is changed.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        self.require_owner(Purpose::Use).await?;
        let known = newest_version();
        let found = self.applied_version().await?;
        if found.is_some_and(|found| found >= known) {
            return self.require_schema().await.map(|()| SchemaState::Current);
        }
        let may_change: bool = sqlx::query_scalar(
            "select coalesce(
                 (select pg_catalog.pg_has_role(nspowner, 'usage')
                  from pg_catalog.pg_namespace where nspname = 'inventory'),
                 pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create'))",
        )
        .fetch_one(&self.pool)
        .await
        .doing("tell whether its schema may be changed")?;
        match may_change {
            true if found.is_none() => Ok(SchemaState::Missing),
            true => Ok(SchemaState::Behind),
            false => self.require_schema().await.map(|()| SchemaState::Current),
        }
    }

    async fn require_owner(&self, purpose: Purpose) -> Result<(), StoreError> {
        let mut session = self.pool.acquire().await.doing("tell whose its schema is")?;
        owner::require_ours(&mut session, purpose).await
    }

    /// Seconds that this machine's clock is ahead of the database's.
    pub async fn clock_ahead_s(&self) -> Result<f64, StoreError> {
        let theirs: f64 = sqlx::query_scalar("select extract(epoch from pg_catalog.clock_timestamp())::float8")
            .fetch_one(&self.pool)
            .await
            .doing("tell the time")?;
        let ours = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Ok(ours.as_secs_f64() - theirs)
    }

    /// A session beside the pool, with the same limits.
    pub(super) async fn session(&self) -> Result<PgConnection, sqlx::Error> {
        let mut session = connect(&self.options).await?;
        session.execute(CAREFUL).await?;
        session.execute(SESSION).await?;
        Ok(session)
    }

    /// Ends the sessions in order.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// `None` where there is no record yet.
    async fn applied_version(&self) -> Result<Option<i64>, StoreError> {
        let doing = "tell the schema's version";
        let there: bool = sqlx::query_scalar("select pg_catalog.to_regclass('inventory._sqlx_migrations') is not null")
            .fetch_one(&self.pool)
            .await
            .doing(doing)?;
        if !there {
            return Ok(None);
        }
        sqlx::query_scalar(AssertSqlSafe(format!(
            "select pg_catalog.max(version) from {MIGRATIONS_TABLE} where success"
        )))
        .fetch_one(&self.pool)
        .await
        .doing(doing)
    }
}

/// Without the password that the options hold.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = place(&self.options);
        f.debug_struct("Store").field("place", &place).finish_non_exhaustive()
    }
}

/// Where the database is, for people.
pub(super) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{} (database {})", socket.display(), shown(database)),
        None => format!(
            "{}:{} (database {})",
            shown(options.get_host()),
            options.get_port(),
            shown(database)
        ),
    }
}

/// A pool tries a refused connection again until its time is over, and then does not say why. So one connection is made
/// before there is a pool.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connected = tokio::time::timeout(PATIENCE, options.connect()).await;
    connected.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}

/// Whether a session answers what it was asked. One whose user was dropped in the midst of a COPY has an answer waiting
/// that the driver does not know of, and would give it to the next who asks: then it is closed.
async fn is_in_step(session: &mut PgConnection) -> Result<bool, sqlx::Error> {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let question = ASKED.fetch_add(1, Ordering::Relaxed).to_string();
    // No parameter: a prepared statement would be two round trips more.
    let answer = sqlx::raw_sql(AssertSqlSafe(format!("select '{question}'")))
        .fetch_optional(session)
        .await?;
    Ok(answer.is_some_and(|row| row.try_get::<&str, _>(0).is_ok_and(|text| text == question)))
}

pub(super) async fn backend(session: &mut PgConnection) -> Result<i32, sqlx::Error> {
    let row = sqlx::raw_sql("select pg_catalog.pg_backend_pid()")
        .fetch_one(session)
        .await?;
    row.try_get(0)
}

/// A pooler in transaction mode gives each transaction any server session, so a session's lock would be nobody's. It
/// shows: while another session is in a transaction, ours is suddenly served by a different one. Checked before anything
/// else, without prepared statements, which such a pooler mixes up, and before anything is set in a session, which would
/// stay set for the pooler's other clients.
async fn refuse_transaction_pooler(mut ours: PgConnection, options: &PgConnectOptions) -> Result<(), StoreError> {
    let doing = "tell whether it keeps sessions";
    let mut other = connect(options).await.doing(doing)?;
    let before = backend(&mut ours).await.doing(doing)?;
    let mut transaction = other.begin().await.doing(doing)?;
    let others = backend(&mut transaction).await.doing(doing)?;
    let after = backend(&mut ours).await.doing(doing)?;
    if before != after || before == others {
        return Err(StoreError::TransactionPooler);
    }
    transaction.rollback().await.doing(doing)?;
    other.close().await.doing(doing)?;
    ours.close().await.doing(doing)
}

/// Why no session could be opened. A server that declines the TLS it was asked for is a matter of configuration.
pub(super) fn unreachable(options: &PgConnectOptions, source: sqlx::Error) -> StoreError {
    let place = place(options);
    match encryption::is_declined(&source) {
        true => StoreError::NoTls { place },
        false => StoreError::Unreachable {
            place,
            source: source.into(),
        },
    }
}

fn newest_version() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

fn newer_schema(found: i64) -> StoreError {
    StoreError::SchemaVersion {
        found,
        known: newest_version(),
        todo: "a newer durable-inventory has used this database; use that version or a newer one",
    }
}
