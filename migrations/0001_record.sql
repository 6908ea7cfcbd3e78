-- The record. People query the views of 0002; these tables are compact and may change from version to version.
--
-- Rows of open_interval and closed_interval name snapshots, not times: a snapshot's changes can then be applied
-- before its recorded_at is known, and the global publish lock is held for a moment only.

create table inventory.store (
    the_only_row boolean primary key default true check (the_only_row),
    -- The publish clock: strictly increasing in commit order over the whole store.
    last_recorded_at timestamptz not null
);
insert into inventory.store (last_recorded_at) values ('-infinity');

create table inventory.account (
    account_key int generated always as identity primary key,
    account_id text not null unique check (account_id <> ''),
    -- The API that this account's record came from. Another one is refused, so that a simulator never writes into
    -- a real record.
    api_base_url text not null
);

create table inventory.run (
    run_id bigint generated always as identity primary key,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    outcome text not null default 'running'
        check (outcome in ('running', 'done', 'partial', 'failed', 'held', 'busy', 'interrupted')),
    version text not null,
    session_name text not null  -- application_name of its sessions
);

create table inventory.namespace (
    namespace_key int generated always as identity primary key,
    account_key int not null references inventory.account,
    namespace_id text not null check (namespace_id <> ''),
    name text,
    script text,
    class text,
    use_sqlite boolean,
    preview jsonb,
    first_seen_at timestamptz not null default clock_timestamp(),
    last_listed_at timestamptz,
    missing_since timestamptz,
    -- Raised by each taking of the namespace's lock; every later write for the namespace checks it.
    fence bigint not null default 0,
    -- The application_name of the sessions whose run holds the lock; null when it was let go in order.
    locked_by text,
    -- The API once served this namespace's ids out of order: its walks are spooled and sorted from the start.
    unordered boolean not null default false,
    -- The API once took an id that was made up for another cursor than it means: walks read on one cursor.
    one_cursor boolean not null default false,
    -- The first published snapshot, and the newest. Rows of open_interval are hidden as long as there is none.
    baseline_snapshot int,
    published_snapshot int,
    -- Moved by prune before it drops anything: the record can't be asked for moments before the horizon. Its snapshot is
    -- the newest that was published by then; what ended with that one or before it is dropped, or about to be.
    horizon timestamptz,
    horizon_snapshot int,
    check ((horizon is null) = (horizon_snapshot is null)),
    unique (account_key, namespace_id)
);

create table inventory.snapshot (
    snapshot_id int generated always as identity primary key,
    run_id bigint not null references inventory.run,
    namespace_key int not null references inventory.namespace,
    status text not null default 'running'
        check (status in ('running', 'complete', 'interrupted', 'failed', 'held', 'discarded', 'superseded')),
    -- The published snapshot that this walk is compared with; null for a baseline. Long after, prune may have dropped it.
    base_snapshot int,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    recorded_at timestamptz unique,
    pages bigint not null default 0,
    requests bigint not null default 0,
    with_data bigint not null default 0,
    without_data bigint not null default 0,
    unknown bigint not null default 0,
    created bigint not null default 0,
    removed bigint not null default 0,
    data_gained bigint not null default 0,
    data_lost bigint not null default 0,
    data_known bigint not null default 0,
    data_unknown bigint not null default 0,
    resumed bigint not null default 0,
    -- Sums over what was walked so far, and over what it changes: see the module `digest`. Complete: the digest.
    digest_version smallint not null default 1,
    digest bytea not null default decode(repeat('00', 32), 'hex') check (octet_length(digest) = 32),
    change_digest bytea not null default decode(repeat('00', 32), 'hex') check (octet_length(change_digest) = 32),
    error text,
    -- Dropped by prune but for its moment, which rows that stay are told by. No view shows it.
    pruned boolean not null default false,
    -- The checkpoint: all that another process needs to go on after the last committed page.
    checkpoint_at timestamptz not null default clock_timestamp(),
    walked boolean not null default false,              -- the end was proven: nothing is left to fetch
    cursor text,                                        -- of the next page; null before the first
    compared_to bytea check (octet_length(compared_to) = 32), -- everything up to this id has been compared
    carried_id bytea check (octet_length(carried_id) = 32),  -- the last row seen, which the next page may repeat
    carried_flag boolean,
    spooled bigint,                                     -- rows of spooled_object; null when the walk is not spooled
    empty_pages int not null default 0,                 -- in a row
    anchor_cursor text,                                 -- Brent's cycle search over the cursors
    anchor_steps bigint not null default 0,
    anchor_limit bigint not null default 1,
    check ((status = 'complete') = (recorded_at is not null))
);
create index snapshot_of_namespace on inventory.snapshot (namespace_key, snapshot_id);
-- The views show the number as bigint: what asks them for a snapshot, or for a namespace's newest, needs these.
create index snapshot_shown on inventory.snapshot ((snapshot_id::bigint));
create index snapshot_shown_of_namespace on inventory.snapshot (namespace_key, (snapshot_id::bigint));
create index snapshot_of_run on inventory.snapshot (run_id);
-- At most one walk in progress, and at most one held, a namespace.
create unique index snapshot_walking on inventory.snapshot (namespace_key) where status in ('running', 'interrupted');
create unique index snapshot_held on inventory.snapshot (namespace_key) where status = 'held';

