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
    n.first_seen_at, n.last_listed_at, n.missing_since
from inventory.namespace n
join inventory.account a using (account_key);

create view inventory.horizons as
select a.account_id, n.namespace_id, n.horizon
from inventory.namespace n
join inventory.account a using (account_key)
where n.horizon is not null;

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
join inventory.account a using (account_key)
where not s.pruned;

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

-- Derived from the intervals: an end is a change, and so is a start that no end precedes. The branches are bare tables
-- and the conditions stand outside, so that the planner may come from the snapshots of a span of time as well as from an
-- object's id. Up to the horizon's snapshot prune has dropped ends, so starts tell nothing there.
create view inventory.changes as
select
    s.snapshot_id::bigint as snapshot_id, s.recorded_at as at,
    base.started_at as not_before, s.finished_at as not_after,
    a.account_id, n.namespace_id, encode(c.id, 'hex') as object_id, c.id,
    inventory.change_name(c.old_state, c.new_state) as change,
    inventory.state_name(c.old_state) as old_state,
    inventory.state_name(c.new_state) as new_state
from (
    select namespace_key, id, to_snapshot as snapshot_id, true as is_end, null::int as first_snapshot,
           inventory.state_of(has_stored_data) as old_state, next_state as new_state
    from inventory.closed_interval
    union all
    select namespace_key, id, from_snapshot, false, first_snapshot,
           0::smallint, inventory.state_of(has_stored_data)
    from inventory.open_interval
    union all
    select namespace_key, id, from_snapshot, false, first_snapshot,
           0::smallint, inventory.state_of(has_stored_data)
    from inventory.closed_interval
) c
join inventory.snapshot s on s.snapshot_id = c.snapshot_id
join inventory.snapshot base on base.snapshot_id = s.base_snapshot
join inventory.namespace n on n.namespace_key = c.namespace_key
join inventory.account a on a.account_key = n.account_key
where c.snapshot_id is not null
  and (n.horizon_snapshot is null or c.snapshot_id > n.horizon_snapshot)
  -- An object's first interval follows none: that is known without a look at those that ended.
  and (c.is_end or c.first_snapshot = c.snapshot_id or not exists (
      select from inventory.closed_interval e
      where e.namespace_key = c.namespace_key and e.id = c.id and e.to_snapshot = c.snapshot_id
  ));

comment on schema inventory is 'durable-inventory: which Durable Objects exist, which hold stored data, and how that changed';

comment on view inventory.runs is 'one row a sync';
comment on column inventory.runs.run_id is 'number of the run; snapshots name it';
comment on column inventory.runs.started_at is 'when the run began';
comment on column inventory.runs.finished_at is 'when it ended; null while it runs, or where it was killed';
comment on column inventory.runs.outcome is 'running, done, partial (some namespaces failed, or the deadline came), failed, held (a mass removal was held back), busy (another run held every namespace) or interrupted';
comment on column inventory.runs.version is 'version of durable-inventory that ran';

comment on view inventory.namespaces is 'every Durable Object namespace that was ever listed';
comment on column inventory.namespaces.account_id is 'Cloudflare account';
comment on column inventory.namespaces.namespace_id is 'the namespace''s id at Cloudflare; with account_id the key that all views share';
comment on column inventory.namespaces.name is 'as Cloudflare lists it; null where it has none';
comment on column inventory.namespaces.script is 'Worker that the namespace belongs to; of a preview, its parent';
comment on column inventory.namespaces.class is 'class of the objects; previews of a Worker share script and class';
comment on column inventory.namespaces.use_sqlite is 'whether the objects store their data in SQLite; null = not said';
comment on column inventory.namespaces.preview is 'of a preview deployment: id, slug and name; else null';
comment on column inventory.namespaces.first_seen_at is 'when a listing first held the namespace';
comment on column inventory.namespaces.last_listed_at is 'when a listing last held it';
comment on column inventory.namespaces.missing_since is 'since when the namespace is no longer listed and its object list answers 404; its objects stay as they were. Null = listed';

comment on view inventory.horizons is 'the namespaces whose history was pruned';
comment on column inventory.horizons.account_id is 'Cloudflare account';
comment on column inventory.horizons.namespace_id is 'namespace whose history was pruned';
comment on column inventory.horizons.horizon is 'history before this moment is gone: ask object_history and changes for moments from here on only';

