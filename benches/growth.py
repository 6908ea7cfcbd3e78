#!/usr/bin/env python3
"""How a sync's cost grows: with the number of objects, with the share that changed, and over a long history.

    benches/growth.py [--sizes N ...] [--shares PERCENT ...] [--snapshots N] [--objects N] [--rounds N] [--plot FILE]

`--objects` is the size of the namespace in the measurements of changed shares and of history.

The simulator responds at once. One third of a share is removed, one third added and one third flipped. Before each run,
outside the measurement, the database is vacuumed and a checkpoint made. Autovacuum is off, because its work belongs to
no single run."""

import argparse
import json
import statistics
import subprocess
import time
import urllib.request

from common import ACCOUNT, ENVIRONMENT, PROGRAM, ROOT, TOKEN, Server, Simulator, build, machine, measured, say, table
from peers import python

NAMESPACE = "chat_Room"
OBJECT_TABLES = "('open_interval', 'closed_interval', 'staged_change', 'spooled_object', 'pruned_object')"


class Record:
    """One record, and its service."""

    def __init__(self, server, simulator, database):
        self.server, self.database = server, database
        self.control = simulator.base_url.removesuffix("/client/v4") + "/control/churn"
        self.environment = {
            "DATABASE_URL": server.fresh(database), "CLOUDFLARE_API_BASE_URL": simulator.base_url,
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT, "CLOUDFLARE_API_TOKEN": TOKEN,
        }
        self.run("--quiet", "migrate")

    def run(self, *words):
        return measured(self.server, [PROGRAM, *words], self.environment, stdout=subprocess.DEVNULL)

    def sync(self):
        self.server.psql(self.database, "-c", "vacuum (analyze)")
        self.server.psql(self.database, "-c", "checkpoint")
        # No mass removal is held and no rate limit applies.
        return self.run("--quiet", "sync", "--quota", "1000000/300s", "--quota-share", "100", "--max-removed-percent", "100")

    def churn(self, percent):
        each = percent / 3
        request = f"{self.control}?namespace={NAMESPACE}&removed={each}&added={each}&flipped={each}"
        with urllib.request.urlopen(request, data=b"") as answer:
            return json.load(answer)

    def size(self, of=OBJECT_TABLES):
        """Size in bytes of the tables that hold objects, with their indexes."""
        return int(self.server.psql(self.database, "-c", "select sum(pg_total_relation_size(c.oid)) from pg_class c "
                                    f"where relnamespace = 'inventory'::regnamespace and relname in {of}"))

    def ask(self, query):
        return self.server.psql(self.database, "-c", query)


def median(costs, of):
    return statistics.median(of(cost) for cost in costs)


def seconds(costs):
    return median(costs, lambda cost: cost.seconds)


def wal(costs):
    return median(costs, lambda cost: cost.wal) / 1e6


def memory(costs):
    return max(cost.memory for cost in costs) / 1e6


def by_size(server, sizes, rounds):
    """(objects, costs of a first sync, of an unchanged one, of one with 3% changes, and of a first one with unordered
    ids)."""
    for objects in sizes:
        kinds = [[], [], [], []]
        for number in range(rounds if objects <= 1_000_000 else 1):
            say(f"{objects:,} objects, round {number + 1}")
            with Simulator(objects) as simulator:
                record = Record(server, simulator, "growth")
                kinds[0].append(record.sync())
                kinds[1].append(record.sync())
                record.churn(3)
                kinds[2].append(record.sync())
            with Simulator(objects, "--shuffled") as simulator:
                kinds[3].append(Record(server, simulator, "growth").sync())
        yield objects, *kinds


def by_share(server, objects, shares, rounds):
    """(percent, costs of a sync with this share of changed objects)."""
    with Simulator(objects) as simulator:
        record = Record(server, simulator, "growth")
        record.sync()
        for percent in shares:
            costs = []
            for number in range(rounds):
                say(f"{percent} % changed, round {number + 1}")
                if percent:
                    record.churn(percent)
                costs.append(record.sync())
            yield percent, costs


def sizes_of_unchanged(server, objects):
    """Bytes before and after five syncs without changes."""
    with Simulator(objects) as simulator:
        record = Record(server, simulator, "growth")
        record.sync()
        before = record.size()
        for _ in range(5):
            record.sync()
        return before, record.size()


