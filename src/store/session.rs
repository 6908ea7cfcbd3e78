//! A single database session: opened, set up, and checked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};

use super::StoreError;
use super::encryption::refused_certificate;
use super::error::Doing;
use crate::text::shown;

/// The limits of each working session. Without them, a process that was stopped in the middle of a transaction would
/// keep its row locks, and with them the namespace, forever.
///
/// Objects are read in the order of their primary key, a bounded number at a time. A table that was just filled, such
/// as a spool, has no statistics yet, so the planner takes it for small: each such read would collect all remaining
/// rows in a bitmap and sort them.
pub(super) const LIMITS: &str = "set statement_timeout = '10min'; set lock_timeout = '2min'; \
     set idle_in_transaction_session_timeout = '60s'; set timezone = 'UTC'; set client_min_messages = warning; \
     set enable_bitmapscan = off";

/// The settings that the promises depend on, whatever the server's defaults are: an acknowledged commit is durable (a
/// stricter `synchronous_commit` stays), a statement sees what was committed before it, and a statement fails if row
/// security would hide rows from it.
///
/// Time limits that an administrator set for sessions or transactions would end a walk that makes progress. Each version
/// may add one, so the server is asked for their names; `LIMITS` sets those that are ours. `tcp_user_timeout` is the
/// network's.
///
/// Names without a schema are PostgreSQL's own. The search path comes first: a function or operator that another role
/// put into `public`, or into a schema of the database's own `search_path`, would run with the rights of this session's
/// role. It is set by a statement because poolers refuse it as a parameter at the start of a session.
pub(super) const SAFE_DEFAULTS: &str = "set search_path = pg_catalog, pg_temp; \
     set default_transaction_isolation = 'read committed'; set row_security = off; \
     select pg_catalog.set_config('synchronous_commit', 'on', false) \
     where pg_catalog.current_setting('synchronous_commit') in ('off', 'local'); \
     select pg_catalog.set_config(name, '0', false) from pg_catalog.pg_settings \
     where name like '%\\_timeout' and context = 'user' and setting <> '0' and name not like '%.%' \
       and name not in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', \
                        'tcp_user_timeout')";

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Opens a session. One is opened before the pool, which retries refused connections until its timeout and then does
/// not give the reason.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
    connected.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}

/// The error for a session that could not be opened.
pub(super) fn unreachable(options: &PgConnectOptions, source: sqlx::Error) -> StoreError {
    let place = place(options);
    if is_declined(&source) {
        return StoreError::NoTls { place };
    }
    match refused_certificate(&source) {
        Some(why) => StoreError::Certificate { place, why },
        None => StoreError::Unreachable {
            place,
            source: source.into(),
        },
    }
}

/// Whether the server does not offer TLS. The driver has no error code for it.
pub(super) fn is_declined(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Tls(why) if why.to_string() == "server does not support TLS")
}

/// PostgreSQL's code for a missing privilege.
pub(super) const INSUFFICIENT_PRIVILEGE: &str = "42501";

pub(super) fn has_code(error: &sqlx::Error, code: &str) -> bool {
    let found = error.as_database_error().and_then(|error| error.code());
    found.is_some_and(|found| found == code)
}

/// The place of the database, for messages.
pub(super) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{} (database {})", socket.display(), shown(database)),
        None => {
            let host = shown(options.get_host());
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            format!("{host}:{} (database {})", options.get_port(), shown(database))
        }
    }
}

/// Whether a session answers the statement that it was sent; if not, the pool closes it. A session that was returned in
/// the middle of a COPY has a response waiting that the driver does not know of, and would give it to the next
/// statement.
pub(super) async fn answers_in_step(session: &mut PgConnection) -> Result<bool, sqlx::Error> {
    static SENT: AtomicU64 = AtomicU64::new(0);
    let question = SENT.fetch_add(1, Ordering::Relaxed).to_string();
    // Without a parameter: a prepared statement would take two more round trips.
    let answer = sqlx::raw_sql(AssertSqlSafe(format!("select '{question}'")))
        .fetch_optional(session)
        .await?;
    Ok(answer.is_some_and(|row| row.try_get::<&str, _>(0).is_ok_and(|text| text == question)))
}

/// The process id of the session's server process.
pub(super) async fn backend(session: &mut PgConnection) -> Result<i32, sqlx::Error> {
    let row = sqlx::raw_sql("select pg_catalog.pg_backend_pid()")
        .fetch_one(session)
        .await?;
    row.try_get(0)
}

/// Refuses a pooler in transaction mode, where each transaction may run in another server session and a session's lock
/// has no owner. It is detected by a backend that changes while another session is in a transaction.
///
/// Checked before any other statement: such a pooler mixes up prepared statements, and settings would stay in sessions
/// of its other clients.
pub(super) async fn refuse_transaction_pooler(
    mut ours: PgConnection,
    options: &PgConnectOptions,
) -> Result<(), StoreError> {
    let doing = "find out whether it keeps sessions";
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
