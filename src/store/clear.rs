//! Takes away what no one needs any more: the staged changes and spooled observations of walks that ended, and the
//! hidden rows of a baseline that was given up.

use super::{Fence, Store, StoreError};

/// Rows that one statement deletes: a bounded transaction, however large the leftover.
const DELETE_BATCH: i64 = 50_000;

/// Each deletes at most $3 rows of $1 with ids above $2, and tells the greatest id among them. Whether rows are hidden is
/// asked once, before any is read: a join would look at every row of a published namespace to find none.
const STAGED: &str = "with gone as (
        delete from inventory.staged_change where ctid = any(array(
            select ctid from inventory.staged_change where snapshot_id = $1 and id > $2 order by id limit $3))
        returning id)
    select id from gone order by id desc limit 1";
const SPOOLED: &str = "with gone as (
        delete from inventory.spooled_object where ctid = any(array(
            select ctid from inventory.spooled_object where snapshot_id = $1 and id > $2 order by id limit $3))
        returning id)
    select id from gone order by id desc limit 1";
const HIDDEN: &str = "with gone as (
        delete from inventory.open_interval where ctid = any(array(
            select ctid from inventory.open_interval
            where namespace_key = $1 and id > $2
              and (select published_snapshot is null from inventory.namespace where namespace_key = $1)
            order by id limit $3))
        returning id)
    select id from gone order by id desc limit 1";

impl Store {
    /// Staged changes and spooled observations of a walk that ended without being published, or of one that was.
    pub(super) async fn clear_staging(&self, fence: Fence, snapshot_id: i32) -> Result<(), StoreError> {
        self.clear(fence, snapshot_id, false).await
    }

    /// Clearing comes after the commit that ends a walk, so whoever dies in between leaves rows behind that nobody
    /// needs. The snapshots that have rows are looked up by one index probe each: a table that holds the changes of a
    /// large walk is not read for it.
    pub(super) async fn clear_leftovers(&self, fence: Fence) -> Result<(), StoreError> {
        let left = sqlx::query!(
            "with recursive staged (id) as (
                 (select pg_catalog.min(snapshot_id) from inventory.staged_change)
                 union all
                 select (select pg_catalog.min(c.snapshot_id) from inventory.staged_change c
                         where c.snapshot_id > staged.id)
                 from staged where staged.id is not null),
             spooled (id) as (
                 (select pg_catalog.min(snapshot_id) from inventory.spooled_object)
                 union all
                 select (select pg_catalog.min(o.snapshot_id) from inventory.spooled_object o
                         where o.snapshot_id > spooled.id)
                 from spooled where spooled.id is not null)
             select s.snapshot_id, s.status = 'held' as \"held!\" from inventory.snapshot s
             where s.namespace_key = $1 and s.status not in ('running', 'interrupted')
               and s.snapshot_id in (
                   select id from staged where s.status <> 'held' union all select id from spooled)",
            fence.namespace_key
        )
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::while_doing("look for what a run that died left"))?;
        for snapshot in left {
            self.clear(fence, snapshot.snapshot_id, snapshot.held).await?;
        }
        Ok(())
    }

    /// A held snapshot keeps its changes until someone decides about them, and needs its observations no more.
    async fn clear(&self, fence: Fence, snapshot_id: i32, keep_changes: bool) -> Result<(), StoreError> {
        let doing = "drop what a walk had staged";
        if !keep_changes {
            self.delete(fence, STAGED, snapshot_id, doing).await?;
        }
        self.delete(fence, SPOOLED, snapshot_id, doing).await
    }

    /// A baseline writes its rows in place, hidden as long as the namespace has no published snapshot. If it is given
    /// up, they go.
    pub(super) async fn clear_hidden_rows(&self, fence: Fence) -> Result<(), StoreError> {
        let doing = "drop the rows of an unfinished baseline";
        self.delete(fence, HIDDEN, fence.namespace_key, doing).await
    }

    /// Deletes a batch after the other, each from where the last one ended: rows that are gone, but that an old reader
    /// keeps from being cleared away, are passed by once and not with every batch.
    async fn delete(&self, fence: Fence, batch: &'static str, of: i32, doing: &'static str) -> Result<(), StoreError> {
        let mut after = Vec::new();
        loop {
            let mut transaction = self.pool.begin().await.map_err(StoreError::while_doing(doing))?;
            let last: Option<Vec<u8>> = sqlx::query_scalar(batch)
                .bind(of)
                .bind(&after)
                .bind(DELETE_BATCH)
                .fetch_optional(&mut *transaction)
                .await
                .map_err(StoreError::while_doing(doing))?;
            fence.check(&mut transaction).await?;
            transaction.commit().await.map_err(StoreError::while_doing(doing))?;
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }
}
