//! Accounts and namespaces as they are listed, and as they vanish.

use sqlx::types::Json;
use time::OffsetDateTime;

use super::error::Doing;
use super::sequences::{ACCOUNTS, NAMESPACES};
use super::{Lease, LeaseNumber, Store, StoreError};
use crate::model::{AccountId, Namespace, NamespaceId};

/// A namespace that the record knows.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedNamespace {
    pub key: i32,
    /// Of the last lease, which may have ended.
    pub lease: LeaseNumber,
    pub namespace: Namespace,
    pub missing_since: Option<OffsetDateTime>,
}

/// What a namespace is called, and its key.
#[derive(Debug, Clone)]
pub struct NamedNamespace {
    pub key: i32,
    pub account_id: String,
    pub namespace_id: String,
    pub name: Option<String>,
}

impl Store {
    /// Binds an account's record to the API that it comes from, so that a simulator never writes into a real record.
    pub async fn register_account(&self, account: &AccountId, api_base_url: &str) -> Result<i32, StoreError> {
        let doing = "register the account";
        let newest = self.newest(&ACCOUNTS).await?;
        sqlx::query!(
            "insert into inventory.account (account_id, api_base_url) values ($1, $2)
             on conflict (account_id) do nothing",
            account.as_str(),
            api_base_url
        )
        .execute(&self.pool)
        .await
        .doing(doing)
        .map_err(|error| newest.explain(error))?;
        self.require_api(account, api_base_url).await?;
        sqlx::query_scalar!(
            "select account_key from inventory.account where account_id = $1",
            account.as_str()
        )
        .fetch_one(&self.pool)
        .await
        .doing(doing)
    }

    /// An error where the account's record comes from another API.
    pub async fn require_api(&self, account: &AccountId, api_base_url: &str) -> Result<(), StoreError> {
        let recorded = sqlx::query_scalar!(
            "select api_base_url from inventory.account where account_id = $1",
            account.as_str()
        )
        .fetch_optional(&self.pool)
        .await
        .doing("look where the account's record comes from")?;
        match recorded.filter(|recorded| recorded != api_base_url) {
            None => Ok(()),
            Some(recorded) => Err(StoreError::OtherApi {
                account: account.clone(),
                recorded,
                asked: api_base_url.to_owned(),
            }),
        }
    }

    /// Records what the account lists. A namespace that is not in `listed` is left as it is: its absence alone says
    /// nothing (promise 2).
    pub async fn record_listing(&self, account_key: i32, listed: &[Namespace]) -> Result<(), StoreError> {
        let text = |of: fn(&Namespace) -> Option<&String>| -> Vec<Option<String>> {
            listed
                .iter()
                .map(|namespace| of(namespace).map(|text| storable(text)))
                .collect()
        };
        let names = text(|namespace| namespace.name.as_ref());
        let scripts = text(|namespace| namespace.script.as_ref());
        let classes = text(|namespace| namespace.class.as_ref());
        let ids: Vec<&str> = listed.iter().map(|namespace| namespace.id.as_str()).collect();
        let uses_sqlite: Vec<_> = listed.iter().map(|namespace| namespace.use_sqlite).collect();
        let previews = listed.iter().map(|namespace| namespace.preview.as_ref());
        let previews: Vec<_> = previews.map(|preview| preview.map(storable_json).map(Json)).collect();
        let doing = "record the list of namespaces";
        let newest = self.newest(&NAMESPACES).await?;
        // One statement, as each row is locked from its turn on; and in one order, or two listings at a time could wait
        // for each other.
        sqlx::query!(
            "insert into inventory.namespace as n
                 (account_key, namespace_id, name, script, class, use_sqlite, preview, last_listed_at)
             select $1, l.namespace_id, l.name, l.script, l.class, l.use_sqlite, l.preview, pg_catalog.clock_timestamp()
             from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::jsonb[])
                 as l (namespace_id, name, script, class, use_sqlite, preview)
             order by l.namespace_id
             on conflict (account_key, namespace_id) do update set
                 name = excluded.name, script = excluded.script, class = excluded.class,
                 use_sqlite = excluded.use_sqlite, preview = excluded.preview,
                 last_listed_at = excluded.last_listed_at, missing_since = null",
            account_key,
            ids.as_slice() as &[&str],
            names.as_slice() as &[Option<String>],
            scripts.as_slice() as &[Option<String>],
            classes.as_slice() as &[Option<String>],
            uses_sqlite.as_slice() as &[Option<bool>],
            previews.as_slice() as _
        )
        .execute(&self.pool)
        .await
        .doing(doing)
        .map_err(|error| newest.explain(error))?;
        Ok(())
    }

    /// All namespaces of all accounts.
    pub async fn named_namespaces(&self) -> Result<Vec<NamedNamespace>, StoreError> {
        sqlx::query_as!(
            NamedNamespace,
            "select n.namespace_key as key, a.account_id, n.namespace_id, n.name
             from inventory.namespace n join inventory.account a using (account_key)
             order by a.account_id, n.name, n.namespace_id"
        )
        .fetch_all(&self.pool)
        .await
        .doing("list the namespaces")
    }

    /// All of an account's namespaces, ever.
    pub async fn recorded_namespaces(&self, account_key: i32) -> Result<Vec<RecordedNamespace>, StoreError> {
        let rows = sqlx::query!(
            "select namespace_key, fence, namespace_id, name, script, class, use_sqlite,
                    preview as \"preview: serde_json::Value\", missing_since
             from inventory.namespace where account_key = $1 order by name, namespace_id",
            account_key
        )
        .fetch_all(&self.pool)
        .await
        .doing("read the namespaces")?;
        rows.into_iter()
            .map(|row| {
                Ok(RecordedNamespace {
                    key: row.namespace_key,
                    lease: LeaseNumber(row.fence),
                    namespace: Namespace {
                        id: valid_namespace_id(&row.namespace_id)?,
                        name: row.name,
                        script: row.script,
                        class: row.class,
                        use_sqlite: row.use_sqlite,
                        preview: row.preview,
                    },
                    missing_since: row.missing_since,
                })
            })
            .collect()
    }
}

impl Lease {
    /// From now on the namespace is read on one cursor.
    pub async fn remember_one_cursor(&self) -> Result<(), StoreError> {
        let key = self.namespace_key;
        let doing = "remember that a namespace is read on one cursor";
        let remembered = self.write(doing, async |connection| {
            sqlx::query!(
                "update inventory.namespace set one_cursor = true where namespace_key = $1",
                key
            )
            .execute(connection)
            .await
        });
        remembered.await.map(drop)
    }

    /// Only for a namespace that is neither listed nor has an object list. Its objects stay as they were.
    pub async fn mark_missing(&self) -> Result<(), StoreError> {
        let key = self.namespace_key;
        let marked = self.write("record that a namespace vanished", async |connection| {
            sqlx::query!(
                "update inventory.namespace set missing_since = pg_catalog.clock_timestamp()
                 where namespace_key = $1 and missing_since is null",
                key
            )
            .execute(connection)
            .await
        });
        marked.await.map(drop)
    }
}

/// Names are other people's words, and PostgreSQL's text has no NUL.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn storable_json(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(storable(text)),
        Value::Array(values) => values.iter().map(storable_json).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (storable(key), storable_json(value)))
            .collect(),
        other => other.clone(),
    }
}

pub(super) fn valid_namespace_id(text: &str) -> Result<NamespaceId, StoreError> {
    text.parse()
        .map_err(|_| StoreError::InvalidId { text: text.to_owned() })
}
