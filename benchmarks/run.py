"""Measures the figures that the README reports and prints them as one table. `make bench` runs it.

    python -m benchmarks.run [--save] [--mib 512] [--rounds 3] [--seconds 3]
                             [--only upload,download,small,batch,starts]

All of it takes about four minutes. It starts a PostgreSQL of its own where the programs are there.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import batches, clients, figures, requests, results, starts
from benchmarks.measure import Cost, Meter
from tests.processes import accepts_connections, free_port, wait_until
from tests.servers import PostgreSQL, find_postgresql
from tests.stack import Stack

MIB = 2**20
#: With its own buffer of 16 KiB it passes on less than half as much a second as with one like ours.
_NGINX = """
daemon off; pid {dir}/nginx.pid; error_log {dir}/nginx.log; worker_processes 1; events {{}}
http {{ access_log off; client_max_body_size 0; proxy_request_buffering off; proxy_buffering off;
 client_body_buffer_size 256k;
 client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
 uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
 server {{ listen 127.0.0.1:{port};
  location / {{ proxy_http_version 1.1; proxy_pass http://127.0.0.1:{upstream}; }} }} }}
"""
_CONFIG = """
organizations:
  - name: default
    provider_accounts:
      - name: upstream
        driver: openai-compatible
        default: true
        options: {{base_url: "http://127.0.0.1:{upstream}/v1"}}
        credentials: {{api_key: "benchmark"}}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    value: str
    bar: str


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for the time of a `with` statement."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()  # nginx takes its worker along, which a killed one would leave behind
        process.wait()


class Bench:
    """The gateway in front of the fake upstream, and nginx beside it."""

    def __init__(self, stack: Stack, upstream: int, nginx: int | None, *, mib: int, rounds: int) -> None:
        self._stack = stack
        self._upstream = upstream
        self._nginx = nginx
        self._size = mib * MIB
        self._rounds = rounds
        self.rows: list[Row] = []

    @property
    def web_pid(self) -> int:
        """The root of the web server's process tree."""
        return self._stack.processes["web"].pid

    def uploads(self) -> None:
        """One large upload at a time, then four at once, on a server whose threads have all worked before.

        What takes milliseconds wants more rounds than what takes seconds.
        """
        _, answer = clients.upload(self._stack.port, self._stack.api_key, MIB)
        sequential(self._stack, f"/v1/files/{answer['id']}")(500)
        costs, speeds, firsts = [], [], []
        for _ in range(3 * self._rounds):
            with self._meter() as meter:
                began, _ = clients.upload(self._stack.port, self._stack.api_key, self._size)
            costs.append(meter.cost)
            speeds.append(self._size / MIB / meter.cost.wall_seconds)
            firsts.append((self._first_megabyte() - began) * 1000)
        name = f"upload of {self._size // MIB} MiB"
        self._per_gb(name, costs, "0.95")
        self._add(f"{name}: throughput", f"{statistics.median(speeds):.0f} MiB/s", "")
        self._plain("  nginx as a plain proxy", 1)
        self._add(
            f"{name}: memory above idle", f"{max(c.rss_above_idle_mib for c in costs):.1f} MiB", "16 MiB"
        )
        self._add(f"{name}: temporary disk", f"{max(c.peak_disk for c in costs)} bytes", "0")
        self._add(f"{name}: first MiB at upstream", f"{statistics.median(firsts):.1f} ms", "5 ms")
        self._four_at_once()

    def _four_at_once(self) -> None:
        costs = []
        for _ in range(self._rounds):
            with self._meter(disk=False) as meter:
                self._upload_at_once(self._stack.port, self._stack.api_key, 4)
            costs.append(meter.cost)
        name = f"4 uploads of {self._size // 4 // MIB} MiB at once"
        self._per_gb(name, costs, "1.1")
        speed = statistics.median(self._size / MIB / cost.wall_seconds for cost in costs)
        self._add(f"{name}: throughput", f"{speed:.0f} MiB/s", "1,621 MiB/s")
        self._plain("  nginx as a plain proxy, 4 at once", 4)
        self._add(
            f"{name}: memory above idle", f"{max(c.rss_above_idle_mib for c in costs):.1f} MiB", "32 MiB"
        )

    def _upload_at_once(self, port: int, key: str, count: int) -> None:
        """Upload so many parts of the large file at once."""
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda size: clients.upload(port, key, size), [self._size // count] * count))

    def downloads(self) -> None:
        """One large download at a time."""
        file_id = f"file-zeros-{self._size}"
        path = f"/v1/files/{file_id}/content"
        clients.download(self._stack.port, self._stack.api_key, path)  # adopts the file
        costs, firsts, direct = [], [], []
        for _ in range(3 * self._rounds):
            with self._meter() as meter:
                first, size = clients.download(self._stack.port, self._stack.api_key, path)
            if size != self._size:
                raise RuntimeError(f"{size} bytes came instead of {self._size}")
            costs.append(meter.cost)
            firsts.append(first * 1000)
            direct.append(clients.download(self._upstream, "benchmark", path)[0] * 1000)
        name = f"download of {self._size // MIB} MiB"
        self._per_gb(name, costs, "0.8")
        self._add(
            f"{name}: memory above idle", f"{max(c.rss_above_idle_mib for c in costs):.1f} MiB", "16 MiB"
        )
        lag = statistics.median(firsts) - statistics.median(direct)
        self._add(f"{name}: first byte behind upstream's", f"{lag:.1f} ms", "3.5 ms")

    def batches(self, directory: Path) -> None:
        """A batch file whose lines are rendered for jobs, and a result that is translated."""
        batches.measure_checks(self._stack, rounds=self._rounds, add=self._add)
        with batches.bucket(self._stack, directory) as endpoint:
            batches.measure_uploads(self._stack, rounds=self._rounds, add=self._add)
            results.measure_translation(endpoint, add=self._add)

    def small_requests(self, label: str, *, seconds: float, database_pid: int | None = None) -> None:
        """Small uploads, lists and `GET` with key check, by clients that send one after the other."""
        requests.measure(self._stack, label, seconds=seconds, database_pid=database_pid, add=self._add)

    def _meter(self, *, disk: bool = True) -> Meter:
        folders = (self._stack.data_dir / "spool", self._stack.directory / "tmp")
        return Meter(self.web_pid, disk=folders if disk else ())

    def _per_gb(self, name: str, costs: list[Cost], bar: str) -> None:
        per_gb = [cost.cpu_seconds / (self._size / 1e9) for cost in costs]
        self._add(f"{name}: CPU", f"{statistics.median(per_gb):.2f} s/GB", bar)

    def _plain(self, what: str, count: int) -> None:
        """Measure nginx in the place of the gateway, if there is one."""
        if self._nginx is None:
            return
        speeds = []
        for _ in range(self._rounds):
            began = time.monotonic()
            self._upload_at_once(self._nginx, "benchmark", count)
            speeds.append(self._size / MIB / (time.monotonic() - began))
        self._add(what, f"{statistics.median(speeds):.0f} MiB/s", "")

    def _first_megabyte(self) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._upstream}/_first_megabyte") as answer:
            return float(json.load(answer)["at"])

    def _add(self, what: str, value: str, bar: str) -> None:
        self.rows.append(shown(Row(what, value, bar)))

    def fsync(self) -> None:
        """What each commit waits for."""
        requests.measure_fsync(self._stack.directory, add=self._add)


def shown(row: Row) -> Row:
    """Print a line of the table and return it."""
    print(f"{row.what:<60} {row.value:>16}   {row.bar}", flush=True)
    return row


def sequential(stack: Stack, path: str) -> Callable[[int], None]:
    """Return a function that asks for `path` some times over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.port)
    headers = {"Authorization": f"Bearer {stack.api_key}"}

    def fetch(count: int) -> None:
        for _ in range(count):
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status}")

    return fetch


@contextmanager
def gateway(
    directory: Path, upstream: int, database_url: str = "", *, environment: Mapping[str, str] | None = None
) -> Iterator[Stack]:
    """Run the web server of a gateway whose default account is the upstream."""
    temporary = directory / "tmp"
    temporary.mkdir(parents=True)
    settings = {"TMPDIR": str(temporary), **batches.ENVIRONMENT, **(environment or {})}
    stack = Stack(directory, database_url=database_url, environment=settings)
    stack.prepare()
    config = directory / "config.yaml"
    config.write_text(_CONFIG.format(upstream=upstream))
    stack.manage("apply", str(config))
    stack.start("web")
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


class DurablePostgreSQL(PostgreSQL):
    """The tests' own does without fsync."""

    def command(self) -> list[str]:
        return [*super().command(), "-c", "fsync=on", "-c", "full_page_writes=on"]


@contextmanager
def postgresql(directory: Path) -> Iterator[PostgreSQL]:
    """Run a PostgreSQL."""
    server = DurablePostgreSQL(directory)
    server.prepare()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def main() -> None:
    """Run the benchmarks and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--mib", type=int, default=512, help="size of the large file")
    arguments.add_argument(
        "--rounds",
        type=int,
        default=3,
        help="of each batch file; three times as many of each upload and download",
    )
    arguments.add_argument("--seconds", type=float, default=3, help="for each number of clients")
    arguments.add_argument("--only", default="upload,download,small,batch,starts")
    arguments.add_argument(
        "--save", action="store_true", help="keep the figures and write the README's table"
    )
    options = arguments.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}\n")
    measured: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for part in (_transfers, _small, _starts):
            measured += part(Path(folder) / part.__name__, options, set(options.only.split(",")))
    if options.save:
        figures.save({row.what: row.value for row in measured}, machine)
        print(f"\nKept in {figures.KEPT.name}, and in the table of README.md")


def _transfers(directory: Path, options: argparse.Namespace, wanted: set[str]) -> list[Row]:
    if not wanted & {"upload", "download", "batch"}:
        return []
    with (
        provider() as upstream,
        proxy(directory, upstream) as nginx,
        gateway(directory / "sqlite", upstream) as stack,
    ):
        bench = Bench(stack, upstream, nginx, mib=options.mib, rounds=options.rounds)
        if "upload" in wanted:
            bench.uploads()
        if "download" in wanted:
            bench.downloads()
        if "batch" in wanted:
            bench.batches(directory)
    return bench.rows


def _small(directory: Path, options: argparse.Namespace, wanted: set[str]) -> list[Row]:
    if "small" not in wanted:
        return []
    rows: list[Row] = []
    environment = requests.ENVIRONMENT
    with provider() as upstream:
        with gateway(directory / "sqlite", upstream, environment=environment) as stack:
            bench = Bench(stack, upstream, None, mib=options.mib, rounds=options.rounds)
            bench.fsync()
            bench.small_requests("SQLite", seconds=options.seconds)
            rows += bench.rows
        if not find_postgresql():
            return rows
        with (
            postgresql(directory / "server") as server,
            gateway(
                directory / "postgresql", upstream, server.create_database("bench"), environment=environment
            ) as stack,
        ):
            bench = Bench(stack, upstream, None, mib=options.mib, rounds=options.rounds)
            bench.small_requests("PostgreSQL", seconds=options.seconds, database_pid=server.process.pid)
    return rows + bench.rows


def _starts(directory: Path, options: argparse.Namespace, wanted: set[str]) -> list[Row]:
    rows: list[Row] = []
    if "starts" in wanted:
        starts.measure(directory, add=lambda *row: rows.append(shown(Row(*row))))
    return rows


@contextmanager
def provider() -> Iterator[int]:
    """Run the fake upstream and yield its port."""
    port = free_port()
    with running(sys.executable, "-m", "benchmarks.upstream", str(port)):
        wait_until(lambda: accepts_connections(port), seconds=10, what="the upstream")
        yield port


@contextmanager
def proxy(directory: Path, upstream: int) -> Iterator[int | None]:
    """Run nginx before the upstream and yield its port; None where there is no nginx."""
    directory.mkdir(parents=True)
    if shutil.which("nginx") is None:
        yield None
        return
    port, config = free_port(), directory / "nginx.conf"
    config.write_text(_NGINX.format(dir=directory, port=port, upstream=upstream))
    with running("nginx", "-p", str(directory), "-c", str(config)):
        wait_until(lambda: accepts_connections(port), seconds=10, what="nginx")
        yield port


if __name__ == "__main__":
    main()
