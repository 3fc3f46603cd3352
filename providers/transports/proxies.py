"""Forward proxies between the gateway and its providers."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from providers.parsing import split_url
from providers.transports.addresses import Network, is_metadata

#: Where a host asks for its own credentials: behind a proxy, they would be the proxy's.
_METADATA_NAMES: Final = frozenset({"metadata.google.internal", "metadata"})


def proxy_refusal(target: str) -> str:
    """Return what is said of a proxy that did not connect to `target`; its URL may hold a password."""
    return f"The proxy did not connect to {target}: PROVIDER_PROXY names it, and it decides where to."


@dataclass(frozen=True, slots=True)
class Proxies:
    """What connects for us, as `http://[user:password@]host:port` by the scheme of the target.

    Empty connects directly. no_proxy: hosts, domains (`.corp.example`), addresses and networks, with commas
    between them, that are connected to directly all the same; `*` for all.
    """

    https: str = field(default="", repr=False)
    http: str = field(default="", repr=False)
    no_proxy: str = ""

    def proxy_for(self, url: str) -> str:
        """Return the proxy that connects to the host of `url`, empty where we do so ourselves."""
        if not self.https and not self.http:
            return ""
        parts = split_url(url)
        proxy = self.https if parts.scheme == "https" else self.http
        return "" if not proxy or self._is_direct(parts.hostname or "", parts.port) else proxy

    def by_scheme(self, url: str) -> dict[str, str]:
        """Return the proxy of `url` as requests and botocore take it; empty for none."""
        proxy = self.proxy_for(url)
        return {"http": proxy, "https": proxy} if proxy else {}

    def _is_direct(self, host: str, port: int | None) -> bool:
        words = [word.lower() for word in self.no_proxy.replace(",", " ").split()]
        if "*" in words or host in _METADATA_NAMES:
            return True
        try:
            ip = ipaddress.ip_address(host)
        except ValueError:
            names = host, f"{host}:{port}"
            return any(f".{name}".endswith(f".{word.lstrip('.')}") for name in names for word in words)
        return is_metadata(host) or any(ip in network for network in _networks(words))


def _networks(words: Iterable[str]) -> Iterator[Network]:
    """Yield those of the words that are an address or a network."""
    for word in words:
        with suppress(ValueError):
            yield ipaddress.ip_network(word.strip("[]"), strict=False)
