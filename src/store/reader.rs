//! Reads the record in one repeatable-read transaction, and finds the snapshot of a point in time.
//!
//! An answer about a point in time never changes (promise 1). For that, a reader first waits for a publication that is
//! in its last statements: everything published afterwards is recorded later than every point in time that this reader
//! answers for.

use sqlx::{Executor, PgConnection};
use time::OffsetDateTime;

use super::decode::digest_from;
use super::error::Doing;
use super::lease::{LOCK_SPACE, PUBLISHING};
use super::namespaces::namespace_records;
use super::{PublishedRecord, Store, StoreError};
use crate::digest::SetDigest;
use crate::model::label;
use crate::moment::Moment;

/// The limits of other sessions would end an export to a slow destination.
const BEGIN: &str = "begin isolation level repeatable read read only; \
     set local statement_timeout = 0; set local idle_in_transaction_session_timeout = '1h'";

/// A consistent view of the record, as of the time when the reader was opened.
#[derive(Debug)]
pub struct Reader {
    pub(super) session: PgConnection,
    now: OffsetDateTime,
    known_until: OffsetDateTime,
}

/// A namespace that has a published snapshot.
#[derive(Debug, Clone)]
pub struct ReadNamespace {
    pub(super) key: i32,
    pub account_id: String,
    pub namespace_id: String,
    pub name: Option<String>,
    /// Whether it is missing now; its objects stay recorded until it is retired.
    pub is_missing: bool,
    pub published: PublishedRecord,
}

impl ReadNamespace {
    /// The name, or else the id, for messages.
    pub fn label(&self) -> &str {
        label(self.name.as_deref(), &self.namespace_id)
    }

    /// Whether prune may have deleted the snapshot, or rows that are needed to read it.
    pub fn is_pruned(&self, snapshot_id: i32) -> bool {
        self.published.horizon_snapshot.is_some_and(|first| snapshot_id < first)
    }

    fn require_kept(&self, moment: Moment, by: Option<OffsetDateTime>, found: Option<i32>) -> Result<(), StoreError> {
        let Some(horizon) = self.published.horizon else {
            return Ok(());
        };
        let too_early = match (by, found) {
            // Nothing was known before the baseline anyway.
            (Some(by), _) => by >= self.published.recorded_since && by < horizon,
            (None, Some(found)) => self.is_pruned(found),
            // There are not that many snapshots left. A snapshot id may belong to another namespace.
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
        let doing = "open the inventory";
        let mut session = self.session().await.doing(doing)?;
        let now = sqlx::query_scalar!("select pg_catalog.clock_timestamp() as \"now!\"")
            .fetch_one(&mut session)
            .await
            .doing(doing)?;
        // While this lock is held, no publication is in its last statements, and the next one reads the clock after
        // `now`. The lock needs no privilege.
        sqlx::query!(
            "select pg_catalog.pg_advisory_xact_lock_shared($1, $2)",
            LOCK_SPACE,
            PUBLISHING
        )
        .execute(&mut session)
        .await
        .doing("wait for another run's publication")?;
        session.execute(BEGIN).await.doing(doing)?;
        // A standby does not see its primary's locks, but it receives publications in the order of `recorded_at`: up to
        // the newest one that it has, none is missing.
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
    /// The database's clock when the reader was opened.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// The namespaces that have a published snapshot, by account and id.
    pub async fn namespaces(&mut self) -> Result<Vec<ReadNamespace>, StoreError> {
        let records = namespace_records(&mut self.session, None).await?;
        let mut namespaces: Vec<_> = records
            .into_iter()
            .filter_map(|record| {
                Some(ReadNamespace {
                    key: record.key,
                    account_id: record.account_id,
                    namespace_id: record.namespace_id,
                    name: record.name,
                    is_missing: record.missing_since.is_some(),
                    published: record.published?,
                })
            })
            .collect();
        namespaces.sort_by(|a, b| (&a.account_id, &a.namespace_id).cmp(&(&b.account_id, &b.namespace_id)));
        Ok(namespaces)
    }

    /// The newest snapshot of the namespace that was published by then, or `None` if there is none, as for a snapshot
    /// id of another namespace. Fails before the horizon, where the record is no longer complete.
    pub async fn snapshot_at(
        &mut self,
        namespace: &ReadNamespace,
        moment: Moment,
    ) -> Result<Option<SnapshotAt>, StoreError> {
        let (by, back, only) = match moment {
            Moment::At(at) => (Some(self.not_in_the_future(at)?), 0, None),
            // A point in time that can't be represented is earlier than any record.
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
        .doing("find the snapshot of a point in time")?;
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

    /// Fails if the snapshot does not exist or was not published.
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
        let known_until = self.known_until;
        Err(match asked <= self.now {
            true => StoreError::BeforeStandby { asked, known_until },
            false => StoreError::Future { asked, known_until },
        })
    }
}
