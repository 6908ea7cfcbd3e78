#!/usr/bin/env python3
"""The cost of a sync, compared with other ways to do the job.

    benches/sync.py [--objects N] [--rounds N] [--without NAME ...]

One namespace on the simulator, which responds at once from memory, because every page was requested before. One
PostgreSQL with its default settings, except for two. Autovacuum is off, because its writes belong to no single peer:
every database is vacuumed and a checkpoint made before each run, outside the measurement. And work_mem is 256 MB,
without which dlt's scd2 compares every row with every other. Each peer has its own database, and all take turns: a
first sync, an unchanged one, and one after 1% of the objects were removed, 1% added and 1% flipped. The next round
begins with the objects at that point."""

import argparse
import json
import statistics
import subprocess
import sys
import urllib.request

from common import ACCOUNT, PROGRAM, ROOT, TARGET, TOKEN, Server, Simulator, build, machine, measured, say, spread, table
from peers import python

OURS, RAW = "durable-inventory", "raw COPY BINARY"
PEERS = ["naive Rust", "dlt scd2", "Python SDK"]
PHASES = ["first sync", "unchanged", "3 % changed"]
RAW_TABLE = """create table raw (namespace_key int not null, has_stored_data boolean, id bytea not null,
    primary key (namespace_key, id))"""
ROWS = "select 1::int, has_stored_data, id from inventory.objects order by id"


