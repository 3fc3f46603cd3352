"""The platform's own credentials serve operators' accounts, and go to the vendor alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import responses
from google.auth.compute_engine import _metadata

from providers.base import AccountConfig, Environment
from providers.bedrock import BedrockDriver
from providers.cloud_store import CloudStoreDriver
from providers.exceptions import ProviderConfigurationError, ProviderError
from providers.registry import build_driver
from providers.transports import gcs, s3
from tests.providers.test_vertex import service_account

AWS_KEYS = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "s" * 40}
ROLE = {"role_arn": "arn:aws:iam::123456789012:role/files"}
STRANGER = {"endpoint_url": "https://93.184.215.14"}
INSIDE = {"endpoint_url": "https://10.1.2.3"}
REGIONAL = {"endpoint_url": "https://s3.eu-central-1.amazonaws.com"}
ANYWHERE = {"default_credentials_anywhere": True}


def make(
    driver: str, options: dict[str, object], credentials: dict[str, str], *, is_operators: bool
) -> CloudStoreDriver:
    place = {"bucket": "our-bucket", **options}
    if driver == "bedrock":
        place["region"] = "eu-central-1"
    config = AccountConfig("store", place, credentials, Environment(), is_operators=is_operators)
    made = build_driver(driver, config)
    assert isinstance(made, CloudStoreDriver)
    return made


@pytest.mark.parametrize("is_operators", [True, False])
@pytest.mark.parametrize(
    ("options", "has_keys", "operators", "others"),
    [
        ({}, True, None, None),
        (STRANGER, True, None, None),
        ({}, False, None, "access_key_id"),
        (REGIONAL, False, None, "access_key_id"),
        (STRANGER, False, "access_key_id", "access_key_id"),
        ({**STRANGER, **ANYWHERE}, False, None, "default_credentials_anywhere"),
        (ROLE, True, None, "role_arn"),
        (ROLE, False, None, "role_arn"),
        ({**ROLE, **REGIONAL}, True, None, "role_arn"),
        ({**ROLE, **STRANGER}, True, "role_arn", "role_arn"),
        ({**ROLE, **STRANGER, **ANYWHERE}, True, None, "role_arn"),
        (ANYWHERE, True, None, "default_credentials_anywhere"),
    ],
)
def test_who_may_use_the_platforms_credentials_where(
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, object],
    has_keys: bool,
    operators: str | None,
    others: str | None,
    is_operators: bool,
) -> None:
    """Refused where an account is saved and where it is used, by the field that is at fault."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHEPLATFORM000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s" * 40)
    expected = operators if is_operators else others
    keys = AWS_KEYS if has_keys else {}
    refused = []
    for use in (lambda each: each.check_recipient(), lambda each: each.open_store()):
        try:
            use(make("bedrock", options, keys, is_operators=is_operators))
        except ProviderConfigurationError as exc:
            refused.append(exc.field)
    assert refused == ([expected] * 2 if expected else [])


def test_no_credentials_go_to_a_store_inside() -> None:
    assert make("bedrock", INSIDE, {}, is_operators=True).is_anonymous
    assert not make("bedrock", {**INSIDE, **ANYWHERE}, {}, is_operators=True).is_anonymous
    assert not make("bedrock", INSIDE, AWS_KEYS, is_operators=True).is_anonymous


@pytest.mark.parametrize(
    ("driver", "host", "is_vendors"),
    [
        ("bedrock", "s3.amazonaws.com", True),
        ("bedrock", "S3.EU-central-1.amazonaws.com.", True),
        ("bedrock", "s3-eu-west-1.amazonaws.com", True),
        ("bedrock", "s3.dualstack.us-gov-west-1.amazonaws.com", True),
        ("bedrock", "s3-fips.dualstack.us-east-1.amazonaws.com", True),
        ("bedrock", "s3-accelerate.dualstack.amazonaws.com", True),
        ("bedrock", "s3.cn-north-1.amazonaws.com.cn", True),
        ("bedrock", "bucket.vpce-0a1b2c-3d4e5f.s3.us-east-1.vpce.amazonaws.com", True),
        ("bedrock", "vpce-0a1b2c-3d4e5f-us-east-1a.s3.us-east-1.vpce.amazonaws.com", True),
        ("bedrock", "vpce-0a1b.vpce-svc-0c1d.us-east-1.vpce.amazonaws.com", False),
        ("bedrock", "ec2-203-0-113-7.compute-1.amazonaws.com", False),
        ("bedrock", "mine.execute-api.us-east-1.amazonaws.com", False),
        ("bedrock", "mine-1.us-east-1.elb.amazonaws.com", False),
        ("bedrock", "s3-website-us-east-1.amazonaws.com", False),
        ("bedrock", "s3.amazonaws.com.evil.example", False),
        ("bedrock", "evil-s3.amazonaws.com", False),
        ("bedrock", "s3.amazonaws.com:8443", False),
        ("vertex", "storage.googleapis.com", True),
        ("vertex", "storage.europe-west3.rep.googleapis.com", True),
        ("vertex", "storage-ours.p.googleapis.com", True),
        ("vertex", "storage.googleapis.com.evil.example", False),
        ("vertex", "mine.appspot.com", False),
        ("vertex", "ours.cloudfunctions.googleapis.com", False),
    ],
)
def test_only_the_vendors_own_hosts_are_the_vendors(driver: str, host: str, is_vendors: bool) -> None:
    options = {"endpoint_url": f"https://{host}"}
    assert make(driver, options, {}, is_operators=True).is_foreign is not is_vendors
    plain = {"endpoint_url": f"http://{host}"}
    assert make(driver, plain, {}, is_operators=True).is_foreign


