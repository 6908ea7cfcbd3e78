//! Prunes, some of which fail in the middle.

use durable_inventory::prune::{self, Dropped, Outcome, Settings};
use durable_inventory::store::{Store, StoreError};
use sqlx::{Executor, PgConnection};
use time::OffsetDateTime;

use super::cases::Prune;
use super::model::Model;

/// Installs a trigger that fails at the n-th deletion. A sequence counts the deletions, because a rollback does not
/// reset it.
pub async fn lay_fuse(session: &mut PgConnection) {
    session
        .execute(
            "create sequence public.deletions;
             create table public.fuse as select 0::bigint as burns_at;
             create function public.burn() returns trigger language plpgsql as $$ begin
                 if nextval('public.deletions') = (select burns_at from public.fuse) then
                     raise exception 'killed';
                 end if;
                 return null;
             end $$;
             create trigger burn before delete on inventory.closed_interval for each statement execute function public.burn();
             create trigger burn before delete on inventory.snapshot for each statement execute function public.burn();",
        )
        .await
        .unwrap();
}

async fn light_fuse(session: &mut PgConnection, burns_at: Option<i64>) {
    session
        .execute("alter sequence public.deletions restart")
        .await
        .unwrap();
    sqlx::query("update public.fuse set burns_at = $1")
        .bind(burns_at.unwrap_or(0))
        .execute(session)
        .await
        .unwrap();
}

pub async fn prune(store: &Store, session: &mut PgConnection, namespace: &str, model: &mut Model, prune: &Prune) {
    let before = *prune.moment.get(&model.all_moments());
    // The future is not known yet and can't be pruned.
    let before = before.min(OffsetDateTime::now_utc());
    let before = before.replace_microsecond(before.microsecond()).unwrap();
    let told = run(store, namespace, before, prune.batch, true).await.unwrap();
    light_fuse(session, prune.dies_at).await;
    let dropped = run(store, namespace, before, prune.batch, false).await;
    light_fuse(session, None).await;
    model.prune(before);
    match dropped {
        Ok(dropped) => {
            assert_eq!(dropped, told, "a dry run tells what will be dropped");
            nothing_is_left(session, namespace).await;
            let again = run(store, namespace, before, prune.batch, false).await.unwrap();
            assert_eq!((again.intervals, again.snapshots, again.leftovers), (0, 0, 0));
        }
        Err(error) => {
            assert!(prune.dies_at.is_some(), "{error}");
            // The lock ends with its session and is free for the next one.
        }
    }
}

async fn run(
    store: &Store,
    namespace: &str,
    before: OffsetDateTime,
    batch: u32,
    dry_run: bool,
) -> Result<Dropped, StoreError> {
    let settings = Settings { before, dry_run, batch };
    let pruned = prune::prune(store, &settings, |n| n.namespace_id == namespace).await?;
    let [one] = pruned.namespaces.as_slice() else {
        panic!("{pruned:?}")
    };
    match one.outcome {
        Outcome::Pruned(dropped) => Ok(dropped),
        Outcome::Busy => panic!("nobody holds it"),
    }
}

/// Asserts that no interval ended by the retention limit, and that only snapshots referenced by a row remain before it.
async fn nothing_is_left(session: &mut PgConnection, namespace: &str) {
    let left: (i64, i64) = sqlx::query_as(
        "select (select count(*) from inventory.closed_interval c
                 where c.namespace_key = n.namespace_key and c.to_snapshot <= n.horizon_snapshot),
                (select count(*) from inventory.snapshot s
                 where s.namespace_key = n.namespace_key and s.snapshot_id < n.horizon_snapshot
                   and s.snapshot_id <> n.baseline_snapshot and s.created = 0
                   and not exists (select from inventory.open_interval where from_snapshot = s.snapshot_id)
                   and not exists (select from inventory.closed_interval where from_snapshot = s.snapshot_id))
         from inventory.namespace n where n.namespace_id = $1",
    )
    .bind(namespace)
    .fetch_one(session)
    .await
    .unwrap();
    assert_eq!(left, (0, 0));
}