class Bench:
    def __init__(self, server, simulator, folder, names):
        self.server, self.simulator, self.folder, self.names = server, simulator, folder, names
        self.costs = {(name, phase): [] for name in names for phase in PHASES}
        self.namespace = self.ask("")["result"][0]["id"]
        self.warm()
        if "naive Rust" in names:
            manifest = ROOT / "benches/peers/naive/Cargo.toml"
            build_naive = ["cargo", "build", "--release", "--quiet", "--manifest-path", manifest, "--target-dir",
                           TARGET / "bench-naive"]
            subprocess.run(build_naive, check=True)

    def ask(self, path):
        url = f"{self.simulator.base_url}/accounts/{ACCOUNT}/workers/durable_objects/namespaces{path}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def churn(self):
        control = self.simulator.base_url.removesuffix("/client/v4") + "/control/churn"
        request = f"{control}?namespace={self.namespace}&removed=1&added=1&flipped=1"
        with urllib.request.urlopen(request, data=b"") as answer:
            return json.load(answer)

    def warm(self):
        """Requests every page once, so that no peer pays for the simulator's work of creating it."""
        cursor = ""
        while True:
            answer = self.ask(f"/{self.namespace}/objects?limit=10000{cursor}")
            if not answer["result_info"]["cursor"]:
                return
            cursor = f"&cursor={answer['result_info']['cursor']}"

    def database(self, name):
        return "bench_" + "".join(letter for letter in name.lower() if letter.isalpha())

    def command(self, name):
        database = self.server.url(self.database(name))
        asked = [self.simulator.base_url, ACCOUNT, self.namespace, TOKEN, database]
        if name == OURS:
            environment = {"DATABASE_URL": database, "CLOUDFLARE_API_BASE_URL": self.simulator.base_url,
                           "CLOUDFLARE_ACCOUNT_ID": ACCOUNT, "CLOUDFLARE_API_TOKEN": TOKEN}
            # Refilling a baseline after 1% was removed is not a mass removal, and no rate limit applies.
            return [PROGRAM, "--quiet", "sync", "--quota", "1000000/300s", "--quota-share", "100"], environment
        if name == "naive Rust":
            return [TARGET / "bench-naive/release/naive-sync", *asked], None
        if name == "dlt scd2":
            asked[-1] = self.server.tcp_url(self.database(name))  # this peer accepts only TCP
            return [python("dlt"), ROOT / "benches/peers/dlt_sync.py", *asked, self.folder / "dlt"], None
        return [python("sdk"), ROOT / "benches/peers/sdk_sync.py", *asked], None

    def begin(self, name):
        url = self.server.fresh(self.database(name))
        if name == OURS:
            measured(self.server, [PROGRAM, "--quiet", "migrate"], {"DATABASE_URL": url}, stdout=subprocess.DEVNULL)
        if name == "dlt scd2":
            subprocess.run(["rm", "-rf", self.folder / "dlt"], check=True)

    def run(self, name, phase):
        self.server.psql(self.database(name), "-c", "vacuum (analyze)")
        self.server.psql(self.database(name), "-c", "checkpoint")
        command, environment = self.command(name)
        more = {"stdout": subprocess.DEVNULL}
        if name != OURS:
            more["stderr"] = subprocess.DEVNULL
        cost = measured(self.server, command, environment, **more)
        self.costs[name, phase].append(cost)
        say(f"  {phase}, {name}: {cost.seconds:.2f} s, {cost.wal / 1e6:.1f} MB of WAL")

    def raw(self, rows):
        """The same rows from an existing file, in the order of their ids, into the same primary key."""
        database = self.database(RAW)
        self.server.fresh(database)
        self.server.psql(database, "-c", RAW_TABLE)
        self.server.psql(database, "-c", "checkpoint")
        copy = ["psql", "-qX", self.server.url(database), "-c", f"\\copy raw from '{rows}' (format binary)"]
        cost = measured(self.server, copy)
        self.costs.setdefault((RAW, PHASES[0]), []).append(cost)
        say(f"  {RAW}: {cost.seconds:.2f} s, {cost.wal / 1e6:.1f} MB of WAL")

    def round(self):
        for name in self.names:
            self.begin(name)
            self.run(name, PHASES[0])
            if name == OURS:
                rows = self.folder / "rows"
                self.server.psql(self.database(OURS), "-c", f"\\copy ({ROWS}) to '{rows}' (format binary)")
                self.raw(rows)
        for name in self.names:
            self.run(name, PHASES[1])
        for name in self.names:
            self.agree(name)
        self.churn()
        self.warm()
        for name in self.names:
            self.run(name, PHASES[2])
        for name in self.names:
            self.agree(name)

    def agree(self, name):
        """Fails unless the peer recorded the same objects: a peer must not look fast because it does less."""
        count = {OURS: "inventory.objects", "dlt scd2": "inventory.objects where _dlt_valid_to is null"}
        count = count.get(name, "object where removed_at is null")
        sums = f"select count(*), count(*) filter (where has_stored_data) from {count}"
        found = self.server.psql(self.database(name), "-c", sums)
        wanted = self.server.psql(
            self.database(OURS), "-c", "select count(*), count(*) filter (where has_stored_data) from inventory.objects")
        if found != wanted:
            raise SystemExit(f"{name} has {found} objects and objects with data, not {wanted}")

    def rows(self):
        for phase in PHASES:
            for name in [RAW, *self.names]:
                costs = self.costs.get((name, phase))
                if not costs:
                    continue
                middle = statistics.median(cost.seconds for cost in costs)
                ours = statistics.median(cost.seconds for cost in self.costs[OURS, phase])
                yield [
                    phase, name, spread(cost.seconds for cost in costs), f"{middle / ours:.2f}",
                    f"{statistics.median(cost.client_cpu for cost in costs):.2f}",
                    f"{statistics.median(cost.server_cpu for cost in costs):.2f}",
                    f"{statistics.median(cost.wal for cost in costs) / 1e6:.2f}",
                    f"{max(cost.memory for cost in costs) / 1e6:.0f}",
                ]

    def show(self, objects, to=sys.stdout):
        version = self.server.psql("postgres", "-c", "show server_version")
        rounds = len(self.costs[OURS, PHASES[-1]])
        print(f"{objects:,} objects, {rounds} rounds, PostgreSQL {version}, {machine()}\n", file=to)
        header = ["", "by", "seconds: min / median / max", "times ours", "client CPU s", "server CPU s", "WAL MB",
                  "peak MB"]
        print(table(header, self.rows()), file=to, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without", action="append", default=[], choices=PEERS)
    options = parser.parse_args()
    build("durable-inventory", "cloudflare-simulator")
    names = [OURS, *(name for name in PEERS if name not in options.without)]
    with Server("-c autovacuum=off -c work_mem=256MB") as server, Simulator(options.objects, "--keep-answers") as simulator:
        bench = Bench(server, simulator, server.folder / "files", names)
        bench.folder.mkdir()
        for number in range(1, options.rounds + 1):
            say(f"round {number} of {options.rounds}")
            bench.round()
            if number < options.rounds:
                bench.show(options.objects, sys.stderr)
        bench.show(options.objects)


if __name__ == "__main__":
    main()
