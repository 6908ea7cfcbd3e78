-- Tells one record from another: a run that connects again must reach the database that it began with. A copy, such as a
-- restored backup, keeps it.
alter table inventory.store add column identity uuid not null default gen_random_uuid();
