//! Whether a new session reaches the database that the process has worked with so far.
//!
//! An address may lead elsewhere after a reconnect: to another database that took the name or the socket's path, to a
//! restored backup, or to a standby that lacks the newest commits. Each record has an identity; a copy of it has the
//! same, but is behind: in the time of its newest publication, or in the number of leases taken.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::{PgConnection, Row};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::session::{INSUFFICIENT_PRIVILEGE, has_code, place};
use super::{Store, StoreError};

/// What this process knows of its database. Empty until [`Store::remember_database`]: before, there may be no schema.
#[derive(Debug, Clone, Default)]
pub(super) struct SeenDatabase(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    /// Cancelled when a session reached another database.
    replaced: CancellationToken,
}

#[derive(Debug, Default)]
struct Seen {
    marks: Option<Marks>,
    difference: Option<Difference>,
}

/// What a database says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Marks {
    /// `None` if the schema is older than identities.
    identity: Option<String>,
    /// The time of the newest publication, in microseconds since 1970; `None` if nothing was ever published.
    recorded_at: Option<i64>,
    /// How often the lock of any namespace was acquired: it only grows.
    leases: i64,
}

/// How a database differs from the one that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    NoRecord,
    Identity,
    Publications,
    Leases,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRecord => "its inventory is missing or can't be read",
            Self::Identity => "its inventory has another identity",
            Self::Publications => "its newest publication is older than one that this run has seen",
            Self::Leases => "its locks were acquired less often than this run has seen",
        })
    }
}

impl Marks {
    fn difference(&self, found: &Self) -> Option<Difference> {
        if self.identity.is_some() && self.identity != found.identity {
            return Some(Difference::Identity);
        }
        if found.recorded_at < self.recorded_at {
            return Some(Difference::Publications);
        }
        (found.leases < self.leases).then_some(Difference::Leases)
    }

    /// Raises the marks to those just read from the same database.
    fn advance_to(&mut self, found: &Self) {
        self.recorded_at = self.recorded_at.max(found.recorded_at);
        self.leases = self.leases.max(found.leases);
    }
}

impl SeenDatabase {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares a new session's database with the known one. Costs one short query; none before there is something to
    /// compare with.
    pub(super) async fn check(&self, session: &mut PgConnection) -> Result<Option<Difference>, sqlx::Error> {
        // Taken before the database is read: what is published meanwhile may not be in what was read.
        let Some(known) = self.seen().marks.clone() else {
            return Ok(None);
        };
        let found = match read(session).await {
            Ok(found) => found,
            // A statement refused by the database, such as for a missing table; anything else is a fault of the
            // connection.
            Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code.starts_with("42")) => None,
            Err(error) => return Err(error),
        };
        let difference = match &found {
            None => Some(Difference::NoRecord),
            Some(found) => known.difference(found),
        };
        match (difference, found) {
            (Some(difference), _) => self.replaced_by(difference),
            (None, Some(found)) => {
                if let Some(marks) = &mut self.seen().marks {
                    marks.advance_to(&found);
                }
            }
            (None, None) => {}
        }
        Ok(difference)
    }

    /// Notes a publication: a database that lacks it is another one.
    pub(super) fn saw_publication(&self, recorded_at: OffsetDateTime) {
        let micros = recorded_at.unix_timestamp_nanos() / 1_000;
        if let Some(marks) = &mut self.seen().marks {
            marks.recorded_at = marks.recorded_at.max(i64::try_from(micros).ok());
        }
    }

    fn replaced_by(&self, difference: Difference) {
        self.seen().difference.get_or_insert(difference);
        self.0.replaced.cancel();
    }
}

impl Store {
    /// Remembers what tells this database from another one, for all sessions that are opened from now on. The
    /// sessions of a role that may not read it are not compared; `missing_grants` names that right.
    pub async fn remember_database(&self) -> Result<(), StoreError> {
        if self.known.seen().marks.is_some() {
            return Ok(());
        }
        let doing = "read the identity of the inventory";
        let mut session = self.acquire().await?;
        match read(&mut session).await {
            Ok(marks) => self.known.seen().marks = marks,
            Err(error) if has_code(&error, INSUFFICIENT_PRIVILEGE) => {
                tracing::debug!("a reconnect can't tell whether it reaches the same database: {error}");
            }
            Err(error) => return Err(StoreError::while_doing(doing)(error)),
        }
        Ok(())
    }

    /// Waits until a session reaches another database than the known one. Nothing more may be written then.
    pub async fn replaced(&self) -> StoreError {
        self.known.0.replaced.cancelled().await;
        let difference = self.known.seen().difference;
        self.other_database(difference.unwrap_or(Difference::NoRecord))
    }

    pub(super) fn other_database(&self, difference: Difference) -> StoreError {
        StoreError::OtherDatabase {
            place: place(&self.options),
            difference,
        }
    }
}

/// `None` if the record is not there. A row as a whole, so that a schema without the column can be read too.
async fn read(session: &mut PgConnection) -> Result<Option<Marks>, sqlx::Error> {
    let row = sqlx::raw_sql(
        "select pg_catalog.to_jsonb(s) ->> 'identity',
                (extract(epoch from nullif(last_recorded_at, '-infinity')) * 1000000)::int8,
                (select coalesce(pg_catalog.sum(fence), 0)::int8 from inventory.namespace)
         from inventory.store s",
    )
    .fetch_optional(session)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Marks {
        identity: row.try_get(0)?,
        recorded_at: row.try_get(1)?,
        leases: row.try_get(2)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(identity: Option<&str>, recorded_at: Option<i64>) -> Marks {
        Marks {
            identity: identity.map(str::to_owned),
            recorded_at,
            leases: 5,
        }
    }

    #[test]
    fn another_identity_or_an_older_record_is_another_database() {
        let known = marks(Some("a"), Some(7));
        for (found, difference) in [
            (marks(Some("a"), Some(7)), None),
            (marks(Some("a"), Some(8)), None),
            (marks(Some("b"), Some(8)), Some(Difference::Identity)),
            (marks(None, Some(8)), Some(Difference::Identity)),
            (marks(Some("a"), Some(6)), Some(Difference::Publications)),
            (marks(Some("a"), None), Some(Difference::Publications)),
        ] {
            assert_eq!(known.difference(&found), difference, "{found:?}");
        }
        let fewer = Marks {
            leases: 4,
            ..known.clone()
        };
        assert_eq!(known.difference(&fewer), Some(Difference::Leases));
        assert_eq!(
            marks(None, None).difference(&marks(Some("a"), Some(1))),
            None,
            "migrated meanwhile"
        );
    }
}
