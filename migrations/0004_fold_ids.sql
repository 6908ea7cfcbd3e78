-- Cloudflare's ids are 32 lower-case hex digits. Other spellings of one id used to be recorded as different accounts or
-- namespaces. Two records of one id can't become one: their snapshots were taken independently.

do $$
declare
    spellings text;
begin
    select string_agg(account_id, ', ' order by account_id) into spellings
    from inventory.account
    where account_id ~ '^[0-9A-Fa-f]{32}$'
      and lower(account_id) in (
          select lower(account_id) from inventory.account group by lower(account_id) having count(*) > 1);
    if spellings is not null then
        raise exception 'one account is recorded under several spellings of its id: %: keep one, and rename each other, by '
            'psql: update inventory.account set account_id = ''old-'' || right(account_id, 28) where account_id = ''...''; '
            'the renamed records stay readable, and are not continued', spellings;
    end if;

    select string_agg(namespace_id, ', ' order by namespace_id) into spellings
    from inventory.namespace n
    where namespace_id ~ '^[0-9A-Fa-f]{32}$'
      and exists (
          select from inventory.namespace other
          where other.account_key = n.account_key
            and other.namespace_key <> n.namespace_key
            and lower(other.namespace_id) = lower(n.namespace_id));
    if spellings is not null then
        raise exception 'one namespace is recorded under several spellings of its id: %: keep one, and rename each other, by '
            'psql: update inventory.namespace set namespace_id = ''old-'' || namespace_id where namespace_id = ''...''; '
            'the renamed records stay readable, and are not continued', spellings;
    end if;
end
$$;

update inventory.account set account_id = lower(account_id)
where account_id ~ '^[0-9A-Fa-f]{32}$' and account_id <> lower(account_id);

update inventory.namespace set namespace_id = lower(namespace_id)
where namespace_id ~ '^[0-9A-Fa-f]{32}$' and namespace_id <> lower(namespace_id);
