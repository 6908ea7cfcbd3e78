//! A reader of the record, and what a moment means to it.
//!
//! A reader looks at the record in one repeatable-read transaction. Before that it waits for a publication that is in
//! its last statements, so that an answer about a moment never changes (promise 1): whatever is published after the
//! reader has looked is recorded later than every moment that the reader may be asked for.

use sqlx::{Executor, PgConnection};
use time::OffsetDateTime;

use super::decode::digest_from;
use super::error::Doing;
use super::lease::{LOCK_SPACE, PUBLISHING};
use super::{Store, StoreError};
use crate::digest::SetDigest;
use crate::model::label;
use crate::moment::Moment;

/// The limits of other sessions would end an export whose destination is slow.
const UNHURRIED: &str = "begin isolation level repeatable read read only; \
     set local statement_timeout = 0; set local idle_in_transaction_session_timeout = '1h'";

/// The record as it is at one moment, for as long as this lives.
#[derive(Debug)]
pub struct Reader {
    pub(super) session: PgConnection,
    now: OffsetDateTime,
    known_until: OffsetDateTime,
}

/// A namespace that has a record.
#[derive(Debug, Clone)]
pub struct ReadNamespace {
    pub(super) key: i32,
    pub account_id: String,
    pub namespace_id: String,
    pub name: Option<String>,
    /// Of the baseline: nothing is known of moments before it.
    pub(super) baseline_snapshot: i32,
    pub recorded_since: OffsetDateTime,
    /// What was before it was pruned; the newest snapshot by then is the first that can be asked for.
    pub(super) horizon: Option<OffsetDateTime>,
    pub(super) horizon_snapshot: Option<i32>,
}

impl ReadNamespace {
    /// What a person is shown: the name where there is one, else the id.
    pub fn label(&self) -> &str {
        label(self.name.as_deref(), &self.namespace_id)
    }

    /// The first moment that can be asked for, where history was pruned.
    pub fn horizon(&self) -> Option<OffsetDateTime> {
        self.horizon
    }

    /// Whether prune may have dropped the snapshot, or what it needs to be read.
    pub fn is_pruned(&self, snapshot_id: i32) -> bool {
        self.horizon_snapshot.is_some_and(|first| snapshot_id < first)
    }

    fn require_kept(&self, moment: Moment, by: Option<OffsetDateTime>, found: Option<i32>) -> Result<(), StoreError> {
        let Some(horizon) = self.horizon else { return Ok(()) };
        let too_early = match (by, found) {
            // Before the baseline nothing was known anyway.
            (Some(by), _) => by >= self.recorded_since && by < horizon,
            (None, Some(found)) => self.is_pruned(found),
            // So many snapshots back there is none left; a snapshot's id may be another namespace's.
            (None, None) => matches!(moment, Moment::Latest(_)),
        };
        if too_early {
            return Err(StoreError::Pruned {
                namespace: self.label().to_owned(),
                moment,
                horizon,
            });
        }
        Ok(())
    }
}

/// A published snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotAt {
    pub snapshot_id: i32,
    pub started_at: OffsetDateTime,
    pub finished_at: OffsetDateTime,
    pub recorded_at: OffsetDateTime,
    pub objects: u64,
    pub digest: SetDigest,
    pub digest_version: i16,
}

impl Store {
    pub async fn reader(&self) -> Result<Reader, StoreError> {
        let doing = "look at the record";
        let mut session = self.session().await.doing(doing)?;
        let now = sqlx::query_scalar!("select pg_catalog.clock_timestamp() as \"now!\"")
            .fetch_one(&mut session)
            .await
            .doing(doing)?;
        // No publication is in its last statements while this is held, and the next one reads the clock after `now`.
        // It needs no privilege.
        sqlx::query!(
            "select pg_catalog.pg_advisory_xact_lock_shared($1, $2)",
            LOCK_SPACE,
            PUBLISHING
        )
        .execute(&mut session)
        .await
        .doing("wait for a publication in its last statements")?;
        session.execute(UNHURRIED).await.doing(doing)?;
        // A standby knows nothing of its primary's locks, but publications reach it in the order of their moments: up
        // to the newest that it has, nothing is missing.
        let known_until = sqlx::query_scalar!(
            "select case when pg_catalog.pg_is_in_recovery() then greatest(last_recorded_at, 'epoch')
                         else $1 end as \"until!\"
             from inventory.store",
            now
        )
        .fetch_one(&mut session)
        .await
        .doing(doing)?;
        Ok(Reader {
            session,
            now,
            known_until,
        })
    }
}

