//! The errors of the store.

use sqlx::postgres::PgDatabaseError;
use time::{OffsetDateTime, UtcOffset};

use std::fmt;

use super::identity::Difference;
use super::managed_postgres;
use super::session::{INSUFFICIENT_PRIVILEGE, has_code};
use crate::model::{AccountId, NamespaceId};
use crate::moment::Moment;
use crate::text::{shell_word, shown};

/// PostgreSQL's codes for a server, database or role that has no session left, and for a server that is starting.
const TOO_MANY_CONNECTIONS: &str = "53300";
const CANNOT_CONNECT_NOW: &str = "57P03";

/// What commands that only read say if no sync has recorded a namespace.
pub const NOTHING_RECORDED: &str = "nothing recorded yet; run `durable-inventory sync` first";

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database failed: could not {doing}")]
    Database { doing: &'static str, source: DatabaseFault },

    #[error("cannot connect to the database at {place}")]
    Unreachable { place: String, source: DatabaseFault },

    #[error(
        "the database at {place} does not offer TLS, so the password and the record would be sent unencrypted: \
         enable TLS on the server, or, on a trusted network, add sslmode=disable to the database's URL"
    )]
    NoTls { place: String },

    #[error("the certificate of the database at {place} is refused: {why}")]
    Certificate { place: String, why: String },

    #[error(
        "the schema `inventory` belongs to the role {}, not to this session's role {user}, so nothing was changed: \
         connect as the schema's owner{}, or, if this program created it, run `alter schema inventory owner to {user}`",
        shown(.owner),
        if *.superuser { "" } else { ", or use the privileges that the owner granted, with --no-migrate" }
    )]
    ForeignSchema {
        owner: String,
        /// Quoted for SQL.
        user: String,
        superuser: bool,
    },

    #[error(
        "the schema `inventory` of this database belongs to another program ({tables}), so nothing was changed: use \
         another database"
    )]
    SchemaInUse { tables: String },

    #[error("the server is a standby, which can't be written to: connect to its primary")]
    Standby,

    #[error("the database is read-only (default_transaction_read_only is on): {remedy}")]
    ReadOnly { remedy: String },

    #[error(
        "{} belongs to the role {}, and the schema `inventory` to another; it would run with this session's rights, \
         so nothing was changed: {remedy}",
        shown(.what), shown(.role)
    )]
    ForeignObject { what: String, role: String, remedy: String },

    #[error(
        "the database's sequences are behind the newest numbers in its tables, as after replication or a restore, so \
         nothing was published. As the owner of the schema `inventory`, run `{statements}`"
    )]
    SequencesBehind { statements: String },

    /// The database lost commits: after a crash, or a failover to a server that lagged behind.
    #[error("the database lost committed pages of this sync")]
    CheckpointLost,

    /// The private server ended, and could not be started again: waiting does not help.
    #[error("the private PostgreSQL stopped and could not be restarted")]
    ServerEnded { source: managed_postgres::Error },

    #[error(
        "the database at {place} is not the one that this run began with ({difference}), so nothing was written to \
         it: check which database is there now, and sync again when it is the right one"
    )]
    OtherDatabase { place: String, difference: Difference },

    /// Another process acquired the namespace's lock in the meantime, so nothing may be written.
    #[error("another run took over the namespace's lock, so this run wrote nothing more")]
    FenceLost,

    #[error(
        "account {account} was recorded from {recorded}, not from {asked}: use another database (or --data-dir) for \
         another API"
    )]
    OtherApi {
        account: AccountId,
        recorded: String,
        asked: String,
    },

    #[error("the record is inconsistent: {what}")]
    Inconsistent { what: String },

    #[error(
        "the rows of namespace {} were changed by something else: {what}; `durable-inventory sync --rebuild {}` \
         repairs the current objects, but not their history",
        shown(.namespace), shell_word(.namespace_id)
    )]
    Altered {
        namespace: String,
        namespace_id: String,
        what: String,
    },

    #[error("the schema `inventory` has version {found}, but this program needs version {known}: {todo}")]
    SchemaVersion { found: i64, known: i64, todo: &'static str },

    #[error("the schema `inventory` could not be updated; to retry, run `durable-inventory migrate`")]
    Migration { source: sqlx::migrate::MigrateError },

    #[error("PostgreSQL {found} is too old: version 14 or newer is required")]
    OldServer { found: String },

    #[error(
        "the connection goes through a pooler in transaction mode, which does not support session locks: use its \
         session mode, or connect to PostgreSQL directly"
    )]
    TransactionPooler,

    #[error("the record contains an invalid namespace id or account id: {text:?}")]
    InvalidId { text: String },

    #[error("{} is in the future: the latest possible time is {}", utc(*.asked), utc(*.known_until))]
    Future {
        asked: OffsetDateTime,
        known_until: OffsetDateTime,
    },

    #[error(
        "this server is a standby, whose record ends at {}, and the primary may have recorded more before {}: choose \
         {} or an earlier time, or connect to the primary",
        utc(*.known_until), utc(*.asked), utc(*.known_until)
    )]
    BeforeStandby {
        asked: OffsetDateTime,
        known_until: OffsetDateTime,
    },

    #[error(
        "{moment} is too early for namespace {}: its history before {} was pruned, so choose that time or a later one",
        shown(.namespace), utc(*.horizon)
    )]
    Pruned {
        namespace: String,
        moment: Moment,
        horizon: OffsetDateTime,
    },
    #[error("snapshot {0} does not exist or was pruned: see `durable-inventory snapshots`")]
    NoSnapshot(i32),

    #[error(
        "snapshot {snapshot} is {status}, and only complete snapshots can be used: see `durable-inventory snapshots`"
    )]
    Unpublished { snapshot: i32, status: String },

    #[error("namespace {0} is not recorded: see `durable-inventory namespaces`")]
    UnknownNamespace(NamespaceId),
}

