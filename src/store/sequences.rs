//! Numbers rise: a snapshot that is published later has a greater one, and every answer about the past rests on that. A
//! sequence does not keep that promise alone. Logical replication and a restore of rows leave it where it began, and prune
//! leaves gaps into which it would give a number below the newest.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{Store, StoreError};

/// A column that a sequence fills, and the columns that name its rows. A row may have been pruned, or restored without
/// those that it names, while others still name it.
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

/// Only columns that begin an index, or are in a small table. `first_snapshot` is left out, which is never above the
/// `from_snapshot` beside it, and so are the rows of walks in progress, which are dropped before their snapshot is.
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

const DOING: &str = "compare its sequences with the record's newest numbers";

impl Store {
    /// Outside of a transaction.
    pub(super) async fn newest(&self, numbered: &Numbered) -> Result<Newest, StoreError> {
        let mut session = self.pool.acquire().await.map_err(StoreError::while_doing(DOING))?;
        numbered.newest(&mut session).await
    }

    /// Moves on what stands below the record's newest numbers. Where this role may not, the error has the statements for
    /// the owner to run. A sequence that this role may not read either is noticed when it gives a number.
    pub(super) async fn move_sequences_on(&self) -> Result<(), StoreError> {
        let mut session = self.pool.acquire().await.map_err(StoreError::while_doing(DOING))?;
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
            .map_err(StoreError::while_doing(DOING))?;
            if !may_read || next(&mut session, sequence).await? > newest.number {
                continue;
            }
            match may_set {
                true => numbered.move_on(&mut session, sequence).await?,
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
    pub(super) async fn newest(&self, session: &mut PgConnection) -> Result<Newest, StoreError> {
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
        .map_err(StoreError::while_doing(DOING))?;
        Ok(Newest {
            number,
            sequence,
            key: format!("{}_pkey", self.table),
        })
    }

    /// No row is inserted meanwhile, so no number is taken that the sequence would be set back behind.
    async fn move_on(&self, session: &mut PgConnection, sequence: &str) -> Result<(), StoreError> {
        let failed = || StoreError::while_doing("move a sequence on");
        let mut transaction = session.begin().await.map_err(failed())?;
        sqlx::raw_sql(AssertSqlSafe(format!(
            "lock table inventory.{} in share row exclusive mode",
            self.table
        )))
        .execute(&mut *transaction)
        .await
        .map_err(failed())?;
        let newest = self.newest(&mut transaction).await?.number;
        let next = next(&mut transaction, sequence).await?;
        // Another run may have come first.
        if next <= newest {
            sqlx::raw_sql(AssertSqlSafe(statement(sequence, newest)))
                .execute(&mut *transaction)
                .await
                .map_err(failed())?;
            tracing::warn!(
                "the sequence {sequence} had begun again, as after a replication or a restore: it would have given \
                 {next}, and was moved on to {newest}, the newest number in the record"
            );
        }
        transaction.commit().await.map_err(failed())
    }
}

/// The newest number that is in use, asked for before another one is taken: what is taken at the same time is greater.
pub(super) struct Newest {
    /// 0 where there is none.
    number: i64,
    /// Quoted, with its schema. `None` where the column has lost it.
    sequence: Option<String>,
    key: String,
}

impl Newest {
    /// The number that a row was given, or an error where it does not rise.
    pub(super) fn require_rising<T: Into<i64> + Copy>(&self, given: Result<T, StoreError>) -> Result<T, StoreError> {
        let given = given.map_err(|error| self.explain(error))?;
        match &self.sequence {
            Some(sequence) if given.into() <= self.number => Err(behind(sequence, self.number)),
            _ => Ok(given),
        }
    }

    /// A number that is taken already comes from a sequence that began again, too.
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

/// The number that a sequence gives next.
async fn next(session: &mut PgConnection, sequence: &str) -> Result<i64, StoreError> {
    sqlx::query_scalar(AssertSqlSafe(format!(
        "select case when is_called then last_value + 1 else last_value end from {sequence}"
    )))
    .fetch_one(session)
    .await
    .map_err(StoreError::while_doing(DOING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_greater_number_will_do() {
        let newest = Newest {
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
