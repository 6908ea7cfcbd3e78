//! Accounts and namespaces: recorded as the API lists them, and read back.

use sqlx::PgExecutor;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::error::Doing;
use super::sequences::{ACCOUNTS, NAMESPACES};
use super::{Lease, LeaseNumber, Store, StoreError};
use crate::model::{AccountId, Namespace, label};

/// A recorded namespace: what its account lists of it, and what was published of it.
#[derive(Debug, Clone)]
pub struct NamespaceRecord {
    pub key: i32,
    /// The newest lease, which may have ended.
    pub lease: LeaseNumber,
    pub account_id: String,
    pub namespace_id: String,
    pub name: Option<String>,
    pub script: Option<String>,
    pub class: Option<String>,
    pub use_sqlite: Option<bool>,
    pub preview: Option<serde_json::Value>,
    pub first_seen_at: OffsetDateTime,
    pub missing_since: Option<OffsetDateTime>,
    pub published: Option<PublishedRecord>,
}

/// The newest published snapshot of a namespace, and where its history begins.
#[derive(Debug, Clone, Copy)]
pub struct PublishedRecord {
    pub snapshot_id: i32,
    pub recorded_at: OffsetDateTime,
    pub objects: u64,
    pub with_data: u64,
    pub unknown: u64,
    /// The first published snapshot; nothing is known of earlier points in time.
    pub baseline_snapshot: i32,
    pub recorded_since: OffsetDateTime,
    /// History before it was pruned, apart from the newest snapshot by then.
    pub horizon: Option<OffsetDateTime>,
    pub horizon_snapshot: Option<i32>,
}

impl NamespaceRecord {
    /// The name, or else the id, for messages.
    pub fn label(&self) -> &str {
        label(self.name.as_deref(), &self.namespace_id)
    }

    /// The namespace as its account lists it.
    pub fn listed(&self) -> Result<Namespace, StoreError> {
        let id = self.namespace_id.parse().map_err(|_| StoreError::InvalidId {
            text: self.namespace_id.clone(),
        })?;
        Ok(Namespace {
            id,
            name: self.name.clone(),
            script: self.script.clone(),
            class: self.class.clone(),
            use_sqlite: self.use_sqlite,
            preview: self.preview.clone(),
        })
    }
}

/// The recorded namespaces of an account, or of all accounts: by account, name and id.
pub(super) async fn namespace_records(
    executor: impl PgExecutor<'_>,
    account_key: Option<i32>,
) -> Result<Vec<NamespaceRecord>, StoreError> {
    let rows = sqlx::query!(
        "select n.namespace_key, n.fence, a.account_id, n.namespace_id, n.name, n.script, n.class, n.use_sqlite,
                n.preview as \"preview: serde_json::Value\", n.first_seen_at, n.missing_since,
                n.published_snapshot, p.recorded_at as \"recorded_at?\",
                coalesce(p.with_data + p.without_data + p.unknown, 0) as \"objects!\",
                coalesce(p.with_data, 0) as \"with_data!\", coalesce(p.unknown, 0) as \"unknown!\",
                n.baseline_snapshot, b.recorded_at as \"recorded_since?\", n.horizon, n.horizon_snapshot
         from inventory.namespace n
         join inventory.account a using (account_key)
         left join inventory.snapshot p on p.snapshot_id = n.published_snapshot
         left join inventory.snapshot b on b.snapshot_id = n.baseline_snapshot
         where $1::int is null or n.account_key = $1
         order by a.account_id, n.name, n.namespace_id",
        account_key
    )
    .fetch_all(executor)
    .await
    .doing("list the namespaces")?;
    let records = rows.into_iter().map(|row| NamespaceRecord {
        published: match (
            row.published_snapshot,
            row.recorded_at,
            row.baseline_snapshot,
            row.recorded_since,
        ) {
            (Some(snapshot_id), Some(recorded_at), Some(baseline_snapshot), Some(recorded_since)) => {
                Some(PublishedRecord {
                    snapshot_id,
                    recorded_at,
                    objects: row.objects as u64,
                    with_data: row.with_data as u64,
                    unknown: row.unknown as u64,
                    baseline_snapshot,
                    recorded_since,
                    horizon: row.horizon,
                    horizon_snapshot: row.horizon_snapshot,
                })
            }
            _ => None,
        },
        key: row.namespace_key,
        lease: LeaseNumber(row.fence),
        account_id: row.account_id,
        namespace_id: row.namespace_id,
        name: row.name,
        script: row.script,
        class: row.class,
        use_sqlite: row.use_sqlite,
        preview: row.preview,
        first_seen_at: row.first_seen_at,
        missing_since: row.missing_since,
    });
    Ok(records.collect())
}

