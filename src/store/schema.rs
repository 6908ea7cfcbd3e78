//! The schema `inventory`: applying the files in `migrations/`, its version, and whether this role may change it.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AssertSqlSafe, Executor};

use super::error::Doing;
use super::lease::{LOCK_SPACE, MIGRATING};
use super::owner::{Purpose, require_ours};
use super::{Store, StoreError};
use crate::text::first_names;

/// Applied by the program itself, forward only.
static MIGRATIONS: Migrator = sqlx::migrate!();
/// In the schema `inventory` instead of `public`.
const MIGRATIONS_TABLE: &str = "inventory._sqlx_migrations";

/// The state of a schema that this role may use or bring up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    Current,
    Behind,
    Missing,
}

impl Store {
    /// Brings the schema up to date. `create schema` is sent only if the schema is missing: it needs a privilege that a
    /// role for daily use should not have.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut session = self.session().await.doing("open a connection for the migrations")?;
        // If building an index on a large table timed out, every run would start it again.
        session
            .execute("set statement_timeout = 0")
            .await
            .doing("begin the migrations")?;
        let there: bool = sqlx::query_scalar("select pg_catalog.to_regnamespace('inventory') is not null")
            .fetch_one(&mut session)
            .await
            .doing("find the schema")?;
        if !there {
            // Without the lock, two concurrent `create schema` fail in spite of `if not exists`.
            let create = format!(
                "begin; select pg_catalog.pg_advisory_xact_lock({LOCK_SPACE}, {MIGRATING}); \
                 create schema if not exists inventory; commit"
            );
            session.execute(AssertSqlSafe(create)).await.doing(
                "create the schema (its owner can, by `durable-inventory migrate`; then --no-migrate is for others)",
            )?;
        }
        // Checked even after creating the schema: another role may have created it first.
        require_ours(&mut session, Purpose::Migrate).await?;
        if self.applied_version().await? == Some(newest_version()) {
            return Ok(());
        }
        let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
        migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
        match migrator.run(&mut session).await {
            Ok(()) => Ok(()),
            Err(MigrateError::VersionMissing(found)) => Err(newer_schema(found)),
            Err(source) => Err(StoreError::Migration { source }),
        }
    }

    /// Fails if the schema is not up to date. For roles that may not migrate it.
    pub async fn require_schema(&self) -> Result<(), StoreError> {
        self.require_owner().await?;
        let known = newest_version();
        match self.applied_version().await?.unwrap_or(0) {
            found if found == known => Ok(()),
            found if found > known => Err(newer_schema(found)),
            found => Err(StoreError::SchemaVersion {
                found,
                known,
                todo: "run `durable-inventory migrate` with a role that may create objects in it",
            }),
        }
    }

    /// The schema's state, for `check`. Changes nothing.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        self.require_owner().await?;
        let known = newest_version();
        let found = self.applied_version().await?;
        if found.is_some_and(|found| found >= known) {
            return self.require_schema().await.map(|()| SchemaState::Current);
        }
        let may_change: bool = sqlx::query_scalar(
            "select coalesce(
                 (select pg_catalog.pg_has_role(nspowner, 'usage')
                  from pg_catalog.pg_namespace where nspname = 'inventory'),
                 pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create'))",
        )
        .fetch_one(&mut *self.acquire().await?)
        .await
        .doing("find out whether the schema may be changed")?;
        match may_change {
            true if found.is_none() => Ok(SchemaState::Missing),
            true => Ok(SchemaState::Behind),
            false => self.require_schema().await.map(|()| SchemaState::Current),
        }
    }

    /// Whether no version of this program has made its tables here. Needs no privilege, and reads nothing that another
    /// role could have put there.
    pub async fn is_blank(&self) -> Result<bool, StoreError> {
        let there: bool = sqlx::query_scalar(
            "select exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                            where n.nspname = 'inventory' and c.relname = '_sqlx_migrations')",
        )
        .fetch_one(&mut *self.acquire().await?)
        .await
        .doing("tell whether anything is recorded")?;
        Ok(!there)
    }

    async fn require_owner(&self) -> Result<(), StoreError> {
        let mut session = self.acquire().await?;
        require_ours(&mut session, Purpose::Use).await
    }

    /// The version of the schema, or `None` if there is no record yet. Fails if another program uses the schema: its
    /// tables lack our first migration. A run that is creating the schema commits that together with the tables, and
    /// each statement here sees both or neither.
    async fn applied_version(&self) -> Result<Option<i64>, StoreError> {
        const OTHERS: &str = "select pg_catalog.string_agg(c.relname, ', ' order by c.relname)
                              from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                              where n.nspname = 'inventory' and c.relkind in ('r', 'p', 'v', 'm', 'f')
                                and c.relname <> '_sqlx_migrations'";
        let doing = "read the schema's version";
        let mut session = self.acquire().await?;
        let (there, others): (bool, Option<String>) = sqlx::query_as(AssertSqlSafe(format!(
            "select exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                            where n.nspname = 'inventory' and c.relname = '_sqlx_migrations'), ({OTHERS})"
        )))
        .fetch_one(&mut *session)
        .await
        .doing(doing)?;
        let (first, newest, others) = match there {
            true => sqlx::query_as(AssertSqlSafe(format!(
                "select (select checksum from {MIGRATIONS_TABLE} where version = 1),
                        (select pg_catalog.max(version) from {MIGRATIONS_TABLE} where success), ({OTHERS})"
            )))
            .fetch_one(&mut *session)
            .await
            .doing(doing)?,
            false => (None::<Vec<u8>>, None, others),
        };
        let ours = MIGRATIONS.iter().find(|migration| migration.version == 1);
        let is_ours = first.is_some_and(|checksum| ours.is_some_and(|ours| ours.checksum[..] == checksum));
        match others {
            Some(tables) if !is_ours => Err(StoreError::SchemaInUse {
                tables: first_names(tables.split(", ").collect::<Vec<_>>().into_iter(), 5),
            }),
            _ => Ok(newest),
        }
    }
}

fn newest_version() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

fn newer_schema(found: i64) -> StoreError {
    StoreError::SchemaVersion {
        found,
        known: newest_version(),
        todo: "a newer durable-inventory has used this database: use that version or a newer one",
    }
}