alter table inventory.namespace
    add foreign key (baseline_snapshot) references inventory.snapshot,
    add foreign key (published_snapshot) references inventory.snapshot,
    add foreign key (horizon_snapshot) references inventory.snapshot;
-- Whenever a snapshot is dropped, the keys above look for a namespace that names it.
create index namespace_baseline on inventory.namespace (baseline_snapshot) where baseline_snapshot is not null;
create index namespace_published on inventory.namespace (published_snapshot) where published_snapshot is not null;
create index namespace_horizon on inventory.namespace (horizon_snapshot) where horizon_snapshot is not null;

-- What is there now. Null snapshots mean the namespace's baseline: a first sync writes its rows once, as small as
-- they can be, and the index on from_snapshot holds nothing for them.
create table inventory.open_interval (
    namespace_key int not null,
    from_snapshot int,   -- since when the object is in this state
    first_snapshot int,  -- of the object's first interval ever
    has_stored_data boolean,
    id bytea not null check (octet_length(id) = 32),
    primary key (namespace_key, id)
);
create index open_interval_from on inventory.open_interval (from_snapshot) where from_snapshot is not null;

-- What was there: half-open, from_snapshot to to_snapshot.
create table inventory.closed_interval (
    namespace_key int not null,
    from_snapshot int,
    first_snapshot int,
    to_snapshot int not null,
    has_stored_data boolean,
    next_state smallint not null,  -- what it turned into; see state_name()
    id bytea not null check (octet_length(id) = 32),
    primary key (namespace_key, id, to_snapshot)
);
create index closed_interval_to on inventory.closed_interval (to_snapshot);
create index closed_interval_from on inventory.closed_interval (from_snapshot) where from_snapshot is not null;

-- What prune leaves of an object that is gone: if it comes back, it was first seen then. A row may stay when the object is
-- back; nothing asks for it as long as the object has an interval.
create table inventory.pruned_object (
    namespace_key int not null,
    first_snapshot int,  -- as in open_interval
    id bytea not null check (octet_length(id) = 32),
    primary key (namespace_key, id)
);

-- Changes of walks that are not published: in progress, interrupted or held. Logged, so that a crash of the
-- database loses no checkpoint.
create table inventory.staged_change (
    snapshot_id int not null, -- no foreign key: it would be checked row by row
    id bytea not null check (octet_length(id) = 32),
    old_state smallint not null,
    new_state smallint not null check (new_state <> old_state),
    primary key (snapshot_id, id)
);

-- Observations of walks whose ids come out of order, sorted by the primary key. Unlogged: after a crash of the
-- database it is empty, which snapshot.spooled gives away, and the walk starts over.
create unlogged table inventory.spooled_object (
    snapshot_id int not null,
    id bytea not null,
    has_stored_data boolean,
    primary key (snapshot_id, id)
);
