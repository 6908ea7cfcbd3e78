//! The owner of the schema `inventory`. Its triggers and the functions in its views run with the rights of the role
//! that uses them, so a schema that another role created is not used as the record, and neither are another role's
//! objects in it.

use sqlx::PgConnection;

use super::StoreError;
use super::error::Doing;

/// The use that a session makes of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To create and change objects in it. This role must own it.
    Migrate,
    /// To read and write rows with the rights that the owner gave. A superuser must trust the owner, who could act with
    /// the superuser's rights.
    Use,
}

/// A superuser counts as a member of every role, so membership does not show which roles it trusts.
const OWNER: &str = "
    select o.rolname::text, pg_catalog.quote_ident(u.rolname), u.rolsuper,
           o.rolsuper or o.oid = u.oid or (not u.rolsuper and pg_catalog.pg_has_role(u.oid, o.oid, 'member'))
    from pg_catalog.pg_namespace n
    join pg_catalog.pg_roles o on o.oid = n.nspowner
    join pg_catalog.pg_roles u on u.rolname = current_user
    where n.nspname = 'inventory'";

/// Relations and functions that the schema's owner does not own, then triggers that call another role's function, for
/// which the right to create triggers is enough. Indexes and toast tables belong to their table's owner.
const FOREIGN: &str = "
    select f.what, r.rolname::text,
           f.remedy || case when f.can_be_given then pg_catalog.quote_ident(o.rolname) || '`' else '`' end
    from pg_catalog.pg_namespace n
    join pg_catalog.pg_roles o on o.oid = n.nspowner
    cross join lateral (
        select c.relowner, pg_catalog.format('inventory.%I', c.relname), true,
               pg_catalog.format('drop it, or hand it over with `alter %s inventory.%I owner to ',
                   case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
                                  when 'f' then 'foreign table' when 'c' then 'type' else 'table' end, c.relname)
        from pg_catalog.pg_class c
        where c.relnamespace = n.oid and c.relowner <> n.nspowner and c.relkind not in ('i', 'I', 't')
        union all
        select p.proowner, p.name, true,
               pg_catalog.format('drop it, or hand it over with `alter routine %s owner to ', p.name)
        from (select proowner, pg_catalog.format('inventory.%I(%s)', proname,
                                                 pg_catalog.pg_get_function_identity_arguments(oid)) as name
              from pg_catalog.pg_proc where pronamespace = n.oid and proowner <> n.nspowner) p
        union all
        select p.proowner, pg_catalog.format('the trigger %I of inventory.%I', t.tgname, c.relname), false,
               pg_catalog.format('remove it with `drop trigger %I on inventory.%I', t.tgname, c.relname)
        from pg_catalog.pg_trigger t
        join pg_catalog.pg_class c on c.oid = t.tgrelid
        join pg_catalog.pg_proc p on p.oid = t.tgfoid
        join pg_catalog.pg_roles w on w.oid = p.proowner
        where c.relnamespace = n.oid and not t.tgisinternal and p.proowner <> n.nspowner and not w.rolsuper
    ) f (role, what, can_be_given, remedy)
    join pg_catalog.pg_roles r on r.oid = f.role
    where n.nspname = 'inventory'
    order by f.can_be_given desc, f.what
    limit 1";

/// Refuses a schema or objects in it that belong to another role. The schema may be missing. Only catalogs are read:
/// objects in the schema itself may be malicious.
pub(super) async fn require_ours(session: &mut PgConnection, purpose: Purpose) -> Result<(), StoreError> {
    let doing = "find the schema's owner";
    let schema: Option<(String, String, bool, bool)> =
        sqlx::query_as(OWNER).fetch_optional(&mut *session).await.doing(doing)?;
    let Some((owner, user, superuser, ours)) = schema else {
        return Ok(());
    };
    if !ours && (superuser || purpose == Purpose::Migrate) {
        return Err(StoreError::ForeignSchema { owner, user, superuser });
    }
    let foreign: Option<(String, String, String)> =
        sqlx::query_as(FOREIGN).fetch_optional(session).await.doing(doing)?;
    foreign.map_or(Ok(()), |(what, role, remedy)| {
        Err(StoreError::ForeignObject { what, role, remedy })
    })
}
