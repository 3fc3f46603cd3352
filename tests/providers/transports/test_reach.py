"""The network step of a connection test connects as the calls do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from providers.exceptions import ProviderUnavailableError
from providers.transports.proxies import Proxies
from providers.transports.reach import reach
from tests.authority import Authority
from tests.providers.transport import LOOPBACK
from tests.relays import ForwardProxy, Relay


@pytest.fixture
def target() -> Iterator[int]:
    """A port that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_an_address_of_ipv6_is_reached(target: int) -> None:
    with Relay(target, host="::1") as relay:
        assert reach(f"http://[::1]:{relay.port}/v1", LOOPBACK).startswith("::1 (::1)")


def test_each_address_of_a_name_is_tried(target: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = socket.getaddrinfo

    def resolve(host: str, *args: Any, **kwargs: Any) -> list[Any]:
        addresses = ("::1", "127.0.0.1") if host == "both.example" else (host,)
        return [found for each in addresses for found in resolved(each, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert "(127.0.0.1)" in reach(f"http://both.example:{target}/v1", LOOPBACK)


def test_a_private_authority_is_trusted_by_its_bundle_alone(target: int, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    trusting = replace(LOOPBACK, ca_bundle=str(authority.bundle))
    with Relay(target, tls=authority.server_context("localhost")) as relay:
        with pytest.raises(ProviderUnavailableError, match=r"unable to get local issuer.*CA_BUNDLE"):
            reach(f"https://localhost:{relay.port}/v1", LOOPBACK)
        assert "TLSv1.3" in reach(f"https://localhost:{relay.port}/v1", trusting)
        with pytest.raises(ProviderUnavailableError, match=r"(?i)mismatch") as caught:
            reach(f"https://127.0.0.1:{relay.port}/v1", trusting)
        assert "CA_BUNDLE" not in caught.value.message


def test_a_proxy_connects_and_its_refusal_is_told(tmp_path: Path, target: int) -> None:
    authority = Authority(tmp_path)
    with (
        Relay(target, tls=authority.server_context("provider.example")) as relay,
        ForwardProxy({"provider.example": relay.port}, user="us:pa%40ss") as proxy,
    ):
        limits = replace(LOOPBACK, ca_bundle=str(authority.bundle), proxies=Proxies(https=proxy.url))
        assert "through the proxy" in reach("https://provider.example/v1", limits)
        with pytest.raises(ProviderUnavailableError, match="403"):
            reach("https://other.example/v1", limits)
        wrong = replace(limits, proxies=Proxies(https=proxy.url.replace("us:", "them:")))
        with pytest.raises(ProviderUnavailableError, match="407") as caught:
            reach("https://provider.example/v1", wrong)
    assert "pa%40ss" not in caught.value.message
