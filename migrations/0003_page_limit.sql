-- The API may be too slow for large pages of a namespace. Its walks then request smaller ones.
alter table inventory.namespace
    add column page_limit int check (page_limit between 10 and 10000),
    -- Walks that came to their end with this size. After some of them a larger one is tried.
    add column page_limit_walks smallint not null default 0;

-- The `limit` of the last committed page: a cursor may mean something else with another one.
alter table inventory.snapshot
    add column page_limit int;
