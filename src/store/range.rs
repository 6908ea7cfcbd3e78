//! Rows of a range of ids, packed into one value: 33 bytes a row instead of a message a row.

use sqlx::{AssertSqlSafe, PgConnection};

use super::StoreError;
use super::snapshots::{id_from, inconsistent};
use crate::model::{ObjectId, Observation, StoredData};

/// Whose rows.
#[derive(Debug, Clone, Copy)]
pub(super) enum RowsOf {
    /// A namespace's present ones, by its key.
    Namespace(i32),
    /// A walk's spool, by its snapshot.
    Spool(i32),
}

/// The first `limit` rows with `after` < id, ascending; `None` is no bound.
///
/// Only the inner query is sorted: it reads the primary key, and the aggregate would sort all of it again, which took
/// three times as long as everything else (PostgreSQL 15). That an aggregate keeps the order of its input is a habit of
/// the server, not a promise, so the rows are sorted here, which costs a look where they are.
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
        "select string_agg(id || state, ''::bytea) from (
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
        .map_err(StoreError::while_doing("read a range of stored objects"))?;
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
