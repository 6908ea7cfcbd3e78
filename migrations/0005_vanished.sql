-- Since when a namespace is neither listed nor found, without being marked as missing: too many of its account's namespaces
-- vanished at once, or the run that noticed it was killed. Null as soon as it is listed or walked again.
alter table inventory.namespace add column vanished_since timestamptz;

-- The pages of the walk when it was last resumed, and in how many runs in a row the API's responses then ended it before
-- it had committed another page.
alter table inventory.snapshot
    add column resumed_at_pages bigint,
    add column idle_resumes smallint not null default 0;
