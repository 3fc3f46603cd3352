"""Sends over guarded connections that are kept for each origin, through the proxy where it has one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

import certifi
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, PoolManager, ProxyManager, Timeout
from urllib3.util import make_headers

from providers.parsing import split_url
from providers.transports.addresses import PrivateNetworks, check_literal
from providers.transports.guard import pool_classes
from providers.transports.proxies import Proxies

_ORIGINS: Final = 32
_CONNECTIONS_EACH: Final = 64


class GuardedPools:
    """Pools of guarded connections: the part of requests that is needed here, without its sessions.

    ca_bundle: see TransportLimits.
    """

    def __init__(
        self,
        *,
        allow_private: PrivateNetworks,
        write_timeout_seconds: float,
        proxies: Proxies,
        ca_bundle: str | None,
    ) -> None:
        self._allow_private = allow_private
        self._proxies = proxies
        self._classes = pool_classes(allow_private, write_timeout_seconds)
        # The operator chose the proxy, which is most often inside.
        self._classes_of_proxies = pool_classes(True, write_timeout_seconds)
        self._options: dict[str, Any] = {
            "num_pools": _ORIGINS,
            "maxsize": _CONNECTIONS_EACH,
            "cert_reqs": "CERT_REQUIRED",
            "ca_certs": ca_bundle or certifi.where(),
        }
        # To ask urllib3 for the pool of an origin takes as long as to send a small request over it.
        self._pool = lru_cache(maxsize=_ORIGINS)(self._found_pool)
        self._manager = lru_cache(maxsize=None)(self._new_manager)

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Any, *, timeout: Timeout, chunked: bool
    ) -> BaseHTTPResponse:
        """Send and return the answer with its body unread, whatever its status. Nothing is sent twice.

        Raises what urllib3 and the body do, and BlockedAddressError.
        """
        parts = split_url(url)
        proxy = self._proxies.proxy_for(url)
        if proxy:
            check_literal(url, allow_private=self._allow_private)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return self._pool(parts.scheme, parts.hostname, parts.port, proxy).urlopen(
            method,
            url if proxy and parts.scheme == "http" else target,
            body,
            headers,
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=timeout,
            chunked=chunked,
            preload_content=False,
            decode_content=False,
        )

    def _found_pool(self, scheme: str, host: str | None, port: int | None, proxy: str) -> HTTPConnectionPool:
        return self._manager(proxy).connection_from_host(host, port, scheme)

    def _new_manager(self, proxy: str) -> PoolManager:
        if not proxy:
            manager = PoolManager(**self._options)
            manager.pool_classes_by_scheme = self._classes
            return manager
        manager = ProxyManager(proxy, proxy_headers=_proxy_headers(proxy), **self._options)
        manager.pool_classes_by_scheme = self._classes_of_proxies
        return manager


def _proxy_headers(proxy: str) -> Mapping[str, str]:
    """Return what tells the proxy who we are, where its URL does."""
    parts = split_url(proxy)
    if not parts.username:
        return {}
    return make_headers(proxy_basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}")
