//! Accounts of several sizes and ages, for the look and the size of the page.

use super::history::Record;
use crate::support::program::ACCOUNT;

/// Those of a small account. Names of 50 characters occur.
const NAMES: &str = "chat-production_ChatRoom collab-editor-production_DocumentRoomDurableObject login_Session shop_Cart \
                     collab-editor-staging_DocumentRoomDurableObject000 game_Leaderboard billing_Ledger mail_Outbox \
                     search-production_DocumentIndexDurableObject jobs_Queue docs_Archive \
                     presence-gateway-production_PresenceDurableObject1";

impl Record {
    /// An account with this many namespaces, each with a snapshot on each of the last `days` days. From twelve on, some
    /// need attention; from 47 on, the further ones are previews, of which eight are missing.
    pub async fn account_like(&mut self, namespaces: i32, days: i32) {
        self.sql(&format!(
            "insert into inventory.namespace (account_key, namespace_id, name, script, class, preview, first_seen_at,
                                              missing_since)
             select account_key, md5(name), name, split_part(name, '_', 1), split_part(name, '_', 2), preview,
                    now() - {days} * interval '1 day',
                    case when n > {namespaces} - 8 and preview is not null then date_trunc('day', now()) end
             from inventory.account, generate_series(1, {namespaces}) n
             cross join lateral (select coalesce(
                 split_part('{NAMES}', ' ', n), '') as given) g
             cross join lateral (select
                 case when given <> '' then given when n <= 46 then 'worker-' || n || '_Room'
                      else 'shop_Cart_pr-' || n end as name,
                 case when n > 46 then json_build_object('slug', 'pr-' || n)::jsonb end as preview) named
             where account_id = '{ACCOUNT}'
             order by n;

             with moved as (
                 select namespace_key as key, day, size,
                        case when day = 0 then 0 else size * (192 + (hashint4(namespace_key * 7919 + day) & 63)) / 25500 end as created,
                        case when day = 0 then 0 else size * (160 + (hashint4(namespace_key * 104729 - day) & 63)) / 25500 end as removed,
                        600 + (hashint4(namespace_key) & 255) + (hashint4(day * 31 + namespace_key) & 1) as permille
                 from inventory.namespace
                 cross join lateral (select case when preview is null
                     then 4000000 / (namespace_key * namespace_key) + 3000 else 200 + 5 * namespace_key end as size) sized
                 cross join generate_series(0, {days} - 1) day),
             counted as (
                 select *, size + sum(created - removed) over (partition by key order by day)::bigint as objects from moved)
             insert into inventory.snapshot (run_id, namespace_key, status, finished_at, recorded_at, pages, with_data,
                                             without_data, created, removed)
             select 1, key, 'complete', now(),
                    date_trunc('day', now()) - ({days} - 1 - day) * interval '1 day'
                        + (key * 2000 + day) * interval '1 microsecond',
                    1, objects * permille / 1000, objects - objects * permille / 1000, created, removed
             from counted order by key, day;

             update inventory.snapshot s set base_snapshot = s.snapshot_id - 1
             where exists (select from inventory.snapshot b where b.snapshot_id = s.snapshot_id - 1
                           and b.namespace_key = s.namespace_key);
             update inventory.namespace n set baseline_snapshot = first, published_snapshot = last
             from (select namespace_key, min(snapshot_id) as first, max(snapshot_id) as last
                   from inventory.snapshot group by namespace_key) s
             where s.namespace_key = n.namespace_key"
        ))
        .await;
        if namespaces >= 12 {
            let held = "This snapshot would remove 1,950 of 4,964 objects. Publish it: \
                        `durable-inventory snapshots accept 42` Drop it: `durable-inventory snapshots discard 42`";
            self.unpublished(7, "held", held).await;
            self.unpublished(8, "failed", "the cursor is not where it was expected")
                .await;
        }
    }
}
