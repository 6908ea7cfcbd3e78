#!/usr/bin/env python3
"""Runs the queries of docs/sql.md on a record of 10,000,000 objects, and a plain count(*) for comparison.

    benches/record.py [--objects N] [--rounds N] [--write]

`--write` puts output, scans and times into docs/sql.md. benches/record/fill.sql describes the record."""

import argparse
import re
import statistics

from common import PROGRAM, ROOT, Server, build, machine, measured, say, table

PAGE = ROOT / "docs/sql.md"
VARIABLES = {
    "namespace": "8a4a4d5c6c2fbc0b4ff0f1d2b7b2e7c1",
    "object": "",
    "since": "2026-11-30",
    "from": "2026-11-23",
    "at": "2026-11-15",
}


def questions(page):
    """(title, query) of each section with a query."""
    found = re.findall(r"^## (\d+\. .*?)$.*?```sql\n(.*?)```", page, re.S | re.M)
    return [(title, query.strip()) for title, query in found]


def run(server, query, more=()):
    words = [word for name, value in VARIABLES.items() for word in ("-v", f"{name}={value}")]
    return server.psql("record", *words, *more, "-f", "-", input=query)


def milliseconds(server, query):
    """The time that psql reports: the statement, plus the transfer of its rows to the client."""
    said = run(server, "\\o /dev/null\n\\timing on\n" + query)
    return float(re.findall(r"Time: ([0-9.]+) ms", said)[-1])


def reads(server, query):
    """The plan's scans of tables that grow with objects, changes and snapshots."""
    plan = run(server, "explain (costs off) " + query)
    scans = re.findall(r"((?:Parallel )?\w[\w ]* Scan(?: Backward)?(?: using \w+)?(?: on \w+)?)", plan)
    kept = [scan for scan in scans if re.search(r"interval|snapshot", scan)]
    short = [re.sub(r" on \w+$", "", scan) if " using " in scan else scan for scan in kept]
    return ", ".join(dict.fromkeys(short))


def shown(seconds):
    return f"{seconds * 1000:,.0f} ms" if seconds < 1 else f"{seconds:,.1f} s"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--objects", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    build("durable-inventory")
    page = PAGE.read_text()
    asked = questions(page)
    counts = {
        "count(*) of inventory.open_interval": "select count(*) from inventory.open_interval;",
        "count(*) of inventory.objects": "select count(*) from inventory.objects;",
    }
    with Server() as server:
        measured(server, [PROGRAM, "migrate"], {"DATABASE_URL": server.fresh("record")})
        say(f"filling a record of {options.objects:,} objects")
        server.psql("record", "-v", f"objects={options.objects}", "-f", ROOT / "benches/record/fill.sql")
        VARIABLES["namespace"] = run(server, "select namespace_id from inventory.namespaces where name = 'chat_Room';")
        VARIABLES["object"] = run(server, OBJECT)
        everything = [*counts.items(), *asked]
        times = {title: [] for title, _ in everything}
        for number in range(options.rounds + 1):
            for title, query in everything:
                took = milliseconds(server, query) / 1000
                if number:  # the first round fills the caches
                    times[title].append(took)
            say(f"round {number} of {options.rounds}")
        plain = statistics.median(times["count(*) of inventory.objects"])
        rows = []
        for title, query in everything:
            low, middle, high = min(times[title]), statistics.median(times[title]), max(times[title])
            rows.append([title, shown(low), shown(middle), shown(high), f"{middle / plain:.2f}", reads(server, query)])
        found = table(["question", "min", "median", "max", "of count(*)", "reads"], rows)
        sizes = run(server, SIZES)
        text = f"{sizes} {machine()}, {server.psql('record', '-c', 'show server_version')}.\n\n{found}"
        print(text)
        if options.write:
            PAGE.write_text(written(server, page, asked, text))


def written(server, page, asked, text):
    for title, query in asked:
        pretty = run(server, query, ("--pset", "format=aligned", "--pset", "tuples_only=off", "--pset", "footer=on"))
        pretty = "\n".join(line.rstrip() for line in pretty.splitlines())
        place = re.compile(rf"(^## {re.escape(title)}$.*?```text\n).*?(```)", re.S | re.M)
        page = place.sub(lambda found: f"{found[1]}{pretty}\n{found[2]}", page, count=1)
    place = re.compile(r"(<!-- times -->\n).*?(<!-- end of times -->)", re.S)
    return place.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page, count=1)


# An object that was removed and came back: two intervals and a gap.
OBJECT = """
select id from inventory.object_history h join inventory.namespaces using (account_id, namespace_id)
where name = 'chat_Room' and valid_to is not null and has_stored_data
  and exists (select from inventory.objects o where o.namespace_id = h.namespace_id and o.id = h.id and o.since > h.valid_to)
order by valid_to, id limit 1;"""

SIZES = """
select format('%s objects in %s namespaces, %s changes in %s snapshots, %s of tables and indexes;',
    to_char((select count(*) from inventory.objects), 'FM999,999,999'), (select count(*) from inventory.namespaces),
    to_char((select count(*) from inventory.changes), 'FM999,999,999'), (select count(*) from inventory.snapshots),
    pg_size_pretty(sum(pg_total_relation_size(oid))))
from pg_class where relnamespace = 'inventory'::regnamespace and relkind = 'r';"""

if __name__ == "__main__":
    main()
