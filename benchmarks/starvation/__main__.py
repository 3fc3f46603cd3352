"""Measures what one tenant's dead provider, or its slow clients, do to everybody else. `make starve` runs it.

python -m benchmarks.starvation [--clients 200] [--seconds 15] [--kinds hanging,slow]
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import clients
from benchmarks.run import running
from benchmarks.starvation.crowd import FORM, form
from tests.processes import accepts_connections, free_port, wait_until
from tests.stack import Stack

#: What the fast provider has, and gives as many bytes of as its name says.
_ZEROS = "file-zeros-1024"
_LARGE = 24 * 2**20
_WARM_UP_SECONDS = 4.0
_GIVE_UP_SECONDS = 10.0
_PROBE_PAUSE_SECONDS = 0.05
_CONFIG = """
organizations:
  - name: default
    provider_accounts:
      - name: well
        driver: openai-compatible
        default: true
        options: {{base_url: "{well}"}}
        credentials: {{api_key: test-key}}
  - name: neighbour
    provider_accounts:
      - name: ill
        driver: openai
        default: true
        list_freshness: 0
        options: {{base_url: "{ill}"}}
        credentials: {{api_key: test-key}}
"""


class Sample:
    """What happened to one kind of request: seconds of those that succeeded, and how many failed."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.failed = 0

    @property
    def success(self) -> float:
        """The part that succeeded, in percent."""
        asked = len(self.seconds) + self.failed
        return 100 * len(self.seconds) / asked if asked else 0.0

    def at(self, percent: float) -> float:
        """Return a percentile in milliseconds; endless where nothing succeeded."""
        if not self.seconds:
            return math.inf
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, math.ceil(percent / 100 * len(ordered)) - 1)]


