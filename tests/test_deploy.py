"""The files under deploy/: what can be checked without a container engine is checked here."""

from __future__ import annotations

import datetime
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import supervisor
from tests.processes import Process, accepts_connections, free_port, wait_until
from tests.stack import PROJECT, Stack, inherited_environment

DEPLOY = PROJECT / "deploy"
NGINX_HOME = "/etc/nginx/files-gateway/"
KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
MODES = ("buffering.conf", "streaming.conf")


def nginx_configuration(directory: Path, server: str) -> Path:
    """Return a main configuration around the `server` block, with everything that nginx writes kept here."""
    folders = "".join(f"{kind}_temp_path {directory}/{kind};\n" for kind in KINDS)
    main = directory / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # nobody may not enter the directory of a test
    main.write_text(
        f"{user} daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log; events {{}}\n"
        f"http {{ access_log off;\n"
        f"{folders}{server.replace(NGINX_HOME, f'{DEPLOY}/nginx/')}\n}}\n"
    )
    return main


@pytest.fixture
def nginx(need_service: Callable[[str], str]) -> str:
    return need_service("nginx")


def plain_server(port: int, upstream: int, mode: str) -> str:
    server = (DEPLOY / "nginx" / "compose.conf").read_text()
    server = server.replace("listen 8080", f"listen 127.0.0.1:{port}").replace("streaming.conf", mode)
    return server.replace("server web:8000", f"server 127.0.0.1:{upstream}")


@contextmanager
def proxy(nginx: str, directory: Path, upstream: int, mode: str) -> Iterator[int]:
    port = free_port()
    main = nginx_configuration(directory, plain_server(port, upstream, mode))
    process = Process(
        [nginx, "-c", str(main)], log=directory / "out.log", environment=inherited_environment()
    )
    process.start()
    try:
        wait_until(lambda: accepts_connections(port), seconds=10, what="nginx to start")
        yield port
    finally:
        process.terminate()


