-- Fills a migrated, empty store with a record of :objects objects, thirty daily snapshots and changes of about 1% per
-- day. The rows go straight into the base tables, because that many syncs would take hours. Every run produces the same
-- rows.
\set ON_ERROR_STOP on
set time zone 'UTC';
set synchronous_commit = off;
set work_mem = '256MB';

-- One namespace holds nine in ten objects, ten others hold 0.9% each, and twenty previews 0.05% each.
create unlogged table kind as
select k as namespace_key,
       case when k = 1 then 'chat_Room' when k <= 11 then 'app' || k - 1 || '_Session'
            else 'shop_Cart_pr-' || k - 11 end as name,
       case when k = 1 then 'chat' when k <= 11 then 'app' || k - 1 else 'shop' end as script,
       case when k = 1 then 'Room' when k <= 11 then 'Session' else 'Cart' end as class,
       (:objects * case when k = 1 then 0.9 when k <= 11 then 0.009 else 0.0005 end)::bigint as objects,
       -- Two previews are deleted on the twentieth day.
       case when k in (12, 13) then 19 else 30 end as days
from generate_series(1, 31) k;

insert into inventory.account (account_id, api_base_url)
values ('023e105f4ecef8ad9ca31a8372d0c353', 'https://api.cloudflare.com/client/v4');
insert into inventory.namespace
    (account_key, namespace_id, name, script, class, use_sqlite, preview, first_seen_at, last_listed_at, missing_since)
select 1, substr(md5(name), 1, 32), name, script, class, true,
       case when namespace_key > 11 then jsonb_build_object('slug', 'pr-' || namespace_key - 11) end,
       '2026-11-01 03:17Z', timestamptz '2026-10-31 03:17Z' + days * interval '1 day',
       case when days < 30 then timestamptz '2026-11-01 03:17Z' + days * interval '1 day' end
from kind order by namespace_key;
insert into inventory.run (started_at, finished_at, outcome, version, session_name)
select at, at + interval '20 minutes', 'done', 'bench', 'bench'
from generate_series(timestamptz '2026-11-01 03:17Z', '2026-11-30 03:17Z', '1 day') at;

-- Snapshot ids are day * 100 + namespace_key. The first day is day 0. The digests are not computed: version 0 is one that the
-- program does not know, so it compares the numbers of objects alone.
insert into inventory.snapshot
    (snapshot_id, run_id, namespace_key, status, base_snapshot, started_at, finished_at, recorded_at, walked,
     pages, requests, digest_version)
overriding system value
select day * 100 + namespace_key, day + 1, namespace_key, 'complete',
       case when day > 0 then (day - 1) * 100 + namespace_key end, at, at + interval '9 minutes',
       at + interval '10 minutes' + namespace_key * interval '1 second', true,
       objects / 10000 + 1, objects / 10000 + 1, 0
from kind, generate_series(0, days - 1) day,
     lateral (select timestamptz '2026-11-01 03:17Z' + day * interval '1 day' as at) t
order by 1;
select setval(pg_get_serial_sequence('inventory.snapshot', 'snapshot_id'), 10000) \g /dev/null
update inventory.namespace n set baseline_snapshot = n.namespace_key, published_snapshot = (days - 1) * 100 + n.namespace_key
from kind k where k.namespace_key = n.namespace_key;

-- Each object's fate (of 10,000) and its day. Ids are spread evenly, as in production.
create unlogged table pool as
select namespace_key, id, days,
       (get_byte(id, 8) * 256 + get_byte(id, 9)) * 10000 / 65536 as fate,
       1 + get_byte(id, 10) * (days - 1) / 256 as day,
       case when get_byte(id, 11) % 50 = 0 then null else get_byte(id, 11) < 154 end as flag
from (select k.namespace_key, k.days,
             substring(int8send(i * 4294967296 / size) from 5) ||
                 substring(sha256(int8send(k.namespace_key * 1000000000::bigint + i)) from 5) as id
      from kind k, lateral (select (objects / 0.88)::bigint as size) s, generate_series(0, size - 1) i) ids;

