-- What people query. Names, columns and their order are a promise.

-- Codes of staged_change and closed_interval.
create function inventory.state_name(state smallint) returns text
    language sql immutable parallel safe
    return (array['absent', 'unknown', 'without_data', 'with_data'])[state + 1];

create function inventory.state_of(has_stored_data boolean) returns smallint
    language sql immutable parallel safe
    return case has_stored_data when true then 3::smallint when false then 2::smallint else 1::smallint end;

create function inventory.change_name(old_state smallint, new_state smallint) returns text
    language sql immutable parallel safe
    return case
        when old_state = 0 then 'created'
        when new_state = 0 then 'removed'
        when new_state = 1 then 'data_unknown'
        when old_state = 1 then 'data_known'
        when new_state = 3 then 'data_gained'
        else 'data_lost'
    end;

create view inventory.runs as
select run_id, started_at, finished_at, outcome, version from inventory.run;

create view inventory.namespaces as
select
    a.account_id, n.namespace_id, n.name, n.script, n.class, n.use_sqlite, n.preview,
    n.first_seen_at, n.last_listed_at, n.missing_since, n.horizon
from inventory.namespace n
join inventory.account a using (account_key);

create view inventory.snapshots as
select
    s.snapshot_id::bigint as snapshot_id, s.run_id, a.account_id, n.namespace_id, s.status,
    s.base_snapshot is null as baseline,
    s.base_snapshot::bigint as base_snapshot_id,
    s.started_at, s.finished_at, s.recorded_at,
    s.pages, s.requests,
    s.with_data + s.without_data + s.unknown as objects,
    s.with_data, s.without_data, s.unknown,
    s.created, s.removed, s.data_gained, s.data_lost, s.data_known, s.data_unknown,
    s.resumed,
    case when s.status in ('complete', 'held') then encode(s.digest, 'hex') end as digest,
    s.error
from inventory.snapshot s
join inventory.namespace n using (namespace_key)
join inventory.account a using (account_key);

-- Left joins to snapshot, so that a query that asks for no time does not pay for it.
create view inventory.objects as
select
    a.account_id, n.namespace_id, encode(o.id, 'hex') as object_id, o.id, o.has_stored_data,
    first.recorded_at as first_seen_at,
    since.recorded_at as since,
    last.recorded_at as last_seen_at
from inventory.open_interval o
join inventory.namespace n on n.namespace_key = o.namespace_key and n.published_snapshot is not null
join inventory.account a on a.account_key = n.account_key
left join inventory.snapshot first on first.snapshot_id = coalesce(o.first_snapshot, n.baseline_snapshot)
left join inventory.snapshot since on since.snapshot_id = coalesce(o.from_snapshot, n.baseline_snapshot)
left join inventory.snapshot last on last.snapshot_id = n.published_snapshot;

create view inventory.object_history as
select
    a.account_id, n.namespace_id, encode(i.id, 'hex') as object_id, i.id, i.has_stored_data,
    started.recorded_at as valid_from,
    ended.recorded_at as valid_to
from (
    select namespace_key, id, has_stored_data, from_snapshot, null::int as to_snapshot from inventory.open_interval
    union all
    select namespace_key, id, has_stored_data, from_snapshot, to_snapshot from inventory.closed_interval
) i
join inventory.namespace n on n.namespace_key = i.namespace_key and n.published_snapshot is not null
join inventory.account a on a.account_key = n.account_key
left join inventory.snapshot started on started.snapshot_id = coalesce(i.from_snapshot, n.baseline_snapshot)
left join inventory.snapshot ended on ended.snapshot_id = i.to_snapshot;

-- Derived from the intervals: an end is a change, and so is a start that no end precedes. Up to the horizon's snapshot
-- prune has dropped ends, so starts tell nothing there.
create view inventory.changes as
select
    s.snapshot_id::bigint as snapshot_id, s.recorded_at as at,
    base.started_at as not_before, s.finished_at as not_after,
    a.account_id, n.namespace_id, encode(c.id, 'hex') as object_id, c.id,
    inventory.change_name(c.old_state, c.new_state) as change,
    inventory.state_name(c.old_state) as old_state,
    inventory.state_name(c.new_state) as new_state
from (
    select namespace_key, id, to_snapshot as snapshot_id, inventory.state_of(has_stored_data) as old_state,
           next_state as new_state
    from inventory.closed_interval
    union all
    select o.namespace_key, o.id, o.from_snapshot, 0::smallint, inventory.state_of(o.has_stored_data)
    from inventory.open_interval o
    where o.from_snapshot is not null
      and not exists (
          select from inventory.closed_interval e
          where e.namespace_key = o.namespace_key and e.id = o.id and e.to_snapshot = o.from_snapshot
      )
    union all
    select o.namespace_key, o.id, o.from_snapshot, 0::smallint, inventory.state_of(o.has_stored_data)
    from inventory.closed_interval o
    where o.from_snapshot is not null
      and not exists (
          select from inventory.closed_interval e
          where e.namespace_key = o.namespace_key and e.id = o.id and e.to_snapshot = o.from_snapshot
      )
) c
join inventory.snapshot s on s.snapshot_id = c.snapshot_id
join inventory.snapshot base on base.snapshot_id = s.base_snapshot
join inventory.namespace n on n.namespace_key = c.namespace_key
join inventory.account a on a.account_key = n.account_key
where n.horizon_snapshot is null or c.snapshot_id > n.horizon_snapshot;

comment on schema inventory is 'durable-inventory: which Durable Objects exist, which hold stored data, and how that changed';
comment on view inventory.namespaces is 'every Durable Object namespace that was ever listed';
comment on column inventory.namespaces.missing_since is 'the namespace is no longer listed and its object list answers 404; its objects stay as they were';
comment on column inventory.namespaces.horizon is 'history before this moment was pruned: ask object_history and changes for moments from here on only; null = nothing was pruned';
comment on view inventory.snapshots is 'one row a walk over a namespace; status complete = published. Prune drops those before the horizon that no surviving row names';
comment on column inventory.snapshots.recorded_at is 'when the snapshot became visible: the moment that valid_from and valid_to hold';
comment on column inventory.snapshots.digest is 'additive hash over the set of (id, flag): equal digests, equal sets';
comment on view inventory.objects is 'the present: every object of each namespace''s newest published snapshot. Look an object up by id = ''\x...'' and namespace_id';
comment on column inventory.objects.has_stored_data is 'null = unknown';
comment on column inventory.objects.since is 'start of the present state';
comment on column inventory.objects.first_seen_at is 'when the object was first recorded; it stays true when its first intervals are pruned';
comment on view inventory.object_history is 'half-open intervals; at a moment t: valid_from <= t and (valid_to is null or valid_to > t). Of moments before namespaces.horizon it does not hold everything: intervals that ended by then were pruned';
comment on view inventory.changes is 'what each published snapshot changed; the change happened between not_before and not_after. Complete after namespaces.horizon, empty before it';
comment on view inventory.runs is 'one row a sync';