@pytest.mark.parametrize("mode", MODES)
def test_nginx_takes_the_site_in_both_modes(nginx: str, tmp_path: Path, mode: str) -> None:
    write_certificate(tmp_path)
    site = (DEPLOY / "nginx" / "site.conf").read_text().replace("streaming.conf;", f"{mode};", 1)
    site = site.replace("/etc/nginx/tls/", f"{tmp_path}/")
    main = nginx_configuration(tmp_path, site)
    done = subprocess.run([nginx, "-t", "-c", str(main)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


@pytest.mark.parametrize("mode", MODES)
def test_files_pass_through_nginx_in_both_modes(nginx: str, stack: Stack, tmp_path: Path, mode: str) -> None:
    directory = tmp_path / "nginx"
    directory.mkdir()
    content = b"0123456789abcdef" * 65_536
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    with proxy(nginx, directory, stack.port, mode) as port:
        body = (
            b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n%s\r\n--b--\r\n'
        ) % content
        form = {**headers, "Content-Type": "multipart/form-data; boundary=b"}
        status, _, answer = call(port, "POST", "/v1/files", form, body)
        assert status == 200, answer
        file = json.loads(answer)
        assert call(port, "GET", f"/v1/files/{file['id']}/content", headers)[2] == content
        assert call(port, "GET", "/v1/files/s3%3A%2F%2Fbucket%2Fkey", headers)[0] == 404
        assert call(port, "GET", "/metrics", {})[0] == 200  # from loopback

        status, given, answer = call(port, "POST", "/v1/files", {**form, "Content-Length": str(600 << 20)})
        assert (status, given["x-should-retry"]) == (413, "false")
        assert json.loads(answer)["error"]["code"] == "file_too_large"


def test_a_gateway_that_is_down_is_told_in_json(nginx: str, tmp_path: Path) -> None:
    with proxy(nginx, tmp_path, free_port(), "streaming.conf") as port:
        status, headers, answer = call(port, "GET", "/v1/files", {})
    assert (status, headers["Retry-After"]) == (503, "2")
    assert json.loads(answer)["error"]["code"] == "gateway_unavailable"


def test_a_request_that_nginx_refuses_is_told_in_json(nginx: str, tmp_path: Path) -> None:
    with proxy(nginx, tmp_path, free_port(), "streaming.conf") as port:
        for path, headers in (("/" + "a" * 9_000, {}), ("/v1/files", {"x-long": "a" * 9_000})):
            status, _, answer = call(port, "GET", path, headers)
            assert status == 400
            assert json.loads(answer)["error"]["message"]


def test_an_address_with_too_many_requests_is_told_in_json(nginx: str, tmp_path: Path) -> None:
    with ExitStack() as held, socket.create_server(("127.0.0.1", 0)) as upstream:
        port = held.enter_context(proxy(nginx, tmp_path, upstream.getsockname()[1], "streaming.conf"))
        for _ in range(64):
            client = held.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(b"GET /v1/files HTTP/1.1\r\nHost: localhost\r\n\r\n")
            held.enter_context(upstream.accept()[0])
        status, headers, answer = call(port, "GET", "/v1/files", {})
    assert (status, headers["Retry-After"]) == (429, "5")
    assert json.loads(answer)["error"]["code"] == "rate_limit_exceeded"


def call(
    port: int, method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def write_certificate(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "files.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "fullchain.pem").write_bytes(certificate.public_bytes(pem))
    (directory / "privkey.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def test_every_yaml_file_is_yaml() -> None:
    names = [path.relative_to(DEPLOY) for path in DEPLOY.rglob("*.yaml")]
    assert len(names) >= 7
    for name in names:
        assert all(documents(str(name))), name


def test_compose_runs_every_part() -> None:
    (compose,) = documents("compose.yaml")
    commands = [service.get("command") for service in compose["services"].values()]
    for part in supervisor.PROGRAMS:
        assert ["run", part] in commands
    assert all(service["read_only"] for service in compose["services"].values() if "build" in service)


def test_the_cluster_runs_every_part_and_names_only_what_exists() -> None:
    (kustomization,) = documents("kubernetes/kustomization.yaml")
    found = [item for name in kustomization["resources"] for item in documents(f"kubernetes/{name}")]
    deployments = [item for item in found if item["kind"] == "Deployment"]
    assert sorted(item["metadata"]["name"] for item in deployments) == sorted(supervisor.PROGRAMS)
    for item in deployments:
        (container,) = item["spec"]["template"]["spec"]["containers"]
        assert container["args"] == ["run", item["metadata"]["name"]]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_builds_it() -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(DEPLOY / "kubernetes")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    kinds = [item["kind"] for item in yaml.safe_load_all(done.stdout)]
    assert kinds.count("Deployment") == 3


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in (DEPLOY / "systemd").glob("*.*"):
        if path.suffix in {".service", ".target"}:
            text = path.read_text().replace("/opt/files-gateway", str(PROJECT))
            (tmp_path / path.name).write_text(text)
    units = [str(path) for path in tmp_path.iterdir()]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert "files-gateway" not in done.stderr, done.stderr


def test_the_procfile_and_the_units_run_every_part() -> None:
    procfile = (DEPLOY / "Procfile").read_text()
    for part in supervisor.PROGRAMS:
        assert f"{part}: .venv/bin/python manage.py run {part}\n" in procfile
        unit = (DEPLOY / "systemd" / f"files-gateway-{part}.service").read_text()
        assert f"manage.py run {part}\n" in unit


def test_the_image_holds_what_runs() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
        for name in line.split()
    }
    allowed = re.findall(r"^!(\S+)$", (PROJECT / ".dockerignore").read_text(), re.MULTILINE)
    assert copied == set(allowed)
    assert all((PROJECT / name).exists() for name in copied)
    assert {"gateway", "files_app", "providers", "templates", "manage.py"} <= copied
    assert re.search(r"^USER 10001", dockerfile, re.MULTILINE)
