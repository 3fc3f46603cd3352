"""Counts which refusals reach which clients: `make clients`, with Node, Go and Java on the path.

python -m benchmarks.refusals [--tries 200] [--client NAME ...] [--front NAME ...] [--case NAME ...]

Prints a Markdown table: of so many tries, how many ended with the status that the gateway answered.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fake_provider import FakeProvider, behaviours
from tests.faults.gateway import Gateway
from tests.sdk.cache import cached, npm_install, pip, run
from tests.stack import Stack
from tests.test_deploy import proxy

HERE = Path(__file__).parent
MiB = 1024 * 1024
OPENAI_NODE, UNDICI, AIOHTTP = "openai@7.57.0", "undici@7.30.2", "aiohttp==3.14.5"
FRONTS = ("direct", "streaming.conf", "buffering.conf")
CLIENTS = (
    "openai-async",
    "openai-sync",
    "aiohttp",
    "openai-node",
    "fetch",
    "undici",
    "go",
    "java",
    "java-url",
)


@dataclass(frozen=True)
class Case:
    """A refusal: what is sent, and what has to arrive."""

    status: int
    bytes: int
    purpose: str = "user_data"
    has_good_key: bool = True


CASES = {
    "wrong key, 16 MiB": Case(401, 16 * MiB, has_good_key=False),
    "wrong purpose, 16 MiB": Case(400, 16 * MiB, purpose="nonsense"),
    "too large, 32 MiB": Case(413, 32 * MiB),
    "provider refuses early, 16 MiB": Case(400, 16 * MiB, purpose="evals"),
}


def commands() -> dict[str, list[str | Path]]:
    """Return how each client is started, without its arguments."""
    modules = cached(f"refusals-{OPENAI_NODE}-{UNDICI}", npm_install(OPENAI_NODE, UNDICI))
    packages = cached(AIOHTTP, lambda target: pip("install", AIOHTTP, "--target", target, cwd=target))
    go = cached("refusals-go", lambda target: _build_go(target))
    python: list[str | Path] = ["env", f"PYTHONPATH={packages}", sys.executable, HERE / "clients.py"]
    node: list[str | Path] = ["env", "-C", modules, "node", HERE / "clients.mjs"]
    java: list[str | Path] = ["java", HERE / "Client.java"]
    starts = (python, python, python, node, node, node, [go / "client"], java, java)
    return {name: [*start, name] for name, start in zip(CLIENTS, starts, strict=True)}


def _build_go(target: Path) -> None:
    run("go", "build", "-o", target / "client", HERE / "client.go", cwd=target, GO111MODULE="off")


@contextmanager
def fronts(gateway: Gateway, directory: Path, names: list[str]) -> Iterator[dict[str, int]]:
    """Start what stands before the gateway, and yield the ports."""
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    with ExitStack() as stack:
        ports = {"direct": gateway.stack.port}
        for mode in set(names) - {"direct"}:
            (directory / mode).mkdir()
            ports[mode] = stack.enter_context(proxy(nginx, directory / mode, gateway.stack.port, mode))
        yield {name: ports[name] for name in names}


def counted(outcomes: dict[str, int], status: int) -> str:
    """Return how many tries ended with the status, and how the others did."""
    reached = outcomes.pop(str(status), 0)
    others = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    return f"{reached}" + (f" ({others})" if others else "")


def measure(gateway: Gateway, directory: Path, options: argparse.Namespace) -> None:
    tenant = gateway.tenant(max_file_bytes=24 * MiB)
    gateway.fake.script({"method": "POST", "times": None}, behaviours.fail(400, after_body_bytes=0))
    starts = commands()
    with fronts(gateway, directory, options.front) as ports:
        print(f"| Refusal | Client | {' | '.join(ports)} |\n| --- | --- | {'--- | ' * len(ports)}")
        for label in options.case:
            case = CASES[label]
            key = tenant.key if case.has_good_key else "wrong"
            for client in options.client:
                cells = []
                for port in ports.values():
                    url = f"http://127.0.0.1:{port}/v1"
                    arguments = (url, key, case.purpose, str(case.bytes), str(options.tries))
                    printed = run(*starts[client], *arguments, cwd=directory, seconds=3600)
                    cells.append(counted(json.loads(printed), case.status))
                print(f"| {label}: {case.status} | {client} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--client", nargs="*", choices=CLIENTS, default=CLIENTS)
    parser.add_argument("--front", nargs="*", choices=FRONTS, default=FRONTS)
    parser.add_argument("--case", nargs="*", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, FakeProvider() as fake:
        directory = Path(name)
        # Quick clients would be told to slow down instead.
        unlimited = {"UPLOADS_PER_MINUTE": "0"}
        with Gateway(Stack(directory / "stack", environment=unlimited), fake) as gateway:
            measure(gateway, directory, options)


if __name__ == "__main__":
    main()
