//! What a sync needs of the database besides its schema: that it can be written to, and the rights of this role.

use super::error::Doing;
use super::{Store, StoreError};

/// The tables that a sync writes, and how. It also reads every table and view.
const WRITTEN: [(&[&str], &str); 3] = [
    (&["store"], "update"),
    (&["account", "namespace", "run", "snapshot"], "insert, update"),
    (
        &["open_interval", "closed_interval", "staged_change", "spooled_object"],
        "insert, update, delete",
    ),
];

impl Store {
    /// Fails if nothing can be written here: the server is a standby, or transactions are read-only by default. That
    /// default is not overridden, because it may protect a database that is being replaced.
    pub async fn require_writable(&self) -> Result<(), StoreError> {
        let (is_standby, is_read_only, source, database, user): (bool, bool, String, String, String) = sqlx::query_as(
            "select pg_catalog.pg_is_in_recovery(), setting = 'on', source,
                    pg_catalog.quote_ident(pg_catalog.current_database()), pg_catalog.quote_ident(current_user)
             from pg_catalog.pg_settings where name = 'default_transaction_read_only'",
        )
        .fetch_one(&mut *self.acquire().await?)
        .await
        .doing("find out whether the database can be written to")?;
        if is_standby {
            return Err(StoreError::Standby);
        }
        if !is_read_only {
            return Ok(());
        }
        const RESET: &str = "reset default_transaction_read_only";
        Err(StoreError::ReadOnly {
            remedy: match source.as_str() {
                "database" => format!("run `alter database {database} {RESET}`"),
                "user" => format!("run `alter role {user} {RESET}`"),
                "database user" => format!("run `alter role {user} in database {database} {RESET}`"),
                "client" => "remove it from the options in the database's URL or in PGOPTIONS".to_owned(),
                _ => "turn it off in the server's configuration".to_owned(),
            },
        })
    }

    /// The encoding of the database's text, if it can't represent every name. SQL_ASCII keeps the bytes as they are.
    pub async fn narrow_encoding(&self) -> Result<Option<String>, StoreError> {
        let encoding: String = sqlx::query_scalar("select pg_catalog.current_setting('server_encoding')")
            .fetch_one(&mut *self.acquire().await?)
            .await
            .doing("read the database's encoding")?;
        Ok(Some(encoding).filter(|encoding| !matches!(encoding.as_str(), "UTF8" | "SQL_ASCII")))
    }

    /// The `grant` statements that would give this role the rights that it lacks for a sync. Rows may be written by
    /// rights on columns; whole rows are read.
    pub async fn missing_grants(&self) -> Result<Vec<String>, StoreError> {
        let (names, rights): (Vec<&str>, Vec<&str>) = WRITTEN
            .iter()
            .flat_map(|(tables, rights)| tables.iter().map(|table| (*table, *rights)))
            .unzip();
        sqlx::query_scalar(
            "with needed as (
                 select c.oid, pg_catalog.format('inventory.%I', c.relname) as name, needed.privilege
                 from pg_catalog.pg_class c
                 left join unnest($1::text[], $2::text[]) written (name, rights) on written.name = c.relname
                 cross join pg_catalog.regexp_split_to_table(
                     'select' || coalesce(', ' || written.rights, ''), ', ') needed (privilege)
                 where c.relnamespace = (select oid from pg_catalog.pg_namespace where nspname = 'inventory')
                   and c.relkind in ('r', 'v')
             ), missing as (
                 select name, pg_catalog.string_agg(privilege, ', ' order by pg_catalog.array_position(
                     array['select', 'insert', 'update', 'delete'], privilege)) as rights
                 from needed
                 where not case when privilege in ('insert', 'update')
                                then pg_catalog.has_any_column_privilege(oid, privilege)
                                else pg_catalog.has_table_privilege(oid, privilege) end
                 group by name
             )
             select 'grant usage on schema inventory to ' || pg_catalog.quote_ident(current_user)
             from pg_catalog.pg_namespace
             where nspname = 'inventory' and not pg_catalog.has_schema_privilege(oid, 'usage')
             union all
             (select pg_catalog.format('grant %s on %s to %I', rights,
                                       pg_catalog.string_agg(name, ', ' order by name), current_user)
              from missing group by rights order by rights)",
        )
        .bind(names)
        .bind(rights)
        .fetch_all(&mut *self.acquire().await?)
        .await
        .doing("find out which rights this role has")
    }
}