impl Reader {
    /// The database's clock when the reader came.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// By account and id. Namespaces without a published snapshot are not among them.
    pub async fn namespaces(&mut self) -> Result<Vec<ReadNamespace>, StoreError> {
        sqlx::query_as!(
            ReadNamespace,
            "select n.namespace_key as key, a.account_id, n.namespace_id, n.name,
                    n.baseline_snapshot as \"baseline_snapshot!\", s.recorded_at as \"recorded_since!\",
                    n.horizon, n.horizon_snapshot
             from inventory.namespace n
             join inventory.account a using (account_key)
             join inventory.snapshot s on s.snapshot_id = n.baseline_snapshot
             where n.published_snapshot is not null
             order by a.account_id collate \"C\", n.namespace_id collate \"C\""
        )
        .fetch_all(&mut self.session)
        .await
        .doing("list the namespaces")
    }

    /// The newest snapshot of the namespace that was published by then; `None` where there is no record of that
    /// moment. A snapshot of another namespace is none of this one. A moment before the horizon is an error: what is left
    /// of it is not all that was there.
    pub async fn snapshot_at(
        &mut self,
        namespace: &ReadNamespace,
        moment: Moment,
    ) -> Result<Option<SnapshotAt>, StoreError> {
        let (by, back, only) = match moment {
            Moment::At(at) => (Some(self.not_in_the_future(at)?), 0, None),
            // What lies before all time lies before every record.
            Moment::Ago(ago) => match self.now.checked_sub(ago.try_into().unwrap_or(time::Duration::MAX)) {
                Some(at) => (Some(self.not_in_the_future(at)?), 0, None),
                None => return Ok(None),
            },
            Moment::Latest(back) => (None, i64::from(back), None),
            Moment::Snapshot(id) => (None, 0, Some(id)),
        };
        let row = sqlx::query!(
            "select snapshot_id, started_at, finished_at as \"finished_at!\", recorded_at as \"recorded_at!\",
                    with_data + without_data + unknown as \"objects!\", digest, digest_version
             from inventory.snapshot
             where namespace_key = $1 and status = 'complete'
               and ($2::timestamptz is null or recorded_at <= $2) and ($3::int is null or snapshot_id = $3)
             order by snapshot_id desc offset $4 limit 1",
            namespace.key,
            by,
            only,
            back
        )
        .fetch_optional(&mut self.session)
        .await
        .doing("find the snapshot of a moment")?;
        namespace.require_kept(moment, by, row.as_ref().map(|row| row.snapshot_id))?;
        row.map(|row| {
            Ok(SnapshotAt {
                snapshot_id: row.snapshot_id,
                started_at: row.started_at,
                finished_at: row.finished_at,
                recorded_at: row.recorded_at,
                objects: row.objects as u64,
                digest: digest_from(&row.digest)?,
                digest_version: row.digest_version,
            })
        })
        .transpose()
    }

    /// Says why a snapshot that was named can't be read, where it can't.
    pub async fn require_published(&mut self, snapshot: i32) -> Result<(), StoreError> {
        let status = sqlx::query_scalar!("select status from inventory.snapshot where snapshot_id = $1", snapshot)
            .fetch_optional(&mut self.session)
            .await
            .doing("find a snapshot")?;
        match status {
            None => Err(StoreError::NoSnapshot(snapshot)),
            Some(status) if status != "complete" => Err(StoreError::Unpublished { snapshot, status }),
            Some(_) => Ok(()),
        }
    }

    fn not_in_the_future(&self, asked: OffsetDateTime) -> Result<OffsetDateTime, StoreError> {
        if asked <= self.known_until {
            return Ok(asked);
        }
        Err(StoreError::Future {
            asked,
            known_until: self.known_until,
        })
    }
}
