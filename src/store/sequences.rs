//! Makes sure that ids from sequences rise: a snapshot that is published later must have a greater id, because every
//! answer about the past depends on it.
//!
//! A sequence alone does not guarantee that. Logical replication and a restore of rows leave it at its start, and where
//! prune left gaps it would then give ids below the newest without a conflict.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::error::Doing;
use super::{Store, StoreError};

/// A column filled by a sequence, and the columns that refer to it. Other rows may still refer to a row that was pruned
/// or not restored.
pub(super) struct Numbered {
    table: &'static str,
    column: &'static str,
    named_by: &'static [(&'static str, &'static str)],
}

pub(super) const ACCOUNTS: Numbered = Numbered {
    table: "account",
    column: "account_key",
    named_by: &[("namespace", "account_key")],
};

pub(super) const RUNS: Numbered = Numbered {
    table: "run",
    column: "run_id",
    named_by: &[("snapshot", "run_id")],
};

pub(super) const NAMESPACES: Numbered = Numbered {
    table: "namespace",
    column: "namespace_key",
    named_by: &[
        ("snapshot", "namespace_key"),
        ("open_interval", "namespace_key"),
        ("closed_interval", "namespace_key"),
        ("pruned_object", "namespace_key"),
    ],
};

/// Only columns at the start of an index, or of a small table. `first_snapshot` is not needed: it is never greater than
/// the `from_snapshot` in the same row. Neither are the rows of walks in progress, which are dropped before their
/// snapshot.
pub(super) const SNAPSHOTS: Numbered = Numbered {
    table: "snapshot",
    column: "snapshot_id",
    named_by: &[
        ("namespace", "published_snapshot"),
        ("namespace", "baseline_snapshot"),
        ("namespace", "horizon_snapshot"),
        ("open_interval", "from_snapshot"),
        ("closed_interval", "from_snapshot"),
        ("closed_interval", "to_snapshot"),
    ],
};

const ALL: [&Numbered; 4] = [&ACCOUNTS, &RUNS, &NAMESPACES, &SNAPSHOTS];

const DOING: &str = "compare the sequences with the newest numbers";

impl Store {
    /// The newest number in use, read outside a transaction.
    pub(super) async fn newest(&self, numbered: &Numbered) -> Result<NewestNumber, StoreError> {
        let mut session = self.acquire().await?;
        numbered.newest(&mut session).await
    }

    /// Advances sequences that are behind the record's newest numbers. If this role may not, the error contains the
    /// statements for the owner. A sequence that this role can't read is checked when it gives a number.
    pub(super) async fn advance_sequences(&self) -> Result<(), StoreError> {
        let mut session = self.acquire().await?;
        let mut statements = Vec::new();
        for numbered in ALL {
            let newest = numbered.newest(&mut session).await?;
            let Some(sequence) = &newest.sequence else { continue };
            let (may_read, may_set): (bool, bool) = sqlx::query_as(
                "select pg_catalog.has_sequence_privilege($1, 'select'),
                        pg_catalog.has_sequence_privilege($1, 'update')",
            )
            .bind(sequence)
            .fetch_one(&mut *session)
            .await
            .doing(DOING)?;
            if !may_read || next(&mut session, sequence).await? > newest.number {
                continue;
            }
            match may_set {
                true => numbered.advance(&mut session, sequence).await?,
                false => statements.push(statement(sequence, newest.number)),
            }
        }
        match statements.is_empty() {
            true => Ok(()),
            false => Err(StoreError::SequencesBehind {
                statements: statements.join("; "),
            }),
        }
    }
}

