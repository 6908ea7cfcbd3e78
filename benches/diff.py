#!/usr/bin/env python3
"""Two CSV files with about 1% changes: `durable-inventory diff` compared with DuckDB and csv-diff, the engine of `qsv diff`.

    benches/diff.py [ROWS] [--wide] [--unsorted] [--dir DIR]

Every program reads the same two files and writes the changes to a file; the numbers of changes must agree. Each program
runs three times in turn, and its best run counts. csv-diff holds both files in memory, and needs Rust to be built; `qsv`
takes part if it is on PATH. --wide gives the files all columns of an export instead of only the id and the
flag.
"""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

from common import PROGRAM, ROOT, TARGET, Peak, build
from peers import python

RUNS = 3


def rows(count, seed):
    """Ids in ascending order. All digits after the leading ones are noise, as in real ids."""
    noise = random.Random(seed)
    for n in range(count):
        yield f"{n:016x}{noise.getrandbits(192):048x}", "true" if n % 2 else "false"


def write(path, count, after, wide, unsorted):
    head = "a" * 32 + "," + "b" * 32 + "," if wide else ""
    tail = ",2026-11-24T14:04:14.123456Z,2026-11-24T14:04:14.123456Z,2026-11-24T14:04:20.654321Z" if wide else ""
    lines = []
    changes = [0, 0, 0]
    with open(path, "w", encoding="ascii") as to:
        names = "object_id,has_stored_data"
        to.write(f"account_id,namespace_id,{names},first_seen_at,since,last_seen_at\n" if wide else names + "\n")
        for n, (object_id, flag) in enumerate(rows(count, 1)):
            kind = n % 300
            if kind == 0:  # created
                changes[0] += 1
                if not after:
                    continue
            elif kind == 1:  # removed
                changes[1] += 1
                if after:
                    continue
            elif kind == 2:  # changed
                changes[2] += 1
                if after:
                    flag = "false" if flag == "true" else "true"
            line = f"{head}{object_id},{flag}{tail}\n"
            lines.append(line)
            if len(lines) == 100_000 and not unsorted:
                to.writelines(lines)
                lines.clear()
        if unsorted:
            random.Random(after).shuffle(lines)
        to.writelines(lines)
    return changes


DUCKDB = """
import duckdb, sys
a, b, out = sys.argv[1:4]
db = duckdb.connect()
columns = "object_id, has_stored_data"
db.execute(f"create view a as select {columns} from read_csv('{a}')")
db.execute(f"create view b as select {columns} from read_csv('{b}')")
db.execute(f'''copy (
    select 'created' as change, b.* from b anti join a using (object_id)
    union all select 'removed', a.* from a anti join b using (object_id)
    union all select 'changed', b.* from b join a using (object_id)
        where a.has_stored_data is distinct from b.has_stored_data
) to '{out}' (header)''')
"""

DUCKDB_OUTER = """
import duckdb, sys
a, b, out = sys.argv[1:4]
db = duckdb.connect()
db.execute(f'''copy (
    select object_id, a.has_stored_data as old, b.has_stored_data as new
    from read_csv('{a}') a full join read_csv('{b}') b using (object_id)
    where a.has_stored_data is distinct from b.has_stored_data
) to '{out}' (header)''')
"""


def csv_diff():
    """Builds the peer that compares with the crate csv-diff."""
    manifest, target = ROOT / "benches/peers/csv_diff/Cargo.toml", TARGET / "bench-csv-diff"
    built = ["cargo", "build", "--release", "--quiet", "--manifest-path", manifest, "--target-dir", target]
    subprocess.run(built, check=True)
    return target / "release/csv-diff-peer"


def run(command, out):
    """Wall seconds, seconds of all cores, and the peak of resident memory in MiB."""
    started = time.monotonic()
    with open(out, "wb") as to:
        child = subprocess.Popen([str(word) for word in command], stdout=to, stderr=subprocess.DEVNULL)
        peak = Peak(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        seconds, memory = time.monotonic() - started, peak.end()
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return seconds, usage.ru_utime + usage.ru_stime, memory / 1024**2


def lines(path):
    with open(path, "rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b"")) - 1


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("rows", nargs="?", type=int, default=10_000_000)
    arguments.add_argument("--wide", action="store_true")
    arguments.add_argument("--unsorted", action="store_true")
    arguments.add_argument("--dir", default=None)
    asked = arguments.parse_args()
    build("durable-inventory")
    with tempfile.TemporaryDirectory(dir=asked.dir) as folder:
        before, after, out = (os.path.join(folder, name) for name in ("before.csv", "after.csv", "out.csv"))
        write(before, asked.rows, False, asked.wide, asked.unsorted)
        expected = sum(write(after, asked.rows, True, asked.wide, asked.unsorted))
        size = (os.path.getsize(before) + os.path.getsize(after)) / 1e6
        print(f"{asked.rows} rows, {size:.0f} MB in two files, {expected} changes, {os.cpu_count()} cores")
        contenders = {
            "durable-inventory diff": [PROGRAM, "diff", before, after, "--format", "csv"],
            "duckdb, anti-joins": [python("duckdb"), "-c", DUCKDB, before, after, out],
            "duckdb, full join": [python("duckdb"), "-c", DUCKDB_OUTER, before, after, out],
        }
        key = "2" if asked.wide else "0"
        contenders["csv-diff 0.1.2"] = [csv_diff(), key, before, after]
        qsv = shutil.which("qsv") or shutil.which("qsvlite")
        if qsv:
            contenders["qsv diff"] = [qsv, "diff", "--key", key, before, after]
        best = {}
        for _ in range(RUNS):
            for name, command in contenders.items():
                ours = not name.startswith("duckdb")
                measured = run(command, out if ours else os.devnull)
                found = lines(out)
                # qsv prints one line for each side of a change.
                wanted = expected + (asked.rows // 300 if name == "qsv diff" else 0)
                if abs(found - wanted) > (2 if name == "qsv diff" else 0):
                    sys.exit(f"{name} found {found} changes, not {wanted}")
                best[name] = min(best.get(name, measured), measured)
        ours = best["durable-inventory diff"][0]
        for name, (seconds, cores, memory) in best.items():
            print(f"{name:<24} {seconds:7.2f} s {cores:7.2f} core s {memory:7.0f} MiB {seconds / ours:7.2f} x")


if __name__ == "__main__":
    main()
