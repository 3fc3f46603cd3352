"""Every driver goes through the proxy that the operator chose, and trusts the authorities that he named."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from providers.base import AccountConfig, Driver, Environment
from providers.exceptions import ProviderUnavailableError
from providers.registry import build_driver
from providers.transports.addresses import BlockedAddressError
from providers.transports.http import HTTPTransport, TransportLimits
from providers.transports.proxies import Proxies
from tests.authority import Authority
from tests.fake_provider import VALID_KEY, FakeProvider
from tests.providers.stores import BUCKETS, FakeGCS, Moto, make_upload, read
from tests.providers.test_vertex import service_account
from tests.relays import ForwardProxy, Relay

ROLE = "arn:aws:iam::123456789012:role/files"


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://api.openai.com/v1", "http://secure:1"),
        ("http://store.example", "http://plain:2"),
        ("https://a.corp.example/x", ""),
        ("https://notcorp.example/x", "http://secure:1"),
        ("https://10.1.2.3/", ""),
        ("https://11.1.2.3/", "http://secure:1"),
        ("http://[fd00::7]:9000/", ""),
        ("https://minio.local:9000/", ""),
        ("https://minio.local/", "http://secure:1"),
        ("http://169.254.169.254/latest", ""),
        ("http://metadata.google.internal/computeMetadata", ""),
    ],
)
def test_which_proxy_a_url_has(url: str, proxy: str) -> None:
    no_proxy = ".corp.example, 10.0.0.0/8,fd00::/8,minio.local:9000"
    assert Proxies("http://secure:1", "http://plain:2", no_proxy).proxy_for(url) == proxy
    assert Proxies("http://secure:1", "http://plain:2", "*").proxy_for(url) == ""


class Outside:
    """Hosts that only the proxy finds, behind TLS of a private authority."""

    def __init__(self, authority: Authority, cleanup: ExitStack) -> None:
        self._authority = authority
        self._cleanup = cleanup
        self._ports: dict[str, int] = {}
        self.proxy = cleanup.enter_context(ForwardProxy(self._ports, user="us:pa%40ss"))

    def add(self, host: str, port: int, *, plain: bool = False) -> None:
        """Let a server on loopback be found under a name, by TLS unless it is plain."""
        if not plain:
            relay = Relay(port, tls=self._authority.server_context(host))
            port = self._cleanup.enter_context(relay).port
        self._ports[host] = port

    @property
    def limits(self) -> TransportLimits:
        proxies = Proxies(self.proxy.url, self.proxy.url)
        return TransportLimits(ca_bundle=str(self._authority.bundle), proxies=proxies)

    def driver(self, name: str, credentials: dict[str, str], **options: object) -> Driver:
        environment = Environment(limits=self.limits)
        return build_driver(
            name, AccountConfig("outside", options, credentials, environment, is_operators=True)
        )


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    with ExitStack() as cleanup:
        yield Outside(Authority(tmp_path / "authority"), cleanup)


def test_an_api_is_called_through_the_proxy(outside: Outside, fake: FakeProvider) -> None:
    url = urlsplit(fake.url("openai"))
    outside.add("provider.example", url.port or 0)
    driver = outside.driver("openai", {"api_key": VALID_KEY}, base_url=f"https://provider.example{url.path}")
    assert driver.create_file(make_upload(b'{"a": 1}\n')).remote_id
    assert outside.proxy.asked == ["CONNECT provider.example:443"]


def test_plain_http_is_for_who_may_use_it_without_a_proxy(outside: Outside, fake: FakeProvider) -> None:
    url = urlsplit(fake.url("openai"))
    outside.add("plain.example", url.port or 0, plain=True)
    options = {"base_url": f"http://plain.example{url.path}"}
    with pytest.raises(BlockedAddressError):
        outside.driver("openai", {"api_key": VALID_KEY}, **options).list_files()
    assert outside.proxy.asked == []
    limits = replace(outside.limits, allow_private=True)
    config = AccountConfig("plain", options, {"api_key": VALID_KEY}, Environment(limits=limits))
    assert build_driver("openai", config).list_files().files == ()
    assert outside.proxy.asked == [f"GET http://plain.example{url.path}/files?limit=1000"]


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "10.0.0.1", "[::ffff:10.0.0.1]", "169.254.169.254", "localhost", "a.localhost"),
        *("127.1", "2130706433", "0x7f.0.0.1", "127.0.0.1.", "LOCALHOST."),
    ],
)
def test_the_proxy_is_not_asked_for_what_the_url_says_is_inside(outside: Outside, host: str) -> None:
    driver = outside.driver("openai", {"api_key": VALID_KEY}, base_url=f"https://{host}/v1")
    with pytest.raises(BlockedAddressError):
        driver.list_files()
    assert outside.proxy.asked == []


def test_a_refusal_of_the_proxy_names_the_setting_and_no_password(outside: Outside) -> None:
    driver = outside.driver("openai", {"api_key": VALID_KEY}, base_url="https://elsewhere.example/v1")
    with pytest.raises(ProviderUnavailableError, match=r"elsewhere\.example: PROVIDER_PROXY") as caught:
        driver.list_files()
    assert caught.value.answered
    assert "pa%40ss" not in str(caught.value)
    keys = {"access_key_id": "probe", "secret_access_key": "secret"}
    store = outside.driver("bedrock", keys, bucket=BUCKETS[0], endpoint_url="https://elsewhere.example")
    with pytest.raises(ProviderUnavailableError, match=r"the store: PROVIDER_PROXY"):
        store.list_files()


def test_s3_and_the_role_that_is_assumed_for_it(outside: Outside, moto_server: Moto) -> None:
    hosts = "s3.us-east-1.amazonaws.com", "sts.us-east-1.amazonaws.com", f"{BUCKETS[0]}.s3.amazonaws.com"
    for host in (*hosts, f"{BUCKETS[0]}.s3.us-east-1.amazonaws.com"):
        outside.add(host, moto_server.port)
    keys = {"access_key_id": "probe", "secret_access_key": "secret"}
    options = {"bucket": BUCKETS[0], "region": "us-east-1", "prefix": "proxied", "role_arn": ROLE}
    driver = outside.driver("bedrock", keys, **options)
    stored = driver.create_file(make_upload(b"{}"))
    assert read(driver, stored.remote_id) == b"{}"
    asked = {line.partition(" ")[2].partition(":")[0] for line in outside.proxy.asked}
    assert "sts.us-east-1.amazonaws.com" in asked
    assert any(host.startswith(f"{BUCKETS[0]}.s3.") for host in asked)


def test_gcs_and_the_server_of_its_tokens(outside: Outside, gcs_server: FakeGCS, tokens: int) -> None:
    outside.add("store.example", gcs_server.port)
    outside.add("tokens.example", tokens)
    driver = outside.driver(
        "vertex",
        {"service_account_json": service_account(token_uri="https://tokens.example/token")},
        bucket=BUCKETS[0],
        endpoint_url="https://store.example",
        prefix="proxied",
    )
    assert driver.list_files().files == ()
    assert outside.proxy.asked == ["CONNECT tokens.example:443", "CONNECT store.example:443"]


def test_no_proxy_connects_directly(outside: Outside, fake: FakeProvider) -> None:
    limits = outside.limits
    limits = replace(limits, allow_private=True, proxies=replace(limits.proxies, no_proxy="127.0.0.0/8"))
    account = AccountConfig("near", {"base_url": fake.url("openai")}, {"api_key": VALID_KEY})
    driver = build_driver("openai", replace(account, transport=HTTPTransport(limits)))
    assert driver.list_files().files == ()
    assert outside.proxy.asked == []


class _Tokens(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"access_token": "token", "expires_in": 3600, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    log_message: Callable[..., None] = lambda *args: None


@pytest.fixture
def tokens() -> Iterator[int]:
    """A token server's port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Tokens) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()
