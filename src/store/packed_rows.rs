//! Recorded and spooled rows by range of ids, packed into one value: 33 bytes per row instead of a message per row.

use sqlx::{AssertSqlSafe, PgConnection};

use super::decode::{id_from, inconsistent};
use super::error::Doing;
use super::{Lease, StoreError};
use crate::model::{ObjectId, Observation, StoredData};

/// The owner of the rows.
#[derive(Debug, Clone, Copy)]
pub(super) enum RowsOf {
    /// The present rows of a namespace, by its key.
    Namespace(i32),
    /// The spool of a walk, by its snapshot id.
    Spool(i32),
}

impl Lease {
    /// At most `limit` of the namespace's recorded objects with ids above `after`, ascending.
    pub async fn recorded_rows(&self, after: Option<&ObjectId>, limit: usize) -> Result<Vec<Observation>, StoreError> {
        self.rows(RowsOf::Namespace(self.namespace_key), after, limit).await
    }

    /// At most `limit` rows of a walk's spool with ids above `after`, ascending.
    pub async fn spooled_rows(
        &self,
        snapshot_id: i32,
        after: Option<&ObjectId>,
        limit: usize,
    ) -> Result<Vec<Observation>, StoreError> {
        self.rows(RowsOf::Spool(snapshot_id), after, limit).await
    }

    async fn rows(&self, of: RowsOf, after: Option<&ObjectId>, limit: usize) -> Result<Vec<Observation>, StoreError> {
        let mut session = self.store.acquire().await?;
        read_range(&mut session, of, after, limit).await
    }

    /// Whether objects above `id` are recorded: a walk that ended there would remove them.
    pub async fn has_rows_above(&self, id: Option<&ObjectId>) -> Result<bool, StoreError> {
        sqlx::query_scalar!(
            "select exists(select from inventory.open_interval where namespace_key = $1 and id > $2) as \"exists!\"",
            self.namespace_key,
            lower_bound(id)
        )
        .fetch_one(&mut *self.store.acquire().await?)
        .await
        .doing("find objects above an id")
    }
}

/// The first `limit` rows with ids above `after`, ascending.
///
/// Only the inner query is ordered: it reads the primary key in its order. PostgreSQL 15 would sort the input of an
/// ordered aggregate again, which takes 15 ms for 10,000 rows instead of 4. An aggregate without order keeps that of
/// its input by habit, not by promise, so the rows are sorted here, which costs a pass over rows that are in order
/// already.
pub(super) async fn read_range(
    session: &mut PgConnection,
    of: RowsOf,
    after: Option<&ObjectId>,
    limit: usize,
) -> Result<Vec<Observation>, StoreError> {
    let (table, key, value) = match of {
        RowsOf::Namespace(key) => ("open_interval", "namespace_key", key),
        RowsOf::Spool(snapshot_id) => ("spooled_object", "snapshot_id", snapshot_id),
    };
    let query = format!(
        "select pg_catalog.string_agg(id || state, ''::bytea) from (
             select id, case has_stored_data when true then '\\x03'::bytea when false then '\\x02'::bytea
                             else '\\x01'::bytea end as state
             from inventory.{table}
             where {key} = $1 and id > $2
             order by id limit $3) rows"
    );
    let packed: Option<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(query))
        .bind(value)
        .bind(lower_bound(after))
        .bind(limit as i64)
        .fetch_one(session)
        .await
        .doing("read a range of stored objects")?;
    let mut rows = unpack(&packed.unwrap_or_default())?;
    rows.sort_unstable_by_key(|row| row.id);
    Ok(rows)
}

pub(super) fn lower_bound(id: Option<&ObjectId>) -> &[u8] {
    id.map_or(&[], |id| id.as_bytes())
}

fn unpack(bytes: &[u8]) -> Result<Vec<Observation>, StoreError> {
    let (rows, rest) = bytes.as_chunks::<33>();
    if !rest.is_empty() {
        return Err(inconsistent("an object id of another length than 32 bytes"));
    }
    rows.iter()
        .map(|row| {
            let data = match row[32] {
                3 => StoredData::With,
                2 => StoredData::Without,
                _ => StoredData::Unknown,
            };
            Ok(Observation {
                id: id_from(&row[..32])?,
                data,
            })
        })
        .collect()
}
