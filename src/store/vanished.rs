//! Namespaces that vanished: their account no longer lists them, and their object list answers 404. Their objects stay
//! as they were recorded.

use super::error::Doing;
use super::{Lease, Store, StoreError};
use crate::model::label;

/// A namespace that vanished and is not marked as missing.
#[derive(Debug, Clone)]
pub struct VanishedNamespace {
    pub key: i32,
    pub account_id: String,
    pub namespace_id: String,
    pub name: Option<String>,
}

impl VanishedNamespace {
    /// The name, or else the id, for messages.
    pub fn label(&self) -> &str {
        label(self.name.as_deref(), &self.namespace_id)
    }
}

/// A recorded namespace that is not missing, as the guard against mass vanishings counts it.
#[derive(Debug, Clone, Copy)]
pub struct PresentNamespace {
    pub key: i32,
    pub is_preview: bool,
    /// It vanished in this run or in an earlier one.
    pub has_vanished: bool,
}

impl Lease {
    /// Records that the namespace vanished, until it is listed or walked again.
    pub async fn note_vanished(&self) -> Result<(), StoreError> {
        let key = self.namespace_key;
        let noted = self.write("record that a namespace vanished", async |connection| {
            sqlx::query!(
                "update inventory.namespace set vanished_since = coalesce(vanished_since, pg_catalog.clock_timestamp())
                 where namespace_key = $1 and missing_since is null",
                key
            )
            .execute(connection)
            .await
        });
        noted.await.map(drop)
    }

    /// Records that the namespace's objects can be read, though it may not be listed.
    pub async fn clear_vanished(&self) -> Result<(), StoreError> {
        let key = self.namespace_key;
        let cleared = self.write("record that a namespace exists", async |connection| {
            sqlx::query!(
                "update inventory.namespace set vanished_since = null
                 where namespace_key = $1 and vanished_since is not null",
                key
            )
            .execute(connection)
            .await
        });
        cleared.await.map(drop)
    }

    /// Marks a namespace that vanished as missing. Returns whether it did: one that was listed again since is not
    /// marked.
    pub async fn mark_missing(&self) -> Result<bool, StoreError> {
        let key = self.namespace_key;
        let marked = self.write("record that a namespace vanished", async |connection| {
            sqlx::query!(
                "update inventory.namespace set missing_since = pg_catalog.clock_timestamp(), vanished_since = null
                 where namespace_key = $1 and missing_since is null and vanished_since is not null",
                key
            )
            .execute(connection)
            .await
        });
        Ok(marked.await?.rows_affected() > 0)
    }
}

impl Store {
    /// The account's namespaces that are not missing.
    pub async fn present_namespaces(&self, account_key: i32) -> Result<Vec<PresentNamespace>, StoreError> {
        sqlx::query_as!(
            PresentNamespace,
            "select namespace_key as key, preview is not null as \"is_preview!\",
                    vanished_since is not null as \"has_vanished!\"
             from inventory.namespace where account_key = $1 and missing_since is null",
            account_key
        )
        .fetch_all(&mut *self.acquire().await?)
        .await
        .doing("count the account's namespaces")
    }

    /// All namespaces that vanished and are not marked as missing, by account, name and id.
    pub async fn vanished_namespaces(&self) -> Result<Vec<VanishedNamespace>, StoreError> {
        sqlx::query_as!(
            VanishedNamespace,
            "select n.namespace_key as key, a.account_id, n.namespace_id, n.name
             from inventory.namespace n join inventory.account a using (account_key)
             where n.vanished_since is not null and n.missing_since is null
             order by a.account_id, n.name, n.namespace_id"
        )
        .fetch_all(&mut *self.acquire().await?)
        .await
        .doing("list the namespaces that vanished")
    }
}