comment on view inventory.snapshots is 'one row a walk over a namespace; status complete = published. Prune drops those before the namespace''s horizon, but for the newest';
comment on column inventory.snapshots.snapshot_id is 'number of the snapshot; rises in the order of the walks of a namespace';
comment on column inventory.snapshots.run_id is 'run that began the walk';
comment on column inventory.snapshots.account_id is 'Cloudflare account';
comment on column inventory.snapshots.namespace_id is 'namespace that was walked';
comment on column inventory.snapshots.status is 'running, complete (published), interrupted (may be resumed), failed, held (a mass removal waits for a decision), discarded (by hand, or the walk started over, or its namespace was missing: error says which) or superseded (by a newer one)';
comment on column inventory.snapshots.baseline is 'the namespace''s first snapshot: says what was there, not what was created';
comment on column inventory.snapshots.base_snapshot_id is 'snapshot that this one is compared with; null for a baseline';
comment on column inventory.snapshots.started_at is 'when the walk began';
comment on column inventory.snapshots.finished_at is 'when the walk came to its end; null before';
comment on column inventory.snapshots.recorded_at is 'when the snapshot became visible: the moment that valid_from and valid_to hold; null = not published';
comment on column inventory.snapshots.pages is 'pages that were walked';
comment on column inventory.snapshots.requests is 'requests that it took, repeated ones included';
comment on column inventory.snapshots.objects is 'objects that were listed';
comment on column inventory.snapshots.with_data is 'objects that hold stored data';
comment on column inventory.snapshots.without_data is 'objects that hold none';
comment on column inventory.snapshots.unknown is 'objects of which the API did not say';
comment on column inventory.snapshots.created is 'objects that the base did not have';
comment on column inventory.snapshots.removed is 'objects that only the base had';
comment on column inventory.snapshots.data_gained is 'objects that turned from without data to with data';
comment on column inventory.snapshots.data_lost is 'objects that turned from with data to without data';
comment on column inventory.snapshots.data_known is 'objects that turned from unknown to either';
comment on column inventory.snapshots.data_unknown is 'objects that turned from either to unknown';
comment on column inventory.snapshots.resumed is 'how often the walk was taken up again after an interruption';
comment on column inventory.snapshots.digest is 'additive hash over the set of (id, flag), 64 hex digits: equal digests, equal sets; null before the walk''s end';
comment on column inventory.snapshots.error is 'what went wrong, or why it was held; null = nothing';

comment on view inventory.objects is 'the present: every object of each namespace''s newest published snapshot, those of missing namespaces included. Look an object up by namespace_id and id = ''\x...''';
comment on column inventory.objects.account_id is 'Cloudflare account';
comment on column inventory.objects.namespace_id is 'namespace of the object';
comment on column inventory.objects.object_id is '64 lower-case hex digits, made from id: to read, not to search by';
comment on column inventory.objects.id is 'the same in 32 bytes: search and sort by this';
comment on column inventory.objects.has_stored_data is 'whether the object holds stored data; null = the API did not say';
comment on column inventory.objects.first_seen_at is 'recorded_at of the first snapshot that ever listed the object; stays true when history is pruned';
comment on column inventory.objects.since is 'start of the present state: recorded_at of the snapshot that brought it';
comment on column inventory.objects.last_seen_at is 'recorded_at of the namespace''s newest published snapshot';

comment on view inventory.object_history is 'one row for as long as an object was in one state, half-open; at a moment t: valid_from <= t and (valid_to is null or valid_to > t). Not whole for moments before the namespace''s horizon (see horizons)';
comment on column inventory.object_history.account_id is 'Cloudflare account';
comment on column inventory.object_history.namespace_id is 'namespace of the object';
comment on column inventory.object_history.object_id is '64 lower-case hex digits, made from id: to read, not to search by';
comment on column inventory.object_history.id is 'the same in 32 bytes: search and sort by this';
comment on column inventory.object_history.has_stored_data is 'whether the object held stored data; null = the API did not say';
comment on column inventory.object_history.valid_from is 'recorded_at of the snapshot that found it so; of a baseline: so by then, or earlier';
comment on column inventory.object_history.valid_to is 'recorded_at of the first snapshot that found it otherwise, or gone; null = still so';

comment on view inventory.changes is 'what each published snapshot changed, one row an object; baselines change nothing. Empty up to the namespace''s horizon (see horizons)';
comment on column inventory.changes.snapshot_id is 'snapshot that found the change';
comment on column inventory.changes.at is 'its recorded_at: when the change became visible';
comment on column inventory.changes.not_before is 'start of the walk before: the change happened after it';
comment on column inventory.changes.not_after is 'end of the walk that found the change: it happened before it';
comment on column inventory.changes.account_id is 'Cloudflare account';
comment on column inventory.changes.namespace_id is 'namespace of the object';
comment on column inventory.changes.object_id is '64 lower-case hex digits, made from id: to read, not to search by';
comment on column inventory.changes.id is 'the same in 32 bytes: search and sort by this';
comment on column inventory.changes.change is 'created, removed, data_gained (without to with), data_lost (with to without), data_known (unknown to either) or data_unknown (either to unknown)';
comment on column inventory.changes.old_state is 'absent, unknown, without_data or with_data';
comment on column inventory.changes.new_state is 'absent, unknown, without_data or with_data';
