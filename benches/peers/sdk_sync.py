"""The official SDK, COPY into a staging table, and one upsert: sdk_sync.py BASE_URL ACCOUNT NAMESPACE TOKEN DATABASE_URL."""

import sys

import psycopg
from cloudflare import Cloudflare

base_url, account, namespace, token, database = sys.argv[1:]
client = Cloudflare(api_token=token, base_url=base_url)
with psycopg.connect(database) as connection:
    connection.execute(
        """create table if not exists object (
               namespace_id text not null, id text not null, has_stored_data boolean,
               first_seen timestamptz not null, last_seen timestamptz not null, removed_at timestamptz,
               primary key (namespace_id, id))""")
    connection.execute("create temporary table staged (id text, has_stored_data boolean) on commit drop")
    with connection.cursor().copy("copy staged from stdin") as copy:
        for row in client.durable_objects.namespaces.objects.list(namespace, account_id=account, limit=10_000):
            copy.write_row((row.id, row.has_stored_data))
    connection.execute(
        """insert into object (namespace_id, id, has_stored_data, first_seen, last_seen)
           select distinct on (id) %s, id, has_stored_data, now(), now() from staged
           on conflict (namespace_id, id) do update
           set has_stored_data = excluded.has_stored_data, last_seen = excluded.last_seen, removed_at = null""",
        (namespace,))
    connection.execute(
        "update object set removed_at = now() where namespace_id = %s and last_seen < now() and removed_at is null",
        (namespace,))