def once(port: int, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Send one request over a connection of its own. Raises OSError when it is no success."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_GIVE_UP_SECONDS)
    try:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise OSError(f"{path}: {answer.status}")
        return content
    except http.client.HTTPException as exc:
        raise OSError(str(exc)) from exc
    finally:
        connection.close()


def measure(stack: Stack, file_id: str, seconds: float) -> dict[str, Sample]:
    """Ask one request after another as another tenant, and probe beside it."""
    port, key = stack.port, {"Authorization": f"Bearer {stack.api_key}"}
    work: dict[str, Callable[[], object]] = {
        "retrieve": lambda: once(port, "GET", f"/v1/files/{file_id}", key),
        "list": lambda: once(port, "GET", "/v1/files?limit=20", key),
        "content": lambda: once(port, "GET", f"/v1/files/{_ZEROS}/content", key),
        "upload": lambda: clients.upload(port, stack.api_key, 1024),
    }
    probes: dict[str, Callable[[], object]] = {
        path: lambda path=path: once(port, "GET", path, {}) for path in ("/healthz", "/readyz")
    }
    samples = {name: Sample() for name in [*work, *probes]}
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=_repeat, args=(work, samples, until, 0.0)),
        threading.Thread(target=_repeat, args=(probes, samples, until, _PROBE_PAUSE_SECONDS)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return samples


def _repeat(
    work: dict[str, Callable[[], object]], samples: dict[str, Sample], until: float, pause: float
) -> None:
    while time.monotonic() < until:
        for name, ask in work.items():
            began = time.monotonic()
            try:
                ask()
            except (OSError, RuntimeError):
                samples[name].failed += 1
            else:
                samples[name].seconds.append(time.monotonic() - began)
            time.sleep(pause)


@contextmanager
def crowd(port: int, order: dict[str, Any]) -> Iterator[None]:
    """Let the clients of a crowd loose for the time of a `with` statement."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.starvation.crowd", str(port)], stdin=subprocess.PIPE, text=True
    )
    try:
        assert process.stdin is not None  # noqa: S101 - it was asked for
        process.stdin.write(json.dumps(order))
        process.stdin.close()
        time.sleep(_WARM_UP_SECONDS)
        yield
    finally:
        process.kill()
        process.wait()


class Scene:
    """A gateway with two tenants: `default`, whose provider is well, and its neighbour."""

    def __init__(self, directory: Path, well: int, ill: int) -> None:
        self._ill = ill
        self.stack = Stack(directory, environment={"WEB_WORKERS": "2", "UPLOADS_PER_MINUTE": "0"})
        config = directory / "config.yaml"
        config.write_text(
            _CONFIG.format(well=f"http://127.0.0.1:{well}/v1", ill=f"http://127.0.0.1:{ill}/openai/v1")
        )
        self.stack.prepare()
        self.stack.manage("apply", str(config))
        made = [
            self.stack.manage(
                "keys", "create", "--organization", "neighbour", "--name", f"key-{n}", "--json"
            ).stdout
            for n in range(2)
        ]
        self.keys = [json.loads(text)["key"] for text in made]

    def run(self, kind: str, clients_: int, seconds: float) -> None:
        """Measure without and with the crowd, and print the table."""
        stack = self.stack
        stack.start("web")
        try:
            stack.wait_ready()
            file_id = clients.upload(stack.port, stack.api_key, 1024)[1]["id"]
            small, large = (self._uploaded(size) for size in (1024, _LARGE))
            idle = measure(stack, file_id, seconds)
            if kind == "hanging":
                self._script({"match": {"times": None}, "behaviour": {"hangs": True, "is_served": False}})
            order = {"kind": kind, "clients": clients_, "keys": self.keys, "account": "ill"}
            with crowd(stack.port, order | {"file_id": small, "large_file_id": large}):
                starved = measure(stack, file_id, seconds)
            report(kind, clients_, idle, starved)
        finally:
            self._control("reset", {})
            stack.stop()

    def _uploaded(self, size: int) -> str:
        headers = {"Authorization": f"Bearer {self.keys[0]}", **FORM}
        return str(json.loads(once(self.stack.port, "POST", "/v1/files", headers, form(size)))["id"])

    def _script(self, order: dict[str, Any]) -> None:
        self._control("script", order)

    def _control(self, verb: str, order: dict[str, Any]) -> None:
        url = f"http://127.0.0.1:{self._ill}/_control/{verb}"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(order).encode(), method="POST")):
            pass


def report(kind: str, clients_: int, idle: dict[str, Sample], starved: dict[str, Sample]) -> None:
    """Print one line for each kind of request."""
    print(f"\n{clients_} {kind} clients of a neighbour", flush=True)
    print(f"{'':<10} {'idle p50, p99 ms':>20} {'beside them p50, p99 ms':>26} {'success':>16}")
    for name, sample in starved.items():
        before = idle[name]
        counts = f"{len(sample.seconds)}/{len(sample.seconds) + sample.failed}"
        print(
            f"{name:<10} {before.at(50):>10.1f} {before.at(99):>9.1f} {sample.at(50):>14.1f} "
            f"{sample.at(99):>11.1f} {sample.success:>7.1f} % {counts:>9}",
            flush=True,
        )


def main() -> None:
    """Run the scenes."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--clients", type=int, default=200)
    arguments.add_argument("--seconds", type=float, default=15.0)
    arguments.add_argument("--kinds", default="hanging,slow")
    options = arguments.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for kind in options.kinds.split(","):
        well, ill = free_port(), free_port()
        with (
            tempfile.TemporaryDirectory() as folder,
            running(sys.executable, "-m", "benchmarks.upstream", str(well)),
            running(sys.executable, "-m", "tests.fake_provider", "--port", str(ill)),
        ):
            for port in well, ill:
                wait_until(lambda port=port: accepts_connections(port), seconds=15, what="a provider")
            Scene(Path(folder), well, ill).run(kind, options.clients, options.seconds)


if __name__ == "__main__":
    main()
