//! The table of runs: one row per `sync`.

use super::error::Doing;
use super::sequences::RUNS;
use super::{Store, StoreError};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    Done,
    Partial,
    Failed,
    Held,
    Busy,
    Interrupted,
}

impl RunOutcome {
    pub const ALL: [Self; 6] = [
        Self::Done,
        Self::Partial,
        Self::Failed,
        Self::Held,
        Self::Busy,
        Self::Interrupted,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Busy => "busy",
            Self::Interrupted => "interrupted",
        }
    }
}

impl Store {
    pub async fn begin_run(&self) -> Result<i64, StoreError> {
        let doing = "record the run's start";
        self.end_dead_runs().await?;
        self.advance_sequences().await?;
        let mut transaction = self.begin().await?;
        let newest = RUNS.newest(&mut transaction).await?;
        let given = sqlx::query_scalar!(
            "insert into inventory.run (version, session_name) values ($1, $2) returning run_id",
            env!("CARGO_PKG_VERSION"),
            self.session_name
        )
        .fetch_one(&mut *transaction)
        .await
        .doing(doing);
        let run_id = newest.require_rising(given)?;
        transaction.commit().await.doing(doing)?;
        Ok(run_id)
    }

    pub async fn finish_run(&self, run_id: i64, outcome: RunOutcome) -> Result<(), StoreError> {
        sqlx::query!(
            "update inventory.run set finished_at = pg_catalog.clock_timestamp(), outcome = $2 where run_id = $1",
            run_id,
            outcome.as_str()
        )
        .execute(&mut *self.acquire().await?)
        .await
        .doing("record the run's end")?;
        Ok(())
    }

    /// Marks runs as interrupted that were killed: none of their sessions is left.
    pub(super) async fn end_dead_runs(&self) -> Result<(), StoreError> {
        sqlx::query!(
            "update inventory.run r set outcome = 'interrupted'
             where outcome = 'running'
               and not exists (
                   select from pg_catalog.pg_stat_activity a
                   where a.datname = pg_catalog.current_database() and a.application_name = r.session_name
               )"
        )
        .execute(&mut *self.acquire().await?)
        .await
        .doing("find runs that were killed")?;
        Ok(())
    }
}
