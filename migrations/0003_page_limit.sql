-- The API may be too slow for large pages of a namespace. Its walks then request smaller ones.
alter table inventory.namespace
    add column page_limit int check (page_limit between 10 and 10000);

-- The `limit` of the last committed page: a cursor may mean something else with another one.
alter table inventory.snapshot
    add column page_limit int;
