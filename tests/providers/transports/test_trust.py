"""Connections trust what the operator named, and share it."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from urllib3.util.ssl_ import create_urllib3_context

from providers.exceptions import ProviderUnavailableError
from providers.transports.http import HTTPTransport, Request
from tests.authority import Authority
from tests.fake_provider import FakeProvider
from tests.providers.transport import LOOPBACK
from tests.relays import Relay


class Site:
    """A provider behind TLS, with a certificate for `localhost`."""

    def __init__(self, relay: Relay) -> None:
        self.url = f"https://localhost:{relay.port}/x"
        self.url_of_address = f"https://127.0.0.1:{relay.port}/x"


@pytest.fixture
def authorities(tmp_path: Path) -> tuple[Authority, Authority]:
    return Authority(tmp_path / "first"), Authority(tmp_path / "second")


@pytest.fixture
def sites(fake: FakeProvider, authorities: tuple[Authority, Authority]) -> Iterator[list[Site]]:
    port = urlsplit(fake.root).port or 0
    with ExitStack() as cleanup:
        yield [
            Site(cleanup.enter_context(Relay(port, tls=authority.server_context("localhost"))))
            for authority in authorities
        ]


def trusting(bundle: Path) -> HTTPTransport:
    return HTTPTransport(replace(LOOPBACK, ca_bundle=str(bundle)))


def noted(changes: list[ssl.SSLContext], change: Callable[..., None]) -> Callable[..., None]:
    """Return what changes a context and notes which."""

    def changed(context: ssl.SSLContext, *arguments: Any) -> None:
        changes.append(context)
        change(context, *arguments)

    return changed


def status_of(transport: HTTPTransport, url: str) -> int:
    """Ask on a connection of its own, and return the status."""
    answer = transport.send(Request("GET", url))
    answer.close()  # with its body unread
    return answer.status


def test_others_are_trusted_no_more_for_it(
    sites: list[Site], authorities: tuple[Authority, Authority]
) -> None:
    ours, theirs = sites
    transport = trusting(authorities[0].bundle)
    for _ in range(2):
        assert status_of(transport, ours.url) == 404
        for url in (theirs.url, ours.url_of_address):
            with pytest.raises(ProviderUnavailableError, match="TLS"):
                transport.send(Request("GET", url))


def test_a_bundle_is_read_once_for_all_connections(
    sites: list[Site], authorities: tuple[Authority, Authority], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is the context changed that they share: another thread may be reading it."""
    made: list[ssl.SSLContext] = []
    changes: list[ssl.SSLContext] = []

    def make(**options: Any) -> ssl.SSLContext:
        made.append(create_urllib3_context(**options))
        return made[-1]

    for name in ("set_alpn_protocols", "load_verify_locations"):
        monkeypatch.setattr(ssl.SSLContext, name, noted(changes, getattr(ssl.SSLContext, name)))

    for module in ("urllib3.connection", "providers.transports.trust"):
        monkeypatch.setattr(f"{module}.create_urllib3_context", make)
    for transport in (trusting(authorities[0].bundle), trusting(authorities[0].bundle)):
        for _ in range(2):
            assert status_of(transport, sites[0].url) == 404
    assert len(made) == 1
    assert [context for context in changes if context in made] == [*made, *made]


def test_a_bundle_that_changes_counts_from_the_next_connection(
    sites: list[Site], authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.pem"
    transport = trusting(bundle)
    for authority, trusted, other in zip(authorities, sites, reversed(sites), strict=True):
        shutil.copy(authority.bundle, bundle)
        assert status_of(transport, trusted.url) == 404
        with pytest.raises(ProviderUnavailableError, match="TLS"):
            transport.send(Request("GET", other.url))
