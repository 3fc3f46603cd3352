"""The nginx files under deploy/, in a real nginx; the other files there are in test_manifests.py."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import json
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

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
    """Return what Compose has, on other ports, of one web server and without Docker's names."""
    server = (DEPLOY / "nginx" / "compose.conf").read_text()
    server = server.replace("listen 8080", f"listen 127.0.0.1:{port}").replace("streaming.conf", mode)
    server = re.sub(r"^resolver .*$|^ *server web-2.*$", "", server, flags=re.MULTILINE)
    return server.replace("server web-1:8000 resolve", f"server 127.0.0.1:{upstream}")


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


@pytest.mark.parametrize(
    ("address", "node"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")], ids=["IPv4", "IPv6"]
)
def test_nginx_alone_says_whose_address_it_is(nginx: str, tmp_path: Path, address: str, node: str) -> None:
    """In the form of RFC 7239, over what the client says, and without names that imitate others."""
    upstream = socket.create_server(("127.0.0.1", 0))
    port = free_port()
    server = plain_server(port, upstream.getsockname()[1], "streaming.conf")
    main = nginx_configuration(tmp_path, server.replace(f"127.0.0.1:{port}", f"{node}:{port}"))
    process = Process([nginx, "-c", str(main)], log=tmp_path / "out.log", environment=inherited_environment())
    process.start()
    try:
        wait_until(lambda: is_there(address, port), seconds=10, what="nginx to start")
        claims = "Forwarded: for=1.2.3.4\r\nX-Forwarded-For: 1.2.3.4\r\nX_Forwarded_For: 1.2.3.4\r\n"
        with upstream, socket.create_connection((address, port), timeout=10) as client:
            client.sendall(f"GET /v1/files HTTP/1.1\r\nHost: a\r\n{claims}\r\n".encode())
            upstream.settimeout(10)
            with upstream.accept()[0] as arrived:
                head = arrived.recv(65_536).decode()
    finally:
        process.terminate()
    lines = head.splitlines()
    assert f'Forwarded: for="{node}";proto=http' in lines
    assert f"X-Forwarded-For: {address}" in lines
    assert "1.2.3.4" not in head


def is_there(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


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