impl Store {
    /// Registers an account and returns its key. Binds the account's record to the API that it comes from, so that a
    /// simulator never writes into a real record.
    pub async fn register_account(&self, account: &AccountId, api_base_url: &str) -> Result<i32, StoreError> {
        let doing = "register the account";
        let newest = self.newest(&ACCOUNTS).await?;
        sqlx::query!(
            "insert into inventory.account (account_id, api_base_url) values ($1, $2)
             on conflict (account_id) do nothing",
            account.as_str(),
            api_base_url
        )
        .execute(&mut *self.acquire().await?)
        .await
        .doing(doing)
        .map_err(|error| newest.explain(error))?;
        self.require_api(account, api_base_url).await?;
        sqlx::query_scalar!(
            "select account_key from inventory.account where account_id = $1",
            account.as_str()
        )
        .fetch_one(&mut *self.acquire().await?)
        .await
        .doing(doing)
    }

    /// Fails if the account's record comes from another API.
    pub async fn require_api(&self, account: &AccountId, api_base_url: &str) -> Result<(), StoreError> {
        let recorded = sqlx::query_scalar!(
            "select api_base_url from inventory.account where account_id = $1",
            account.as_str()
        )
        .fetch_optional(&mut *self.acquire().await?)
        .await
        .doing("read which API the account was recorded from")?;
        match recorded.filter(|recorded| recorded != api_base_url) {
            None => Ok(()),
            Some(recorded) => Err(StoreError::OtherApi {
                account: account.clone(),
                recorded,
                asked: api_base_url.to_owned(),
            }),
        }
    }

    /// Records the account's list. A namespace that is not in `listed` stays unchanged: absence from the list alone
    /// proves nothing (promise 2).
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
        // Rows are locked in one order, or two concurrent listings could deadlock.
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
                 last_listed_at = excluded.last_listed_at, missing_since = null, vanished_since = null",
            account_key,
            ids.as_slice() as &[&str],
            names.as_slice() as &[Option<String>],
            scripts.as_slice() as &[Option<String>],
            classes.as_slice() as &[Option<String>],
            uses_sqlite.as_slice() as &[Option<bool>],
            previews.as_slice() as _
        )
        .execute(&mut *self.acquire().await?)
        .await
        .doing(doing)
        .map_err(|error| newest.explain(error))?;
        Ok(())
    }

    /// All recorded namespaces, by account, name and id.
    pub async fn namespaces(&self) -> Result<Vec<NamespaceRecord>, StoreError> {
        namespace_records(&mut *self.acquire().await?, None).await
    }

    /// All namespaces that were ever listed for an account, by name and id.
    pub async fn namespaces_of_account(&self, account_key: i32) -> Result<Vec<NamespaceRecord>, StoreError> {
        namespace_records(&mut *self.acquire().await?, Some(account_key)).await
    }
}

impl Lease {
    /// Records that the namespace must be read on one cursor.
    pub async fn remember_one_cursor(&self) -> Result<(), StoreError> {
        let key = self.namespace_key;
        let doing = "record that a namespace is read on one cursor";
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

    /// Records the largest page that the API serves of this namespace in time; `None` for any size.
    pub async fn remember_limit(&self, limit: Option<u32>) -> Result<(), StoreError> {
        let key = self.namespace_key;
        let remembered = self.write("record a namespace's page size", async |connection| {
            sqlx::query!(
                "update inventory.namespace set page_limit = $2, page_limit_walks = 0 where namespace_key = $1",
                key,
                limit.map(|limit| limit as i32)
            )
            .execute(connection)
            .await
        });
        remembered.await.map(drop)
    }

    /// Counts a walk that came to its end with pages of `limit` objects, if a page size is remembered for the
    /// namespace. The third in a row doubles the size, up to `largest`, where it is forgotten.
    pub async fn raise_limit(&self, limit: u32, largest: u32) -> Result<(), StoreError> {
        let key = self.namespace_key;
        let twice = Some(limit * 2).filter(|twice| *twice < largest);
        let raised = self.write("raise a namespace's page size", async |connection| {
            sqlx::query!(
                "update inventory.namespace
                 set page_limit = case when page_limit_walks >= 2 then $3 else greatest(page_limit, $2) end,
                     page_limit_walks = case when page_limit_walks >= 2 then 0 else page_limit_walks + 1 end
                 where namespace_key = $1 and page_limit is not null",
                key,
                limit as i32,
                twice.map(|twice| twice as i32)
            )
            .execute(connection)
            .await
        });
        raised.await.map(drop)
    }
}

/// Replaces NUL, which PostgreSQL's `text` can't hold; names are arbitrary text.
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
