"""How long `make run` takes to its banner, and what its processes take of memory, with SQLite."""

from __future__ import annotations

import http.client
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import clients
from tests.processes import Process, descendants, free_port, wait_until
from tests.providers.stores import ACCESS_KEY, BUCKETS, SECRET_KEY, FakeGCS, Weed
from tests.stack import PROJECT, inherited_environment

IDLE_SECONDS = 60
_CONFIG = """
organizations:
  - name: default
    provider_accounts:
      - name: bucket
        driver: bedrock
        options: {{bucket: "{bucket}", region: "us-east-1", endpoint_url: "{s3}"}}
        credentials: {{access_key_id: "{key}", secret_access_key: "{secret}"}}
      - name: cloud
        driver: vertex
        options: {{bucket: "{bucket}", project: "test", endpoint_url: "{gcs}"}}
"""

Add = Callable[[str, str, str], None]


class Gateway:
    """`manage.py run`, as `make run` starts it, on a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.port, self.key = free_port(), f"benchmark-{secrets.token_hex(16)}"
        self.password = secrets.token_urlsafe(16)
        data = directory / "data"
        data.mkdir(parents=True, mode=0o700)
        self.environment = {
            **inherited_environment(),
            **{"DATA_DIR": str(data), "PORT": str(self.port), "ALLOW_PRIVATE_UPSTREAMS": "true"},
            **{"BOOTSTRAP_API_KEY": self.key, "BOOTSTRAP_ADMIN_PASSWORD": self.password},
            "SHUTDOWN_DRAIN_SECONDS": "0",
        }
        command = [sys.executable, str(PROJECT / "manage.py"), "run"]
        self._log = directory / "log"
        self._process = Process(command, log=self._log, environment=self.environment)

    @contextmanager
    def running(self) -> Iterator[float]:
        """Run it, and yield the seconds that it took to its banner."""
        self._log.unlink(missing_ok=True)
        began = time.monotonic()
        self._process.start()
        try:
            wait_until(self._is_ready, seconds=120, what="the banner")
            yield time.monotonic() - began
        finally:
            self._process.terminate()

    def _is_ready(self) -> bool:
        if self._process.exit_code is not None:
            raise RuntimeError(f"the gateway ended:\n{self._process.output()[-4000:]}")
        return "The files gateway is ready" in self._process.output()

    def manage(self, *arguments: str) -> None:
        command = [sys.executable, "manage.py", *arguments]
        subprocess.run(command, cwd=PROJECT, env=self.environment, check=True, capture_output=True)

    def memory(self) -> dict[str, float]:
        """Return the proportional set size of each process in MB, by name."""
        found: dict[str, float] = {}
        for number, pid in enumerate(descendants(self._process.pid)):
            name = Path(f"/proc/{pid}/comm").read_text().strip()  # parts say who they are
            if name.startswith("python"):
                name = "supervisor"
            found[f"{name} {number}"] = _pss_mb(pid)
        return found


def measure(directory: Path, *, add: Add) -> None:
    """Start it twice; then let it rest, work a little for S3, Cloud Storage and the admin, and weigh it."""
    gateway = Gateway(directory / "starts")
    with gateway.running() as seconds:
        add("first start, to the banner", f"{seconds:.1f} s", "")
    with gateway.running() as seconds:
        add("second start, to the banner", f"{seconds:.1f} s", "3 s")
        time.sleep(IDLE_SECONDS)
        _show(f"memory of make run, {IDLE_SECONDS} s after the banner", gateway, "200 MB", add=add)
        with _stores(gateway, directory):
            _work(gateway)
            _show("memory after S3, Cloud Storage, a list, an admin page", gateway, "260 MB", add=add)


def _show(what: str, gateway: Gateway, aim: str, *, add: Add) -> None:
    found = gateway.memory()
    parts = ", ".join(f"{name.rpartition(' ')[0]} {size:.0f}" for name, size in found.items())
    add(what, f"{sum(found.values()):.0f} MB ({parts})", aim)


@contextmanager
def _stores(gateway: Gateway, directory: Path) -> Iterator[None]:
    s3, gcs = Weed(directory / "starts-s3"), FakeGCS(directory / "starts-gcs")
    s3.prepare()
    try:
        s3.start()
        s3.client().create_bucket(Bucket=BUCKETS[0])  # type: ignore[no-untyped-call]  # made at run time
        gcs.start()
        gcs.create_bucket(BUCKETS[0])
        config = directory / "stores.yaml"
        place = {"bucket": BUCKETS[0], "s3": s3.endpoint_url, "gcs": gcs.endpoint_url}
        config.write_text(_CONFIG.format(**place, key=ACCESS_KEY, secret=SECRET_KEY))
        gateway.manage("apply", str(config))
        yield
    finally:
        s3.stop()
        gcs.stop()


def _work(gateway: Gateway) -> None:
    for account in ("bucket", "cloud"):
        clients.upload(gateway.port, gateway.key, 1 << 20, headers=f"x-tfy-provider-name: {account}\r\n")
    for path in ("/v1/files", "/admin/login/"):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        connection.request("GET", path, headers={"Authorization": f"Bearer {gateway.key}"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")


def _pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"no proportional set size of {pid}")


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), add=lambda what, value, bar: print(f"{what:<60} {value}   {bar}", flush=True))
