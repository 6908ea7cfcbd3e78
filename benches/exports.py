#!/usr/bin/env python3
"""Exports compared with other writers of the same rows: psql's \\copy for CSV, DuckDB's PostgreSQL reader for Parquet.

    benches/exports.py [--objects N] [--rounds N]

All of them run in turn on one server. benches/record/fill.sql describes the record."""

import argparse
import statistics

from common import PROGRAM, ROOT, Server, build, machine, measured, say, spread, table
from peers import python

COLUMNS = "account_id, namespace_id, object_id, has_stored_data, first_seen_at, since, last_seen_at"
QUERY = f"select {COLUMNS} from inventory.objects"
# Sorted like our files, so that readers can skip rows that they don't need.
SORTED = f"{QUERY} order by account_id, namespace_id, id"


def contenders(server, folder):
    """(group, name, command, environment, file); ours comes first in each group."""
    url = {"DATABASE_URL": server.url("record")}
    psql = ["psql", "-qX", "-v", "ON_ERROR_STOP=1", server.url("record"), "-c"]
    libpq = f"host=127.0.0.1 port={server.port} user=inventory dbname=record"
    duckdb = [python("duckdb"), ROOT / "benches/peers/duckdb_parquet.py"]

    def ours(file):
        return [PROGRAM, "--quiet", "export", "objects", "--output", file]

    def copy(query, file):
        return [*psql, f"\\copy ({query}) to '{file}' csv header"]

    csv, parquet = folder / "ours.csv", folder / "ours.parquet"
    yield "CSV", "durable-inventory export", ours(csv), url, csv
    file = folder / "psql.csv"
    yield "CSV", "psql \\copy, sorted as ours", copy(SORTED, file), None, file
    yield "CSV", "psql \\copy, in no order", copy(QUERY, file), None, file
    yield "Parquet", "durable-inventory export", ours(parquet), url, parquet
    file = folder / "duckdb.parquet"
    yield "Parquet", "DuckDB, PostgreSQL runs the query, sorted as ours", [*duckdb, "query", libpq, SORTED, file], None, file
    yield "Parquet", "DuckDB reads the view, in no order", [*duckdb, "view", libpq, QUERY, file], None, file


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    build("durable-inventory")
    with Server() as server:
        measured(server, [PROGRAM, "migrate"], {"DATABASE_URL": server.fresh("record")})
        say(f"filling a record of {options.objects:,} objects")
        server.psql("record", "-v", f"objects={options.objects}", "-f", ROOT / "benches/record/fill.sql")
        folder = server.folder / "files"
        folder.mkdir()
        all_of_them = list(contenders(server, folder))
        costs = {(group, name): [] for group, name, *_ in all_of_them}
        sizes = {}
        for number in range(options.rounds + 1):
            for group, name, command, environment, file in all_of_them:
                cost = measured(server, command, environment)
                sizes[group, name] = file.stat().st_size
                file.unlink()
                if number:  # the first round fills the caches
                    costs[group, name].append(cost)
            say(f"round {number} of {options.rounds}")
        version = server.psql("record", "-c", "show server_version")
        rows = server.psql("record", "-c", "select count(*) from inventory.objects")
    print(f"{int(rows):,} objects, {options.rounds} rounds, PostgreSQL {version}, {machine()}\n")
    lines = []
    for group, name, *_ in all_of_them:
        taken = costs[group, name]
        ours = statistics.median(cost.seconds for cost in costs[group, "durable-inventory export"])
        lines.append([
            group, name, spread(cost.seconds for cost in taken),
            f"{statistics.median(cost.seconds for cost in taken) / ours:.2f}",
            f"{statistics.median(cost.client_cpu for cost in taken):.2f}",
            f"{statistics.median(cost.server_cpu for cost in taken):.2f}",
            f"{max(cost.memory for cost in taken) / 1e6:.0f}", f"{sizes[group, name] / 1e6:.1f}",
        ])
    print(table(["", "by", "seconds: min / median / max", "times ours", "client CPU s", "server CPU s", "peak MB",
                 "file MB"], lines))


if __name__ == "__main__":
    main()
