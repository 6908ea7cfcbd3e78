//! What a person decides: about a held snapshot, about a namespace that vanished.

use super::range::{RowsOf, read_range};
use super::sequences::SNAPSHOTS;
use super::snapshots::{digest_from, inconsistent};
use super::{Fence, ProvenWalk, Store, StoreError, Walk};
use crate::digest::{self, SetDigest};

/// Rows that are read at once when a namespace's digest is computed from its rows.
const CHUNK: usize = 50_000;

/// A snapshot, as far as a decision about it needs it.
#[derive(Debug, Clone)]
pub struct Undecided {
    pub namespace_key: i32,
    pub namespace: String,
    pub status: String,
}

/// A namespace whose id a person gave.
#[derive(Debug, Clone)]
pub struct Found {
    pub key: i32,
    pub account_id: String,
    pub label: String,
    pub missing: bool,
    pub published: bool,
}

impl Store {
    pub async fn snapshot_to_decide(&self, snapshot_id: i32) -> Result<Option<Undecided>, StoreError> {
        sqlx::query_as!(
            Undecided,
            "select s.namespace_key, coalesce(nullif(n.name, ''), n.namespace_id) as \"namespace!\", s.status
             from inventory.snapshot s join inventory.namespace n using (namespace_key)
             where s.snapshot_id = $1",
            snapshot_id
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(StoreError::while_doing("look for a snapshot"))
    }

    /// All namespaces of that id, in whatever account.
    pub async fn namespaces_with_id(&self, namespace_id: &str) -> Result<Vec<Found>, StoreError> {
        sqlx::query_as!(
            Found,
            "select n.namespace_key as key, a.account_id, coalesce(nullif(n.name, ''), n.namespace_id) as \"label!\",
                    n.missing_since is not null as \"missing!\", n.published_snapshot is not null as \"published!\"
             from inventory.namespace n join inventory.account a using (account_key)
             where n.namespace_id = $1 order by a.account_id",
            namespace_id
        )
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::while_doing("look for a namespace"))
    }

    /// What a finished walk proved, from its record.
    pub async fn proven_walk(&self, snapshot_id: i32) -> Result<ProvenWalk, StoreError> {
        let Walk { base, checkpoint, .. } = self.walk(snapshot_id).await?;
        if !checkpoint.walked {
            return Err(inconsistent("a walk without a proven end can't be published"));
        }
        Ok(ProvenWalk {
            snapshot_id,
            base_snapshot: base.map(|base| base.snapshot_id),
            base_digest: base.map(|base| base.digest).unwrap_or_default(),
            digest: checkpoint.digest,
            change_digest: checkpoint.change_digest,
            counts: checkpoint.counts,
            retires: false,
        })
    }

    /// Stages the removal of all that a namespace has left, as a snapshot of its own without a single page.
    pub async fn stage_retirement(&self, fence: Fence, run_id: i64) -> Result<ProvenWalk, StoreError> {
        let doing = "stage a namespace's retirement";
        let left = self.digest_of_rows(fence.namespace_key).await?;
        let gone = SetDigest::default().minus(left).to_bytes();
        let mut transaction = self.pool.begin().await.map_err(StoreError::while_doing(doing))?;
        sqlx::query!("set local statement_timeout = 0")
            .execute(&mut *transaction)
            .await
            .map_err(StoreError::while_doing(doing))?;
        let newest = SNAPSHOTS.newest(&mut transaction).await?;
        let given = sqlx::query_scalar!(
            "insert into inventory.snapshot
                 (run_id, namespace_key, base_snapshot, digest_version, walked, finished_at, removed, change_digest)
             select $1, namespace_key, published_snapshot, $3, true, pg_catalog.clock_timestamp(),
                    (select pg_catalog.count(*) from inventory.open_interval where namespace_key = $2), $4
             from inventory.namespace where namespace_key = $2
             returning snapshot_id",
            run_id,
            fence.namespace_key,
            digest::VERSION,
            gone.as_slice()
        )
        .fetch_one(&mut *transaction)
        .await
        .map_err(StoreError::while_doing(doing));
        let snapshot_id = newest.require_rising(given)?;
        sqlx::query!(
            "insert into inventory.staged_change (snapshot_id, id, old_state, new_state)
             select $1, id, inventory.state_of(has_stored_data), 0
             from inventory.open_interval where namespace_key = $2 order by id",
            snapshot_id,
            fence.namespace_key
        )
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::while_doing(doing))?;
        fence.check(&mut transaction).await?;
        transaction.commit().await.map_err(StoreError::while_doing(doing))?;
        // From the rows as they are: what was edited by hand is closed, too.
        Ok(ProvenWalk {
            base_digest: left,
            retires: true,
            ..self.proven_walk(snapshot_id).await?
        })
    }

    /// The digest that a namespace's rows really have, whatever its snapshots say.
    pub async fn digest_of_rows(&self, namespace_key: i32) -> Result<SetDigest, StoreError> {
        self.digests(namespace_key).await.map(|(of_rows, _)| of_rows)
    }

    /// The digest of a namespace's rows, and what its newest snapshot says, at one moment.
    async fn digests(&self, namespace_key: i32) -> Result<(SetDigest, Option<SetDigest>), StoreError> {
        let doing = "read a namespace's rows for their digest";
        let mut transaction = self.pool.begin().await.map_err(StoreError::while_doing(doing))?;
        sqlx::query!("set transaction isolation level repeatable read, read only")
            .execute(&mut *transaction)
            .await
            .map_err(StoreError::while_doing(doing))?;
        let recorded = sqlx::query_scalar!(
            "select s.digest from inventory.namespace n
             join inventory.snapshot s on s.snapshot_id = n.published_snapshot
             where n.namespace_key = $1 and s.digest_version = $2",
            namespace_key,
            digest::VERSION
        )
        .fetch_optional(&mut *transaction)
        .await
        .map_err(StoreError::while_doing(doing))?;
        let recorded = recorded.as_deref().map(digest_from).transpose()?;
        let mut digest = SetDigest::default();
        let mut after = None;
        loop {
            let of = RowsOf::Namespace(namespace_key);
            let rows = read_range(&mut transaction, of, after.as_ref(), CHUNK).await?;
            let Some(last) = rows.last() else {
                return Ok((digest, recorded));
            };
            after = Some(last.id);
            rows.iter().for_each(|row| digest.add(row));
        }
    }

    /// Published namespaces whose rows are not what their newest snapshot says: account and namespace id.
    pub async fn namespaces_that_do_not_agree(&self) -> Result<Vec<(String, String)>, StoreError> {
        let published = sqlx::query!(
            "select n.namespace_key, a.account_id, n.namespace_id
             from inventory.namespace n
             join inventory.account a using (account_key)
             where n.published_snapshot is not null
             order by a.account_id, n.namespace_id"
        )
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::while_doing("list the published namespaces"))?;
        let mut wrong = Vec::new();
        for row in published {
            let (of_rows, recorded) = self.digests(row.namespace_key).await?;
            if recorded.is_some_and(|recorded| recorded != of_rows) {
                wrong.push((row.account_id, row.namespace_id));
            }
        }
        Ok(wrong)
    }
}
