//! The removal of all that a vanished namespace has left, as a snapshot without a single page.

use super::error::Doing;
use super::sequences::SNAPSHOTS;
use super::{Lease, ProvenWalk, StoreError, Walk};
use crate::digest::{self, SetDigest};

impl Lease {
    /// Stages the retirement of a namespace. It is published like a walk, and is void if the namespace is listed again.
    pub async fn stage_retirement(&self, run_id: i64) -> Result<ProvenWalk, StoreError> {
        let key = self.namespace_key;
        let doing = "stage a namespace's retirement";
        // Read from the rows as they are, so that rows changed by hand are closed as well.
        let recorded = self.store.digest_of_rows(key).await?;
        let removed = SetDigest::default().minus(recorded).to_bytes();
        let staged = self.write(doing, async |connection| {
            sqlx::query!("set local statement_timeout = 0")
                .execute(&mut *connection)
                .await
                .doing(doing)?;
            let newest = SNAPSHOTS.newest(&mut *connection).await?;
            let given = sqlx::query_scalar!(
                "insert into inventory.snapshot
                     (run_id, namespace_key, base_snapshot, digest_version, walked, finished_at, removed, change_digest)
                 select $1, namespace_key, published_snapshot, $3, true, pg_catalog.clock_timestamp(),
                        (select pg_catalog.count(*) from inventory.open_interval where namespace_key = $2), $4
                 from inventory.namespace where namespace_key = $2
                 returning snapshot_id",
                run_id,
                key,
                digest::VERSION,
                removed.as_slice()
            )
            .fetch_one(&mut *connection)
            .await
            .doing(doing);
            let snapshot_id = newest.require_rising(given)?;
            sqlx::query!(
                "insert into inventory.staged_change (snapshot_id, id, old_state, new_state)
                 select $1, id, inventory.state_of(has_stored_data), 0
                 from inventory.open_interval where namespace_key = $2 order by id",
                snapshot_id,
                key
            )
            .execute(connection)
            .await
            .doing(doing)?;
            Ok::<_, StoreError>(snapshot_id)
        });
        let snapshot_id = staged.await?;
        let walk = Walk::load(self.clone(), snapshot_id).await?;
        Ok(ProvenWalk::retirement(walk, recorded))
    }
}
