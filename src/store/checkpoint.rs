//! The checkpoint of a walk: all that another process needs to resume after the last committed page. Its columns are
//! read and written here only.

use sqlx::PgConnection;

use super::decode::{digest_from, id_from};
use super::error::Doing;
use super::walk::{Base, Walk};
use super::{Lease, StoreError};
use crate::digest::SetDigest;
use crate::model::{ChangeCounts, ChangeKind, Counts, Cursor, CycleSearch, ObjectId, Observation, Pagination};

/// How far a walk has come.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoint {
    /// The last page was read, and its end was believed.
    pub all_pages_read: bool,
    pub pagination: Pagination,
    /// Everything up to this id has been compared with the record, and the differences are staged.
    pub compared_through: Option<ObjectId>,
    /// The last row seen. It is compared with the next page, which may repeat it with another flag.
    pub pending_row: Option<Observation>,
    /// Rows in the spool; `None` when the walk is not spooled.
    pub spooled_rows: Option<u64>,
    pub pages: u64,
    pub requests: u64,
    pub counts: Counts,
    /// Over the objects walked and compared so far.
    pub digest: SetDigest,
    /// What the changes so far add to the base's digest.
    pub change_digest: SetDigest,
    /// How often the walk was resumed.
    pub resumed: u64,
}

impl Checkpoint {
    /// Objects listed by the pages so far.
    pub fn rows_seen(&self) -> u64 {
        match self.spooled_rows {
            Some(rows) => rows,
            None => self.counts.objects() + u64::from(self.pending_row.is_some()),
        }
    }

    /// Whether the walk came to a proven end: every page was read, every id was compared, and no row of the spool was
    /// lost on the way.
    pub(super) fn is_proven(&self) -> bool {
        let spool_is_whole = self.spooled_rows.is_none_or(|rows| rows == self.counts.objects());
        self.all_pages_read && self.compared_through == Some(ObjectId::MAX) && spool_is_whole
    }

    /// Replaces `before`, the checkpoint that this process committed last. A database that was restarted may be at an
    /// earlier one, and pages would be missing: [`StoreError::CheckpointLost`].
    pub(super) async fn save(
        &self,
        connection: &mut PgConnection,
        snapshot_id: i32,
        before: &Self,
    ) -> Result<(), StoreError> {
        let counts = &self.counts;
        let changes = &counts.changes;
        let pagination = &self.pagination;
        let (digest, change_digest) = (self.digest.to_bytes(), self.change_digest.to_bytes());
        let written = sqlx::query!(
            "update inventory.snapshot set
                 checkpoint_at = pg_catalog.clock_timestamp(), walked = $2,
                 finished_at = case when $2 then coalesce(finished_at, pg_catalog.clock_timestamp()) end, cursor = $3, compared_to = $4, spooled = $5,
                 empty_pages = $6, anchor_cursor = $7, anchor_steps = $8, anchor_limit = $9,
                 pages = $10, requests = $11, with_data = $12, without_data = $13, unknown = $14,
                 created = $15, removed = $16, data_gained = $17, data_lost = $18, data_known = $19,
                 data_unknown = $20, digest = $21, change_digest = $22, carried_id = $23, carried_flag = $24, page_limit = $25
             where snapshot_id = $1 and pages = $26 and compared_to is not distinct from $27",
            snapshot_id,
            self.all_pages_read,
            pagination.cursor.as_ref().map(Cursor::as_str),
            bytes(&self.compared_through),
            self.spooled_rows.map(|rows| rows as i64),
            pagination.empty_pages as i32,
            pagination.cycle.anchor.as_ref().map(Cursor::as_str),
            pagination.cycle.steps as i64,
            pagination.cycle.limit as i64,
            self.pages as i64,
            self.requests as i64,
            counts.with_data as i64,
            counts.without_data as i64,
            counts.unknown as i64,
            changes[ChangeKind::Created] as i64,
            changes[ChangeKind::Removed] as i64,
            changes[ChangeKind::DataGained] as i64,
            changes[ChangeKind::DataLost] as i64,
            changes[ChangeKind::DataKnown] as i64,
            changes[ChangeKind::DataUnknown] as i64,
            digest.as_slice(),
            change_digest.as_slice(),
            self.pending_row.as_ref().map(|row| row.id.as_bytes().as_slice()),
            self.pending_row.and_then(|row| Option::<bool>::from(row.data)),
            pagination.limit.map(|limit| limit as i32),
            before.pages as i64,
            bytes(&before.compared_through)
        )
        .execute(connection)
        .await
        .doing("commit a page")?;
        match written.rows_affected() {
            1 => Ok(()),
            _ => Err(StoreError::CheckpointLost),
        }
    }
}

fn bytes(id: &Option<ObjectId>) -> Option<&[u8]> {
    id.as_ref().map(|id| id.as_bytes().as_slice())
}

impl Walk {
    /// Reads a walk from the record.
    pub async fn load(lease: Lease, snapshot_id: i32) -> Result<Self, StoreError> {
        let row = sqlx::query!(
            "select s.*, n.one_cursor, n.page_limit as remembered_limit, b.snapshot_id as \"base_id?\",
                    b.with_data + b.without_data + b.unknown as base_objects, b.digest as \"base_digest?\"
             from inventory.snapshot s
             join inventory.namespace n using (namespace_key)
             left join inventory.snapshot b on b.snapshot_id = s.base_snapshot
             where s.snapshot_id = $1",
            snapshot_id
        )
        .fetch_one(&mut *lease.store.acquire().await?)
        .await
        .doing("read a snapshot")?;
        let base = match (row.base_id, row.base_objects, row.base_digest) {
            (Some(snapshot_id), Some(objects), Some(digest)) => Some(Base {
                snapshot_id,
                objects: objects as u64,
                digest: digest_from(&digest)?,
            }),
            _ => None,
        };
        let pending_row = match row.carried_id {
            Some(id) => Some(Observation {
                id: id_from(&id)?,
                data: row.carried_flag.into(),
            }),
            None => None,
        };
        let checkpoint = Checkpoint {
            all_pages_read: row.walked,
            pagination: Pagination {
                cursor: row.cursor.and_then(Cursor::new),
                empty_pages: row.empty_pages as u32,
                cycle: CycleSearch {
                    anchor: row.anchor_cursor.and_then(Cursor::new),
                    steps: row.anchor_steps as u64,
                    limit: row.anchor_limit as u64,
                },
                limit: row.page_limit.map(|limit| limit as u32),
            },
            compared_through: row.compared_to.as_deref().map(id_from).transpose()?,
            pending_row,
            spooled_rows: row.spooled.map(|rows| rows as u64),
            pages: row.pages as u64,
            requests: row.requests as u64,
            counts: Counts {
                with_data: row.with_data as u64,
                without_data: row.without_data as u64,
                unknown: row.unknown as u64,
                changes: ChangeCounts::from_iter([
                    (ChangeKind::Created, row.created as u64),
                    (ChangeKind::Removed, row.removed as u64),
                    (ChangeKind::DataGained, row.data_gained as u64),
                    (ChangeKind::DataLost, row.data_lost as u64),
                    (ChangeKind::DataKnown, row.data_known as u64),
                    (ChangeKind::DataUnknown, row.data_unknown as u64),
                ]),
            },
            digest: digest_from(&row.digest)?,
            change_digest: digest_from(&row.change_digest)?,
            resumed: row.resumed as u64,
        };
        Ok(Self {
            lease,
            snapshot_id,
            status: row.status,
            base,
            one_cursor: row.one_cursor,
            page_limit: row.remembered_limit.map(|limit| limit as u32),
            checkpoint,
        })
    }
}