impl Numbered {
    pub(super) async fn newest(&self, session: &mut PgConnection) -> Result<NewestNumber, StoreError> {
        let columns = [(self.table, self.column)]
            .into_iter()
            .chain(self.named_by.iter().copied());
        let newest = columns.map(|(table, column)| format!("(select pg_catalog.max({column}) from inventory.{table})"));
        let (number, sequence) = sqlx::query_as(AssertSqlSafe(format!(
            "select coalesce(greatest({}), 0)::bigint, pg_catalog.pg_get_serial_sequence($1, $2)",
            newest.collect::<Vec<_>>().join(", ")
        )))
        .bind(format!("inventory.{}", self.table))
        .bind(self.column)
        .fetch_one(session)
        .await
        .doing(DOING)?;
        Ok(NewestNumber {
            number,
            sequence,
            key: format!("{}_pkey", self.table),
        })
    }

    /// Advances the sequence. The lock keeps others from inserting rows, whose numbers would otherwise be given twice.
    async fn advance(&self, session: &mut PgConnection, sequence: &str) -> Result<(), StoreError> {
        let doing = "advance a sequence";
        let mut transaction = session.begin().await.doing(doing)?;
        sqlx::raw_sql(AssertSqlSafe(format!(
            "lock table inventory.{} in share row exclusive mode",
            self.table
        )))
        .execute(&mut *transaction)
        .await
        .doing(doing)?;
        let newest = self.newest(&mut transaction).await?.number;
        let next = next(&mut transaction, sequence).await?;
        // Another run may have advanced it already.
        if next <= newest {
            sqlx::raw_sql(AssertSqlSafe(statement(sequence, newest)))
                .execute(&mut *transaction)
                .await
                .doing(doing)?;
            tracing::warn!(
                "the sequence {sequence} was behind, as after replication or a restore: its next number would have \
                 been {next}; it was advanced to {newest}, the newest number in its table"
            );
        }
        transaction.commit().await.doing(doing)
    }
}

/// The newest number in use, read before a new one is taken.
pub(super) struct NewestNumber {
    /// 0 if there is none.
    number: i64,
    /// Quoted, with its schema. `None` if the column has lost its sequence.
    sequence: Option<String>,
    key: String,
}

impl NewestNumber {
    /// Returns the number of a new row, or fails if it is not greater.
    pub(super) fn require_rising<T: Into<i64> + Copy>(&self, given: Result<T, StoreError>) -> Result<T, StoreError> {
        let given = given.map_err(|error| self.explain(error))?;
        match &self.sequence {
            Some(sequence) if given.into() <= self.number => Err(behind(sequence, self.number)),
            _ => Ok(given),
        }
    }

    /// Replaces a violation of the primary key: a number that is already in use also comes from a restarted sequence.
    pub(super) fn explain(&self, error: StoreError) -> StoreError {
        match &self.sequence {
            Some(sequence) if error.is_violation_of(&self.key) => behind(sequence, self.number),
            _ => error,
        }
    }
}

fn behind(sequence: &str, newest: i64) -> StoreError {
    StoreError::SequencesBehind {
        statements: statement(sequence, newest),
    }
}

fn statement(sequence: &str, newest: i64) -> String {
    format!("select pg_catalog.setval('{}', {newest})", sequence.replace('\'', "''"))
}

/// The next number of a sequence.
async fn next(session: &mut PgConnection, sequence: &str) -> Result<i64, StoreError> {
    sqlx::query_scalar(AssertSqlSafe(format!(
        "select case when is_called then last_value + 1 else last_value end from {sequence}"
    )))
    .fetch_one(session)
    .await
    .doing(DOING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_must_be_greater_than_the_newest() {
        let newest = NewestNumber {
            number: 7,
            sequence: Some("inventory.\"it's\"".to_owned()),
            key: "snapshot_pkey".to_owned(),
        };
        assert_eq!(newest.require_rising(Ok(8)).unwrap(), 8);
        for given in [1, 6, 7] {
            let refused = newest.require_rising(Ok(given)).unwrap_err().to_string();
            assert!(
                refused.contains("`select pg_catalog.setval('inventory.\"it''s\"', 7)`"),
                "{refused}"
            );
        }
    }
}