def over_time(server, objects, snapshots):
    with Simulator(objects) as simulator:
        record = Record(server, simulator, "growth")
        record.sync()
        first = record.size()
        costs = []
        for number in range(snapshots):
            record.churn(1)
            costs.append(record.sync())
            if number % 10 == 9:
                say(f"{number + 1} snapshots of 1 % changes")
        changes = int(record.ask("select sum(created + removed + data_gained + data_lost) from inventory.snapshots "
                                 "where not baseline"))
        record.ask("vacuum (full, analyze) inventory.open_interval")
        whole = record.size()
        yield ["objects at the end", f"{int(record.ask('select count(*) from inventory.objects')):,}"]
        yield ["changes in the history", f"{changes:,}"]
        yield ["bytes a change, tables and indexes", f"{(whole - first) / changes:.0f}"]
        yield ["a sync with 1 % changes, the first ten / the last ten",
               f"{seconds(costs[:10]):.2f} s / {seconds(costs[-10:]):.2f} s"]
        for name, ago in [("the present", 0), ("10 snapshots ago", 10), ("half of the history ago", snapshots // 2),
                          ("the baseline", snapshots)]:
            if ago > snapshots:
                continue
            moment = f"latest~{ago}"
            cost = record.run("--quiet", "export", "objects", "--as-of", moment, "--output", "-")
            yield [f"`export objects --as-of {moment}` ({name})", f"{cost.seconds:.2f} s"]
        changed = record.ask("select encode(id, 'hex') from inventory.closed_interval group by id "
                             "order by count(*) desc, id limit 1")
        cost = record.run("history", changed)
        yield ["`history` of the object with the most changes", f"{cost.seconds * 1000:.0f} ms"]
        begun = time.monotonic()
        found = record.ask("select count(*) from inventory.changes where snapshot_id = "
                           "(select max(snapshot_id) from inventory.snapshots)")
        yield [f"`inventory.changes` of the newest snapshot ({int(found):,} rows)",
               f"{(time.monotonic() - begun) * 1000:.0f} ms"]


def show_sizes(measured_sizes):
    rows = []
    for objects, first, unchanged, changed, unordered in measured_sizes:
        rows.append([f"{objects:,}", *(f"{seconds(costs):.2f}" for costs in (first, unchanged, changed, unordered)),
                     *(f"{wal(costs):.2f}" for costs in (first, unchanged, changed)),
                     f"{max(memory(costs) for costs in (first, unchanged, changed)):.0f}", f"{memory(unordered):.0f}"])
    print(table(["objects", "first sync s", "unchanged s", "3 % changed s", "first, no order s", "first WAL MB",
                 "unchanged WAL MB", "3 % WAL MB", "peak MB", "peak MB, no order"], rows), flush=True)


def show_shares(measured_shares):
    rows = [[f"{percent:g} %", f"{seconds(costs):.2f}", f"{wal(costs):.1f}", f"{memory(costs):.0f}"]
            for percent, costs in measured_shares]
    print(table(["changed", "seconds", "WAL MB", "peak MB"], rows), flush=True)


def plot(to, measured_sizes, measured_shares):
    """Plots the figures with pyplot, which reads them from its standard input."""
    figures = {
        "sizes": [[objects, *([seconds(costs), wal(costs)] for costs in kinds[:3])] for objects, *kinds in measured_sizes],
        "shares": [[percent, seconds(costs), wal(costs)] for percent, costs in measured_shares],
    }
    drawing = [python("plot"), ROOT / "benches/peers/plot.py", to]
    subprocess.run(drawing, input=json.dumps(figures), text=True, check=True, env=ENVIRONMENT)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--shares", type=float, nargs="*", default=[0, 0.1, 1, 3, 10, 30])
    parser.add_argument("--snapshots", type=int, default=100)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot")
    options = parser.parse_args()
    build("durable-inventory", "cloudflare-simulator")
    with Server("-c autovacuum=off") as server:
        print(f"PostgreSQL {server.psql('postgres', '-c', 'show server_version')}, {machine()}\n", flush=True)
        measured_sizes = list(by_size(server, options.sizes, options.rounds))
        show_sizes(measured_sizes)
        print(flush=True)
        measured_shares = list(by_share(server, options.objects, options.shares, options.rounds))
        show_shares(measured_shares)
        if options.plot:
            plot(options.plot, measured_sizes, measured_shares)
        before, after = sizes_of_unchanged(server, options.objects)
        print(f"\nobject tables and indexes: {before:,} bytes, after five unchanged syncs {after:,} bytes\n", flush=True)
        if options.snapshots:
            print(table([f"{options.snapshots} snapshots of 1 % changes", ""], over_time(server, options.objects, options.snapshots)))


if __name__ == "__main__":
    main()
