"""Connections reach public addresses only, whatever a name or a redirect leads to."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_network

import pytest

from providers.exceptions import ProviderError, ProviderUnavailableError
from providers.transports import deadlines
from providers.transports.addresses import BlockedAddressError, is_public
from providers.transports.http import HTTPTransport, Request, TransportLimits
from tests.fake_provider import FakeProvider, behaviours
from tests.providers.transport import PatientTransport

PUBLIC = ("8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")
PRIVATE = (
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104  # an address to refuse
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",  # cloud metadata
    "100.64.0.1",  # carrier-grade NAT
    "100.100.100.200",  # Alibaba's metadata
    "192.0.0.192",  # Oracle's metadata
    "198.18.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",  # AWS's metadata
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::127.0.0.1",  # IPv4-compatible, deprecated
    "64:ff9b::7f00:1",  # NAT64
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",  # NAT64 for local use
    "2002:7f00:1::",  # 6to4
    "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::",  # Teredo
)

Resolver = Callable[..., list[tuple[object, ...]]]


def answering_with(*addresses: str) -> Resolver:
    """Return a stand-in for getaddrinfo."""

    def resolve(host: str, port: int, *args: object, **kwargs: object) -> list[tuple[object, ...]]:
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in addresses
        ]

    return resolve


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Callable[[Resolver], None]:
    return lambda resolve: monkeypatch.setattr("providers.transports.guard.socket.getaddrinfo", resolve)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_reached(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_any_other_address_may_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0",
    ],
)
def test_no_spelling_of_loopback_gets_through(fake: FakeProvider, host: str) -> None:
    with pytest.raises(ProviderError) as caught:
        HTTPTransport().send(Request("GET", f"http://{host}:{fake.port}/openai/v1/files"))
    assert isinstance(caught.value, BlockedAddressError | ProviderUnavailableError)
    assert fake.requests == []


@pytest.mark.parametrize(
    "addresses", [["10.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"]]
)
def test_a_name_is_judged_by_all_its_addresses(
    fake: FakeProvider, resolver: Callable[[Resolver], None], addresses: list[str]
) -> None:
    resolver(answering_with(*addresses))
    with pytest.raises(BlockedAddressError) as caught:
        HTTPTransport().send(Request("GET", f"http://files.example:{fake.port}/"))
    assert caught.value.code == "private_upstream_refused"
    assert not caught.value.retryable
    assert fake.requests == []


def test_a_name_is_resolved_once_so_it_cannot_change_in_between(
    fake: FakeProvider, resolver: Callable[[Resolver], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the answer that was judged is the one that is connected to."""
    answers: Iterator[Resolver] = iter([answering_with("8.8.8.8"), answering_with("127.0.0.1")])
    connected: list[str] = []

    def resolve(host: str, port: int, *args: object, **kwargs: object) -> list[tuple[object, ...]]:
        return next(answers)(host, port)

    def connect(address: tuple[str, int], *args: object) -> socket.socket:
        connected.append(address[0])
        raise ConnectionRefusedError

    resolver(resolve)
    monkeypatch.setattr("providers.transports.guard.create_connection", connect)
    with pytest.raises(ProviderUnavailableError):
        HTTPTransport().send(Request("POST", f"https://rebinding.example:{fake.port}/"))
    assert connected == ["8.8.8.8"]


def test_a_name_with_many_silent_addresses_is_tried_until_the_deadline_of_the_call(
    resolver: Callable[[Resolver], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or whoever owns a name would hold the thread for a connect timeout of each of its addresses."""
    tried: list[float] = []

    def connect(address: tuple[str, int], timeout: float, *args: object) -> socket.socket:
        tried.append(timeout)
        if len(tried) == 3 and (deadline := deadlines.current()):
            deadline.end()
        raise TimeoutError

    resolver(answering_with(*(f"8.8.8.{host}" for host in range(1, 41))))
    monkeypatch.setattr("providers.transports.guard.create_connection", connect)
    with pytest.raises(ProviderUnavailableError), deadlines.cut_after(60):
        HTTPTransport().send(Request("POST", "https://silent.example/"))
    assert len(tried) == 3
    with pytest.raises(ProviderUnavailableError), deadlines.cut_after(0.5):
        HTTPTransport().send(Request("POST", "https://silent.example/"))
    assert all(timeout <= 0.5 for timeout in tried[3:])


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest/meta-data/", "http://[::1]/", "http://10.1/"]
)
def test_a_redirect_is_judged_too(fake: FakeProvider, target: str) -> None:
    """The fake is in a network that may be reached; what it redirects to is not."""
    fake.script({"times": None}, behaviours.redirect(target, 302))
    transport = HTTPTransport(TransportLimits(allow_private=(ip_network("127.0.0.1"),)))
    request = Request("GET", f"{fake.root}/openai/v1/files/a/content")
    first = transport.send(request)
    first.close()
    assert first.status == 302, "a redirect is followed only where it was asked for"
    with pytest.raises(BlockedAddressError):
        transport.send(replace(request, follow_redirects=True))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_origin_loses_the_credentials(fake: FakeProvider, status: int) -> None:
    headers = {
        "Authorization": "Bearer secret",
        "api-key": "secret",
        "X-Team": "secret",
        "Range": "bytes=0-1",
    }
    fake.script({"path": "^/a$"}, behaviours.redirect(f"{fake.storage_root}/b?signature=1", status))
    transport = PatientTransport(TransportLimits(allow_private=True))
    request = Request("GET", f"{fake.root}/a", headers, query={"key": "secret"}, follow_redirects=True)
    transport.send(request).close()
    first, second = fake.requests
    assert "secret" in str(first.headers) and "secret" in str(first.query)
    assert "secret" not in str(second.headers)
    assert second.query == {"signature": ["1"]}
    assert second.headers.get("Range") == "bytes=0-1"


def test_a_redirect_on_the_same_origin_keeps_them(fake: FakeProvider) -> None:
    fake.script({"path": "^/a$"}, behaviours.redirect("/b"))
    transport = PatientTransport(TransportLimits(allow_private=True))
    request = Request("GET", f"{fake.root}/a", {"api-key": "key"}, follow_redirects=True)
    transport.send(request).close()
    assert fake.requests[1].headers.get("api-key") == "key"


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://files.example/x",
        "//user:pass@127.0.0.1/x",
        "x:y",
        "http://[::1",
        "http://a:b/",
    ],
)
def test_a_redirect_to_something_else_is_refused(fake: FakeProvider, target: str) -> None:
    fake.script({}, behaviours.redirect(target))
    transport = PatientTransport(TransportLimits(allow_private=True))
    with pytest.raises(ProviderError):
        transport.send(Request("GET", f"{fake.root}/a", follow_redirects=True))


def test_redirects_come_to_an_end(fake: FakeProvider) -> None:
    fake.script({"times": None}, behaviours.redirect("/again", 302))
    transport = PatientTransport(TransportLimits(allow_private=True))
    answer = transport.send(Request("GET", f"{fake.root}/a", follow_redirects=True))
    answer.close()
    assert answer.status == 302
    assert len(fake.requests) == 4


def test_the_environment_names_no_proxy(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    transport = PatientTransport(TransportLimits(allow_private=True))
    answer = transport.send(Request("GET", f"{fake.root}/openai/v1/files"))
    answer.close()
    assert answer.status == 401