-- What the fates mean: created (1200), removed (880), flipped (520), flapping every four days (10), absent for three
-- days (10), and otherwise unchanged.
create unlogged table life as
select namespace_key, id, fate, day, flag, days,
       case when fate < 1200 then 'created' when fate < 2080 then 'removed'
            when fate < 2600 and flag is not null then 'flipped'
            when fate >= 2600 and fate < 2610 and flag is not null then 'flapping'
            when fate >= 2610 and fate < 2620 and day + 3 < days then 'returning' end as what
from pool where fate < 2620;

insert into inventory.open_interval (namespace_key, has_stored_data, id)
select namespace_key, flag, id from pool where fate >= 2620;
insert into inventory.open_interval (namespace_key, has_stored_data, id)
select namespace_key, flag, id from life where what is null order by 1, 3;
insert into inventory.open_interval (namespace_key, from_snapshot, first_snapshot, has_stored_data, id)
select namespace_key, changed * 100 + namespace_key,
       case when what = 'created' then changed * 100 + namespace_key end,
       case when what = 'flipped' or what = 'flapping' and (changed / 4) % 2 = 1 then not flag else flag end, id
from (select *, case what when 'flapping' then (days - 1) / 4 * 4 when 'returning' then day + 3 else day end as changed
      from life where what in ('created', 'flipped', 'flapping', 'returning')) l
order by changed, namespace_key, id;

insert into inventory.closed_interval
    (namespace_key, from_snapshot, to_snapshot, has_stored_data, next_state, id)
select namespace_key, from_day * 100 + namespace_key, to_day * 100 + namespace_key, was,
       case next when 'absent' then 0 when 'true' then 3 else 2 end, id
from (select namespace_key, id, null::int as from_day, day as to_day, flag as was,
             case what when 'flipped' then (not flag)::text else 'absent' end as next
      from life where what in ('removed', 'flipped', 'returning')
      union all
      select namespace_key, id, nullif(4 * n, 0), 4 * n + 4, flag = (n % 2 = 0), (flag <> (n % 2 = 0))::text
      from life, generate_series(0, (days - 1) / 4 - 1) n where what = 'flapping') c
order by to_day, namespace_key, id;
drop table kind, pool, life;
analyze inventory.open_interval, inventory.closed_interval, inventory.snapshot, inventory.namespace;

-- The counts that a walk would have recorded.
update inventory.snapshot s set
    created = c.created, removed = c.removed, data_gained = c.data_gained, data_lost = c.data_lost
from (select snapshot_id, count(*) filter (where change = 'created') as created,
             count(*) filter (where change = 'removed') as removed,
             count(*) filter (where change = 'data_gained') as data_gained,
             count(*) filter (where change = 'data_lost') as data_lost
      from inventory.changes group by 1) c
where s.snapshot_id = c.snapshot_id;
create temporary table state as
select namespace_key, day, sum(sum(t)) over w as t, sum(sum(f)) over w as f, sum(sum(u)) over w as u
from (select namespace_key, coalesce(from_snapshot, namespace_key) / 100 as day,
             (has_stored_data)::int as t, (not has_stored_data)::int as f, (has_stored_data is null)::int as u
      from inventory.open_interval
      union all
      select namespace_key, coalesce(from_snapshot, namespace_key) / 100,
             (has_stored_data)::int, (not has_stored_data)::int, (has_stored_data is null)::int
      from inventory.closed_interval
      union all
      select namespace_key, to_snapshot / 100,
             -(has_stored_data)::int, -(not has_stored_data)::int, -(has_stored_data is null)::int
      from inventory.closed_interval) x
group by namespace_key, day window w as (partition by namespace_key order by day);
update inventory.snapshot s set with_data = coalesce(t, 0), without_data = coalesce(f, 0), unknown = coalesce(u, 0)
from state
where state.namespace_key = s.namespace_key and state.day = (
    select max(day) from state before
    where before.namespace_key = s.namespace_key and before.day <= (s.snapshot_id - s.namespace_key) / 100);
update inventory.store set last_recorded_at = (select max(recorded_at) from inventory.snapshot);
vacuum (analyze) inventory.open_interval, inventory.closed_interval, inventory.snapshot, inventory.namespace, inventory.run;
