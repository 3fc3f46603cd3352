"""What an account may connect to: metadata never, private networks and plain HTTP as they are allowed."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

import pytest

from providers.transports.addresses import (
    BlockedAddressError,
    PrivateNetworks,
    check_addresses,
    check_url,
    is_metadata,
)
from providers.transports.http import HTTPTransport, Request, TransportLimits
from tests.providers.transports.test_guard import Resolver, answering_with, resolver

__all__ = ["resolver"]

METADATA = (
    "169.254.169.254",
    "169.254.170.2",  # containers of AWS
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::a9fe:a9fe",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "100.100.100.200",
    "::ffff:100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",  # looks public
)
OURS: PrivateNetworks = (ip_network("10.1.0.0/16"), ip_network("fd12::/16"))


@pytest.mark.parametrize("address", METADATA)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_metadata_is_out_of_reach_even_where_private_networks_are_allowed(
    resolver: Callable[[Resolver], None], address: str, scheme: str
) -> None:
    assert is_metadata(address)
    resolver(answering_with(address))
    transport = HTTPTransport(TransportLimits(allow_private=True, connect_timeout_seconds=0.01))
    with pytest.raises(BlockedAddressError, match="metadata"):
        transport.send(Request("GET", f"{scheme}://files.example:1/"))


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "169.253.255.255", "fd00:ec1::254", "100.100.100.201", "8.8.8.8"]
)
def test_other_addresses_are_not_taken_for_metadata(address: str) -> None:
    assert not is_metadata(address)


@pytest.mark.parametrize(
    ("address", "scheme", "allow_private", "refusal"),
    [
        ("8.8.8.8", "https", False, None),
        ("8.8.8.8", "https", OURS, None),
        ("8.8.8.8", "http", False, "plain_http_refused"),
        ("8.8.8.8", "http", OURS, "plain_http_refused"),
        ("8.8.8.8", "http", True, None),
        ("10.1.2.3", "https", False, "private_upstream_refused"),
        ("10.1.2.3", "http", False, "private_upstream_refused"),
        ("10.1.2.3", "https", OURS, None),
        ("10.1.2.3", "http", OURS, None),
        ("::ffff:10.1.2.3", "http", OURS, None),
        ("fd12::1", "http", OURS, None),
        ("10.2.0.1", "https", OURS, "private_upstream_refused"),
        ("127.0.0.1", "http", OURS, "private_upstream_refused"),
        ("::1", "https", OURS, "private_upstream_refused"),
        ("10.2.0.1", "http", True, None),
    ],
)
def test_private_networks_and_plain_http_are_what_was_allowed(
    address: str, scheme: str, allow_private: PrivateNetworks, refusal: str | None
) -> None:
    code = None
    try:
        check_addresses("h", [address], allow_private=allow_private, is_encrypted=scheme == "https")
    except BlockedAddressError as exc:
        code = exc.code
    assert code == refusal


def test_plain_http_is_refused_on_the_address_that_is_connected_to(
    resolver: Callable[[Resolver], None],
) -> None:
    resolver(answering_with("8.8.8.8"))
    with pytest.raises(BlockedAddressError) as caught:
        HTTPTransport().send(Request("GET", "http://files.example/"))
    assert caught.value.code == "plain_http_refused"


def test_a_name_that_leads_nowhere_yet_may_be_saved_unless_it_can_never_be_reached(
    resolver: Callable[[Resolver], None],
) -> None:
    check_url("https://not-there.invalid/v1", allow_private=False)
    check_url("http://not-there.invalid/v1", allow_private=OURS)
    with pytest.raises(BlockedAddressError):
        check_url("http://not-there.invalid/v1", allow_private=False)