fn utc(moment: OffsetDateTime) -> Moment {
    Moment::At(moment.to_offset(UtcOffset::UTC))
}

impl StoreError {
    /// Adds what the database was asked to do when it failed; see `Doing`.
    pub fn while_doing(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database {
            doing,
            source: DatabaseFault(source),
        }
    }

    /// Whether a row violated this unique constraint.
    pub(super) fn is_violation_of(&self, constraint: &str) -> bool {
        match self {
            Self::Database {
                source: DatabaseFault(sqlx::Error::Database(error)),
                ..
            } => error.is_unique_violation() && error.constraint() == Some(constraint),
            _ => false,
        }
    }

    /// Whether the database is unreachable or ended the session. Commits are kept, and a retry may succeed.
    pub fn is_connection_error(&self) -> bool {
        match self {
            Self::CheckpointLost => true,
            Self::Database { source, .. } | Self::Unreachable { source, .. } => source.is_connection_error(),
            _ => false,
        }
    }

    /// Whether this role lacks a right.
    pub fn is_missing_right(&self) -> bool {
        matches!(self, Self::Database { source, .. } if has_code(&source.0, INSUFFICIENT_PRIVILEGE))
    }

    /// Whether the server refused a session for now: it has no session left, or it is starting.
    pub fn is_momentary_refusal(&self) -> bool {
        match self {
            Self::Database { source, .. } | Self::Unreachable { source, .. } => {
                [TOO_MANY_CONNECTIONS, CANNOT_CONNECT_NOW]
                    .iter()
                    .any(|code| has_code(&source.0, code))
            }
            _ => false,
        }
    }

    /// Whether a later run may resume from the checkpoint: nothing says that the stored rows are wrong.
    pub fn leaves_walk_resumable(&self) -> bool {
        !matches!(self, Self::Inconsistent { .. } | Self::Altered { .. })
    }
}

/// Adds to a failure what the database was asked to do: `.await.doing("read the page")?`.
pub(super) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(StoreError::while_doing(doing))
    }
}

/// Keeps an error that has a description already.
impl<T> Doing<T> for Result<T, StoreError> {
    fn doing(self, _doing: &'static str) -> Result<T, StoreError> {
        self
    }
}

/// An error of the database or its connection, displayed without the place in the server's source code.
#[derive(Debug)]
pub struct DatabaseFault(sqlx::Error);

impl From<sqlx::Error> for DatabaseFault {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for DatabaseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            sqlx::Error::Database(error) => {
                f.write_str(&shown(error.message()))?;
                match error
                    .try_downcast_ref::<PgDatabaseError>()
                    .and_then(PgDatabaseError::routine)
                {
                    // The routine is the same in any language of the server.
                    Some("check_enable_rls") => f.write_str(
                        ": it hides rows from this role; use a role with BYPASSRLS, or the owner of the tables",
                    ),
                    _ => Ok(()),
                }
            }
            error => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for DatabaseFault {}

impl DatabaseFault {
    fn is_connection_error(&self) -> bool {
        match &self.0 {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Protocol(_) => true,
            // Class 08: connection exception; 57P: the server or an administrator ended the session; 25P03: idle in a
            // transaction for too long, as after this process was stopped.
            sqlx::Error::Database(error) => error.code().is_some_and(|code| {
                code.starts_with("08") || code.starts_with("57P") || code == "25P03" || code == TOO_MANY_CONNECTIONS
            }),
            _ => false,
        }
    }
}
