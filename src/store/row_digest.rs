//! The digest of a namespace's recorded rows, computed from the rows themselves: `check --deep` compares it with the
//! one that the newest snapshot recorded.

use super::decode::digest_from;
use super::error::Doing;
use super::packed_rows::{RowsOf, read_range};
use super::{Store, StoreError};
use crate::digest::{self, SetDigest};

/// Rows read per query.
const CHUNK: usize = 50_000;

impl Store {
    /// The digest of a namespace's rows.
    pub async fn digest_of_rows(&self, namespace_key: i32) -> Result<SetDigest, StoreError> {
        self.digests(namespace_key).await.map(|(of_rows, _)| of_rows)
    }

    /// The digest of a namespace's rows, and the one in its newest snapshot, read in one transaction.
    async fn digests(&self, namespace_key: i32) -> Result<(SetDigest, Option<SetDigest>), StoreError> {
        let doing = "read a namespace's rows for their digest";
        let mut transaction = self.begin().await?;
        sqlx::query!("set transaction isolation level repeatable read, read only")
            .execute(&mut *transaction)
            .await
            .doing(doing)?;
        let recorded = sqlx::query_scalar!(
            "select s.digest from inventory.namespace n
             join inventory.snapshot s on s.snapshot_id = n.published_snapshot
             where n.namespace_key = $1 and s.digest_version = $2",
            namespace_key,
            digest::VERSION
        )
        .fetch_optional(&mut *transaction)
        .await
        .doing(doing)?;
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

    /// Account and id of each published namespace whose rows differ from what its newest snapshot recorded.
    pub async fn namespaces_with_wrong_digest(&self) -> Result<Vec<(String, String)>, StoreError> {
        let mut published = self.namespaces().await?;
        published.retain(|namespace| namespace.published.is_some());
        published.sort_by(|a, b| (&a.account_id, &a.namespace_id).cmp(&(&b.account_id, &b.namespace_id)));
        let mut wrong = Vec::new();
        for namespace in published {
            let (of_rows, recorded) = self.digests(namespace.key).await?;
            if recorded.is_some_and(|recorded| recorded != of_rows) {
                wrong.push((namespace.account_id, namespace.namespace_id));
            }
        }
        Ok(wrong)
    }
}
