"""Shared parts of the benchmarks: a PostgreSQL of their own with its default settings, the program, the simulator, and
measurements of time, CPU, memory and WAL."""

import contextlib
import glob
import os
import pathlib
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
# A folder of prebuilt programs, for a smoke test. Without it, release builds are made, like those that users run.
BUILT = os.environ.get("BENCH_PROGRAMS")
PROGRAMS = pathlib.Path(BUILT).resolve() if BUILT else TARGET / "release"
PROGRAM, SIMULATOR = PROGRAMS / "durable-inventory", PROGRAMS / "cloudflare-simulator"
ACCOUNT, TOKEN = "00000000000000000000000000000d0d", "demo-token"
# Settings of a real account or database must not reach a benchmark.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("PG", "CLOUDFLARE_", "DATABASE_URL", "RUST_LOG"))
}


def build(*packages):
    if BUILT:
        return
    named = [word for package in packages for word in ("-p", package)]
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", *named], cwd=ROOT, check=True)


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Server:
    """A cluster in a temporary folder, reachable by its socket and on the loopback address, and removed at the end."""

    def __init__(self, settings=""):
        self.port = free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="durable-inventory-bench-"))
        self.bin = self._programs()
        self.user = None
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self.user = "postgres"
            owner = pwd.getpwnam(self.user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        data = self.folder / "data"
        self._run("initdb", "-D", data, "-U", "inventory", "-A", "trust", "--locale=C", "-E", "UTF8")
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 {settings}"
        self._run("pg_ctl", "-D", data, "-l", self.folder / "log", "-o", options, "-w", "start")
        self.pid = int((data / "postmaster.pid").read_text().split()[0])

    @staticmethod
    def _programs():
        found = [shutil.which("initdb")] + sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), reverse=True)
        found = [path for path in found if path]
        if not found:
            sys.exit("PostgreSQL's server programs are not here: scripts/prerequisites postgres")
        return pathlib.Path(found[0]).parent

    def _run(self, program, *arguments):
        switch = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        command = [self.bin / program, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **switch)

    def url(self, database):
        """The URL of the socket. On TCP, sqlx leaves Nagle's algorithm on, and each COPY waits 40 ms for an
        acknowledgement."""
        folder = urllib.parse.quote(str(self.folder), safe="")
        return f"postgres://inventory:trusted@localhost:{self.port}/{database}?host={folder}&sslmode=disable"

    def tcp_url(self, database):
        return f"postgres://inventory:trusted@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def psql(self, database, *arguments, **more):
        command = ["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "inventory", "-d", database, "-qXAt"]
        command += ["-v", "ON_ERROR_STOP=1", *arguments]
        done = subprocess.run(command, env=ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True, **more)
        return done.stdout.strip("\n")

    def fresh(self, database):
        self.psql("postgres", "-c", f"drop database if exists {database} with (force)")
        self.psql("postgres", "-c", f"create database {database}")
        return self.url(database)

    def wal(self):
        return int(self.psql("postgres", "-c", "select pg_current_wal_insert_lsn() - '0/0'"))

    def cpu(self):
        """CPU seconds of the postmaster, of the child processes that it has reaped, and of those still running."""
        total = sum(ticks(self.pid, 13, 17))
        for stat in glob.glob("/proc/[0-9]*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if fields(stat)[3] == str(self.pid):
                    total += sum(ticks(stat.split("/")[2], 13, 15))
        return total / os.sysconf("SC_CLK_TCK")

    def close(self):
        self._run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def fields(stat):
    """The fields from the third on. The second, the program's name, may contain any character."""
    text = pathlib.Path(stat).read_text()
    return ["", ""] + text.rsplit(")", 1)[1].split()


def ticks(pid, first, end):
    return [int(value) for value in fields(f"/proc/{pid}/stat")[first:end]]


class Simulator:
    """The service in a process of its own. It responds at once, from memory with `--keep-answers`."""

    def __init__(self, objects, *more):
        command = [SIMULATOR, "--namespace", f"chat_Room={objects}", "--both-cursors", *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        self.base_url = self.process.stdout.readline().split()[-1]
        self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


class Cost:
    def __init__(self, seconds, client_cpu, server_cpu, wal, memory):
        self.seconds, self.client_cpu, self.server_cpu, self.wal, self.memory = (
            seconds, client_cpu, server_cpu, wal, memory)


def measured(server, command, environment=None, **more):
    """Runs a command to its end; it must succeed."""
    wal, cpu = server.wal(), server.cpu()
    started = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], env={**ENVIRONMENT, **(environment or {})}, **more)
    peak = Peak(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    seconds, memory = time.monotonic() - started, peak.end()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    time.sleep(0.2)  # an ended backend counts only once the postmaster has reaped it
    return Cost(seconds, usage.ru_utime + usage.ru_stime, server.cpu() - cpu, server.wal() - wal, memory)


class Peak(threading.Thread):
    """The process's peak memory according to the kernel. getrusage includes the memory of the process that started it,
    if that is larger."""

    def __init__(self, pid):
        super().__init__()
        self.status, self.bytes, self.ended = pathlib.Path(f"/proc/{pid}/status"), 0, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.02):
            with contextlib.suppress(OSError):
                for line in self.status.read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        self.bytes = max(self.bytes, int(line.split()[1]) * 1024)

    def end(self):
        self.ended.set()
        self.join()
        return self.bytes


def spread(values, digits=2):
    values = list(values)
    return " / ".join(f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def machine():
    model = "unknown CPU"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{os.cpu_count()} cores ({model})"
