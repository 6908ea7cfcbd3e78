#!/usr/bin/env python3
"""How much of the request budget one namespace's walk uses if the API is slow.

The simulator delays responses by --latency and enforces Cloudflare's own limit of 1,200 requests in 300 s; the program
may use all of it (--quota-share 100). A walk of N pages takes at least N / 4 s. `--objects 35000000` is the largest
known namespace, and takes a quarter of an hour."""

import argparse
import json
import subprocess
import tempfile
import time

from common import ACCOUNT, ENVIRONMENT, PROGRAM, SIMULATOR, TOKEN, Server, build, say

PACE = 1200 / 300
PAGE = 10_000


def peak(pid):
    """Peak resident memory of the process in MiB; None once it has ended."""
    try:
        with open(f"/proc/{pid}/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))
    except (FileNotFoundError, ProcessLookupError, StopIteration):
        return None


def walk(url, base_url, cursors):
    environment = ENVIRONMENT | {
        "CLOUDFLARE_API_BASE_URL": base_url,
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
        "CLOUDFLARE_API_TOKEN": TOKEN,
        "DATABASE_URL": url,
    }
    with tempfile.NamedTemporaryFile(suffix=".prom") as metrics:
        command = [PROGRAM, "sync", "--quota-share", "100", "--cursors", cursors, "--output", "json", "--quiet"]
        command += ["--metrics-file", metrics.name]
        begun = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        memory = 0
        while process.poll() is None:
            memory = peak(process.pid) or memory
            time.sleep(0.05)
        seconds = time.monotonic() - begun
        told = json.loads(process.stdout.read())
        with open(metrics.name) as lines:
            counted = [line.split() for line in lines if line.startswith("durable_inventory_run_throttled ")]
        ((_, throttled),) = counted
    (namespace,) = told["namespaces"]
    assert namespace["status"] == "complete", told
    return namespace, seconds, memory, throttled


def tail(server):
    """Seconds since the newest walk's last page was committed."""
    return float(server.psql(
        "bench_budget", "-c", "select extract(epoch from clock_timestamp() - max(finished_at)) from inventory.snapshots"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=2_000_000)
    parser.add_argument("--latency", nargs="+", default=["250ms", "2s"])
    parser.add_argument("--cursors", nargs="+", default=["auto", "1"])
    parser.add_argument("--again", action="store_true", help="walk once more, unchanged")
    asked = parser.parse_args()
    build("durable-inventory", "cloudflare-simulator")
    print("| answers after | cursors | walk | objects | seconds | requests | requests of the budget | pages of the budget | 429s | peak MB | "
          "seconds after the last page |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    with Server() as server:
        for latency in asked.latency:
            for cursors in asked.cursors:
                url = server.fresh("bench_budget")
                command = [SIMULATOR, "--namespace", f"chat_Room={asked.objects}"]
                command += ["--latency", latency, "--quota", "1200/300s"]
                simulator = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
                try:
                    base_url = simulator.stdout.readline().split()[-1]
                    for name in ["first", "unchanged"] if asked.again else ["first"]:
                        if name == "unchanged":
                            say("waiting until the window of the walk before is over")
                            time.sleep(300)
                        namespace, seconds, memory, throttled = walk(url, base_url, cursors)
                        ended = tail(server)
                        budget = seconds * PACE
                        pages = namespace["objects"] / PAGE
                        print(
                            f"| {latency} | {cursors} | {name} | {namespace['objects']:,} | {seconds:.1f} "
                            f"| {namespace['requests']:,} | {namespace['requests'] / budget:.1%} | {pages / budget:.1%} "
                            f"| {float(throttled):.0f} | {memory:.0f} | {ended:.1f} |",
                            flush=True,
                        )
                finally:
                    simulator.terminate()
                    simulator.wait()


if __name__ == "__main__":
    main()
