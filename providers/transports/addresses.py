"""Which addresses a connection to a provider may lead to, and which of them without TLS."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Final, TypeAlias

from providers.exceptions import ProviderError
from providers.parsing import split_url

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

#: The private networks that may be reached: none, every one, or these.
PrivateNetworks: TypeAlias = bool | tuple[Network, ...]

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_LOCAL_NAT64: Final = ipaddress.ip_network("64:ff9b:1::/48")
_IPV4_COMPATIBLE: Final = ipaddress.ip_network("::/96")
_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")
_IETF_ASSIGNMENTS: Final = ipaddress.ip_network("192.0.0.0/24")

#: Where clouds hand credentials to whoever asks from the host. Nobody keeps files there.
_METADATA: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "169.254.0.0/16",  # link-local: AWS, Azure, Google and most others
            "fe80::/10",  # link-local
            "fd00:ec2::/32",  # AWS
            "fd20:ce::/32",  # Google
            "100.100.100.200/32",  # Alibaba
            "168.63.129.16/32",  # Azure's host, an address that looks public
            "192.0.0.192/32",  # Oracle
        ),
    )
)

_LOOPBACK_NAME: Final = re.compile(r"(.+\.)?localhost", re.IGNORECASE)


class BlockedAddressError(ProviderError):
    """The provider's host name leads to an address that this account may not reach."""


def is_public(address: str) -> bool:
    """Whether `address` (IPv4 or IPv6, as text) is reachable on the public internet."""
    ip = _meant(_parsed(address))
    # `is_global` alone lets through what older versions of Python have no entry for.
    is_assigned = ip in _GLOBAL_UNICAST if ip.version == 6 else ip not in _IETF_ASSIGNMENTS
    return ip.is_global and not ip.is_multicast and is_assigned and not is_metadata(address)


def is_metadata(address: str) -> bool:
    """Whether `address` is link-local or that of a cloud's metadata, in any spelling that leads there."""
    return any(ip in network for ip in _readings(_parsed(address)) for network in _METADATA)


def addresses_of(host: str, port: int | None = None, *, flags: int = 0) -> list[str]:
    """Return what a name leads to now. Raises socket.gaierror, also for what cannot be a name.

    flags: those of getaddrinfo. AI_NUMERICHOST asks nobody, and reads addresses alone (also `127.1`).
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as exc:
        raise socket.gaierror(str(exc)) from exc
    return [str(info[4][0]) for info in found]


def check_addresses(
    host: str, addresses: Collection[str], *, allow_private: PrivateNetworks, is_encrypted: bool
) -> None:
    """Raise BlockedAddressError unless each of a host's addresses may be connected to.

    Private ones only in the networks that are allowed, metadata never, and without TLS only what is allowed
    as private: `True` allows plain HTTP everywhere.
    """
    if any(map(is_metadata, addresses)):
        raise BlockedAddressError(
            f"The host {host} has a link-local or metadata address, which no provider account may reach, "
            "whatever ALLOW_PRIVATE_UPSTREAMS says.",
            code="private_upstream_refused",
        )
    if not all(is_public(each) or _is_allowed(each, allow_private) for each in addresses):
        raise BlockedAddressError(
            f"The host {host} is not on the public internet. Only an operator's account may lead there, and "
            "only into the networks of ALLOW_PRIVATE_UPSTREAMS.",
            code="private_upstream_refused",
        )
    may_be_plain = bool(allow_private) and all(_is_allowed(each, allow_private) for each in addresses)
    if not (is_encrypted or may_be_plain):
        raise BlockedAddressError(
            f"The host {host} must be reached over https://: credentials and files would cross the internet "
            "in clear. ALLOW_PRIVATE_UPSTREAMS=true lets an operator's account use http://.",
            code="plain_http_refused",
        )


def check_url(url: str, *, allow_private: PrivateNetworks) -> None:
    """Raise BlockedAddressError unless the host of `url`, as it resolves now, may be connected to."""
    parts = split_url(url)
    host = parts.hostname or ""
    try:
        addresses = addresses_of(host, parts.port)
    except socket.gaierror:  # it may be there later
        addresses = []
    is_encrypted = parts.scheme == "https"
    check_addresses(host, addresses, allow_private=allow_private, is_encrypted=is_encrypted)


def check_literal(url: str, *, allow_private: PrivateNetworks) -> None:
    """Raise BlockedAddressError for a `url` that no connection may reach, as far as it says so itself.

    Its name is not resolved: a proxy does that, and what it finds may differ.
    """
    parts = split_url(url)
    host = parts.hostname or ""
    bare = host.rstrip(".")
    addresses = ["127.0.0.1"] if _LOOPBACK_NAME.fullmatch(bare) else []
    with suppress(socket.gaierror):  # which it is for a name
        addresses += addresses_of(bare, flags=socket.AI_NUMERICHOST)
    is_encrypted = parts.scheme == "https"
    check_addresses(host, addresses, allow_private=allow_private, is_encrypted=is_encrypted)


def _is_allowed(address: str, allow_private: PrivateNetworks) -> bool:
    if isinstance(allow_private, bool):
        return allow_private
    ip = _meant(_parsed(address))
    return any(ip in network for network in allow_private)


def _parsed(address: str) -> Address:
    return ipaddress.ip_address(address.partition("%")[0])


def _meant(ip: Address) -> Address:
    """Return the IPv4 address behind an IPv6 one that routers translate, else the address itself."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return _low_bits(ip)
    return ip.ipv4_mapped or ip.sixtofour or ip


def _readings(ip: Address) -> Iterator[Address]:
    """Yield an address and every IPv4 address that it may stand for."""
    yield ip
    if isinstance(ip, ipaddress.IPv6Address):
        yield _meant(ip)
        if ip in _LOCAL_NAT64 or ip in _IPV4_COMPATIBLE:
            yield _low_bits(ip)
        yield from ip.teredo or ()


def _low_bits(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
