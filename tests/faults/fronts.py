"""What may stand between a client and the gateway: granian as shipped, gunicorn instead, nginx in front."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.processes import START_TIMEOUT_SECONDS, Process, accepts_connections, free_port, wait_until
from tests.stack import PROJECT, Stack, inherited_environment
from tests.test_deploy import DEPLOY, NGINX_HOME, nginx_configuration, plain_server

FrontName = Literal["granian", "gunicorn", "nginx"]
#: How long a client may stall where the front can end it; the shipped default is a minute.
IDLE_SECONDS = 1
#: How long gunicorn reads a refused body; the shipped default is half a minute.
REFUSED_BODY_SECONDS = 2


@dataclass(frozen=True)
class Front:
    """A port that serves the gateway. `ends_stalls`: whether it ends an upload that stands still."""

    name: FrontName
    port: int
    log: Path

    @property
    def ends_stalls(self) -> bool:
        return self.name != "granian"


@contextmanager
def gunicorn(stack: Stack) -> Iterator[Front]:
    """Run the same WSGI application on the same data under gunicorn."""
    port = free_port()
    log = stack.directory / f"gunicorn-{port}.log"
    options = [
        "--worker-class",
        "gthread",
        "--threads",
        "32",
        "--bind",
        f"127.0.0.1:{port}",
        "--no-control-socket",
    ]
    process = Process(
        [sys.executable, "-m", "gunicorn", "--chdir", str(PROJECT), *options, "gateway.wsgi:application"],
        log=log,
        environment={
            **stack.environment,
            "CLIENT_IDLE_SECONDS": str(IDLE_SECONDS),
            "REFUSED_BODY_SECONDS": str(REFUSED_BODY_SECONDS),
        },
    )
    yield from _running(process, Front("gunicorn", port, log))


@contextmanager
def nginx(program: str, stack: Stack) -> Iterator[Front]:
    """Run nginx before granian as `deploy/nginx` configures it, with a shorter patience."""
    port = free_port()
    directory = stack.directory / f"nginx-{port}"
    directory.mkdir()
    for shipped in (DEPLOY / "nginx").glob("*.conf"):
        text = shipped.read_text().replace("client_body_timeout 60s", f"client_body_timeout {IDLE_SECONDS}s")
        (directory / shipped.name).write_text(text)
    server = plain_server(port, stack.port, "streaming.conf").replace(NGINX_HOME, f"{directory}/")
    main = nginx_configuration(directory, server)
    process = Process(
        [program, "-c", str(main)], log=directory / "out.log", environment=inherited_environment()
    )
    yield from _running(process, Front("nginx", port, directory / "error.log"))


@contextmanager
def balanced(nginx: str, directory: Path, nodes: Sequence[Stack], *, port: int = 0) -> Iterator[str]:
    """Run nginx with the shipped files, and the second server of their example; give its URL."""
    directory.mkdir()
    port = port or free_port()
    upstream = (DEPLOY / "nginx" / "upstream.conf").read_text().replace("# server", "server")
    examples = ("127.0.0.1:8000", "192.0.2.2:8000")
    for example, node in zip(examples, nodes, strict=True):
        assert f" server {example}" in upstream
        upstream = upstream.replace(example, f"127.0.0.1:{node.port}")
    files = ("maps.conf", "gateway.conf", "streaming.conf")
    maps, *site = (f"include {DEPLOY}/nginx/{name};\n" for name in files)
    server = f"{upstream}{maps}server {{ listen 127.0.0.1:{port};\n{''.join(site)}}}"
    main = nginx_configuration(directory, server)
    process = Process(
        [nginx, "-c", str(main)], log=directory / "out.log", environment=inherited_environment()
    )
    process.start()
    try:
        wait_until(lambda: accepts_connections(port), seconds=10, what="nginx to start")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()


def _running(process: Process, front: Front) -> Iterator[Front]:
    process.start()
    try:
        wait_until(
            lambda: accepts_connections(front.port),
            seconds=START_TIMEOUT_SECONDS,
            what=f"{front.name} to start",
        )
        yield front
    finally:
        process.kill()