class Metadata(ThreadingHTTPServer):
    """The metadata server of a cloud's host, on loopback. It keeps what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _MetadataHandler)
        self.asked: list[str] = []
        self.address = f"127.0.0.1:{self.server_address[1]}"


class _MetadataHandler(BaseHTTPRequestHandler):
    server: Metadata

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        expiring = {"Code": "Success", "Expiration": "2099-01-01T00:00:00Z"}
        keys = {"AccessKeyId": "ASIAFROMTHEHOST00000", "SecretAccessKey": "s" * 40, "Token": "t" * 40}
        if "service-accounts/default/token" in self.path:
            self._answer(json.dumps({"access_token": "from-the-host", "expires_in": 3600}))
        elif "service-accounts/default" in self.path:
            self._answer(json.dumps({"email": "host@example.com", "scopes": []}))
        elif self.path.endswith("/security-credentials/"):
            self._answer("the-role", "text/plain")
        elif self.path.endswith("/security-credentials/the-role"):
            self._answer(json.dumps({**expiring, **keys}))
        else:
            self._answer("googleapis.com" if "universe" in self.path else "a-project", "text/plain")

    def do_PUT(self) -> None:
        self._answer("a-token", "text/plain")

    def _answer(self, text: str, content_type: str = "application/json") -> None:
        self.send_response(200)
        for name, value in (("Metadata-Flavor", "Google"), ("Content-Type", content_type)):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Metadata]:
    """The host's metadata, and nothing else that could hold credentials."""
    with Metadata() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://{server.address}")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        monkeypatch.setenv("GCE_METADATA_IP", server.address)
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", server.address)  # read when it is imported
        s3.open_s3.cache_clear()
        gcs.open_gcs.cache_clear()
        yield server
        server.shutdown()
        s3.open_s3.cache_clear()
        gcs.open_gcs.cache_clear()


def test_workload_identity_works_where_private_addresses_are_refused(metadata: Metadata) -> None:
    with responses.RequestsMock() as wire:
        wire.add_passthru(f"http://{metadata.address}")
        wire.get("https://storage.googleapis.com/storage/v1/b/our-bucket/o", json={})
        driver = make("vertex", {}, {}, is_operators=True)
        assert driver.list_files().files == ()
        assert wire.calls[0].request.headers["Authorization"] == "Bearer from-the-host"


def test_a_key_with_a_token_server_of_its_own_is_guarded_all_the_same(metadata: Metadata) -> None:
    key = {"service_account_json": service_account(token_uri=f"http://{metadata.address}/token")}
    with pytest.raises(ProviderError) as caught:
        make("vertex", {}, key, is_operators=True).list_files()
    assert caught.value.code == "private_upstream_refused"
    assert metadata.asked == []


def test_an_instance_role_signs_for_operators_accounts_alone(metadata: Metadata) -> None:
    driver = make("bedrock", {}, {}, is_operators=True)
    assert isinstance(driver, BedrockDriver) and isinstance(driver.store, s3.S3Store)
    signing = driver.store.client._request_signer._credentials  # type: ignore[attr-defined]
    assert signing.access_key == "ASIAFROMTHEHOST00000"
    metadata.asked.clear()
    for name in ("bedrock", "vertex"):
        with pytest.raises(ProviderConfigurationError, match="operator"):
            make(name, {}, {}, is_operators=False)
    assert metadata.asked == []
