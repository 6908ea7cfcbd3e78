-- Moves the runs of a record to days of their own: the last one to yesterday, the one before it to the day before
-- yesterday. Every time in the record belongs to the last run that had started by then. The rows of objects name
-- snapshots, not times, so they stay as they are; columns that later versions of the schema add are moved as well.
create temporary table run_start on commit drop as select started_at from inventory.run;
create function pg_temp.on_its_day(at timestamptz) returns timestamptz language sql as $$
    select at - (1 + count(*)) * interval '24 hours' from run_start where started_at > at
$$;
do $$
declare
    each record;
begin
    for each in
        select table_name, string_agg(format('%1$I = pg_temp.on_its_day(%1$I)', column_name), ', ') as moved
        from information_schema.columns join information_schema.tables using (table_schema, table_name)
        where table_schema = 'inventory' and table_type = 'BASE TABLE' and data_type = 'timestamp with time zone'
        group by table_name
    loop
        execute format('update inventory.%I set %s', each.table_name, each.moved);
    end loop;
end
$$;
