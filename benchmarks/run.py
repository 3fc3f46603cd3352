"""Measures the figures that the README reports and prints them as one table. `make bench` runs it.

python -m benchmarks.run [--mib 512] [--rounds 3] [--only upload,download,small,list,batch]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import batches, clients, results
from benchmarks.measure import Cost, Meter
from tests.processes import free_port, wait_until
from tests.stack import Stack

MIB = 2**20
_NGINX = """
daemon off; pid {dir}/nginx.pid; error_log {dir}/nginx.log; worker_processes 1; events {{}}
http {{ access_log off; client_max_body_size 0; proxy_request_buffering off; proxy_buffering off;
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
        process.kill()
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
        """One large upload at a time, then four at once, on a server whose threads have all worked before."""
        _, answer = clients.upload(self._stack.port, self._stack.api_key, MIB)
        sequential(self._stack, f"/v1/files/{answer['id']}")(500)
        costs, speeds, firsts = [], [], []
        for _ in range(self._rounds):
            with self._meter() as meter:
                began, _ = clients.upload(self._stack.port, self._stack.api_key, self._size)
            costs.append(meter.cost)
            speeds.append(self._size / MIB / meter.cost.wall_seconds)
            firsts.append((self._first_megabyte() - began) * 1000)
        name = f"upload of {self._size // MIB} MiB"
        self._per_gb(name, costs, "2.0 (aim 1.5)")
        self._add(f"{name}: throughput", f"{statistics.median(speeds):.0f} MiB/s", "half of nginx")
        if self._nginx is not None:
            plain = [self._plain_upload(self._nginx) for _ in range(self._rounds)]
            self._add("  nginx as a plain proxy", f"{statistics.median(plain):.0f} MiB/s", "")
        self._add(
            f"{name}: memory above idle", f"{max(c.rss_above_idle_mib for c in costs):.1f} MiB", "16 MiB"
        )
        self._add(f"{name}: temporary disk", f"{max(c.peak_disk for c in costs)} bytes", "0")
        self._add(f"{name}: first MiB at upstream", f"{statistics.median(firsts):.1f} ms", "15 ms")
        self._four_at_once()

    def _four_at_once(self) -> None:
        size = self._size // 4
        threads = [
            threading.Thread(target=clients.upload, args=(self._stack.port, self._stack.api_key, size))
            for _ in range(4)
        ]
        with self._meter() as meter:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        name = f"4 uploads of {size // MIB} MiB at once"
        self._add(f"{name}: memory above idle", f"{meter.cost.rss_above_idle_mib:.1f} MiB", "32 MiB")
        self._add(f"{name}: throughput", f"{self._size / MIB / meter.cost.wall_seconds:.0f} MiB/s", "")

    def downloads(self) -> None:
        """One large download at a time."""
        file_id = f"file-zeros-{self._size}"
        path = f"/v1/files/{file_id}/content"
        clients.download(self._stack.port, self._stack.api_key, path)  # adopts the file
        costs, firsts, direct = [], [], []
        for _ in range(self._rounds):
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
        self._add(f"{name}: first byte behind upstream's", f"{lag:.1f} ms", "10 ms")

    def batches(self, directory: Path) -> None:
        """A batch file whose lines are rendered for jobs, and a result that is translated."""
        with batches.bucket(self._stack, directory) as endpoint:
            batches.measure_uploads(self._stack, rounds=self._rounds, add=self._add)
            results.measure_translation(endpoint, add=self._add)

    def small_requests(self, label: str, count: int = 3000) -> None:
        """`GET /v1/files/{id}` with key check, one after another on one connection."""
        _, answer = clients.upload(self._stack.port, self._stack.api_key, 1024)
        retrieve = sequential(self._stack, f"/v1/files/{answer['id']}")
        retrieve(200)
        with self._meter() as meter:
            retrieve(count)
        self._add(
            f"GET /v1/files/{{id}}, {label}", f"{meter.cost.cpu_seconds / count * 1000:.2f} ms CPU", "0.8 ms"
        )

    def list_pages(self, sizes: tuple[int, ...] = (1_000, 1_000_000), count: int = 300) -> None:
        """`GET /v1/files?limit=100` with few and with many rows."""
        rows = 0
        for size in sizes:
            self._stack.manage("shell", "-c", FILL.format(first=rows, last=size))
            rows = size
            for label, query in (("first page", ""), ("middle page", self._cursor(size))):
                fetch = sequential(self._stack, f"/v1/files?limit=100{query}")
                fetch(20)
                began = time.monotonic()
                fetch(count)
                elapsed = (time.monotonic() - began) / count * 1000
                self._add(f"list of 100 among {size:,} rows, {label}", f"{elapsed:.2f} ms", "equal")

    def _cursor(self, size: int) -> str:
        return f"&after=file-bench{size // 2:026d}"

    def _meter(self) -> Meter:
        return Meter(self.web_pid, disk=(self._stack.data_dir / "spool", self._stack.directory / "tmp"))

    def _per_gb(self, name: str, costs: list[Cost], bar: str) -> None:
        per_gb = [cost.cpu_seconds / (self._size / 1e9) for cost in costs]
        self._add(f"{name}: CPU", f"{statistics.median(per_gb):.2f} s/GB", bar)

    def _plain_upload(self, port: int) -> float:
        began = time.monotonic()
        clients.upload(port, "benchmark", self._size)
        return self._size / MIB / (time.monotonic() - began)

    def _first_megabyte(self) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._upstream}/_first_megabyte") as answer:
            return float(json.load(answer)["at"])

    def _add(self, what: str, value: str, bar: str) -> None:
        self.rows.append(Row(what, value, bar))
        print(f"{what:<60} {value:>16}   {bar}", flush=True)


FILL = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SET statement_timeout = 0")
    cursor.execute('''
        INSERT INTO files_app_file (
            organization_id, account_id, file_id, filename, purpose, content_type, bytes, sha256, metadata,
            uri, status, status_details, state, deleted_reason, failure, is_adopted, is_counted,
            created_at, indexed_at, state_changed_at, reserved_bytes, lease_token)
        SELECT o.id, a.id, 'file-bench' || lpad(n::text, 26, '0'), n || '.txt', 'user_data', 'text/plain',
            1000, repeat('0', 64), '{{}}', '', 'processed', '', 'available', '', '', false, true,
            t.at, t.at, t.at, 0, ''
        FROM generate_series({first}, {last} - 1) AS n
        CROSS JOIN LATERAL (SELECT now() - interval '60 days' + n * interval '1 second' AS at) AS t,
            files_app_organization AS o, files_app_provideraccount AS a
        WHERE o.name = 'default' AND a.name = 'upstream'
    ''')
    cursor.execute("ANALYZE files_app_file")
"""


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
def gateway(directory: Path, upstream: int, database_url: str = "") -> Iterator[Stack]:
    """Run the web server of a gateway whose default account is the upstream."""
    temporary = directory / "tmp"
    temporary.mkdir(parents=True)
    stack = Stack(
        directory, database_url=database_url, environment={"TMPDIR": str(temporary), **batches.ENVIRONMENT}
    )
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


def main() -> None:
    """Run the benchmarks and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mib", type=int, default=512, help="size of the large file")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--only", default="upload,download,small,list,batch")
    arguments.add_argument(
        "--postgresql", default=os.environ.get("BENCH_DATABASE_URL", ""), help="database URL"
    )
    options = arguments.parse_args()
    wanted = set(options.only.split(","))
    upstream, nginx = free_port(), free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(sys.executable, "-m", "benchmarks.upstream", str(upstream)),
    ):
        directory = Path(folder)
        has_nginx = shutil.which("nginx") is not None
        config = directory / "nginx.conf"
        config.write_text(_NGINX.format(dir=directory, port=nginx, upstream=upstream))
        with running(*(("nginx", "-p", folder, "-c", str(config)) if has_nginx else ("sleep", "3600"))):
            wait_until(lambda: is_open(upstream), seconds=10, what="the upstream")
            print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
            with gateway(directory / "sqlite", upstream) as stack:
                bench = Bench(
                    stack, upstream, nginx if has_nginx else None, mib=options.mib, rounds=options.rounds
                )
                if "upload" in wanted:
                    bench.uploads()
                if "download" in wanted:
                    bench.downloads()
                if "small" in wanted:
                    bench.small_requests("SQLite")
                if "batch" in wanted:
                    bench.batches(directory)
            if options.postgresql and wanted & {"small", "list"}:
                with gateway(directory / "postgresql", upstream, options.postgresql) as stack:
                    bench = Bench(stack, upstream, None, mib=options.mib, rounds=options.rounds)
                    if "small" in wanted:
                        bench.small_requests("PostgreSQL")
                    if "list" in wanted:
                        bench.list_pages()


def is_open(port: int) -> bool:
    """Whether something listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()
