"""Opens a connection to a provider's host without sending it anything: for connection tests."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
from typing import Final
from urllib.parse import SplitResult, unquote

import certifi

from providers.exceptions import ProviderError, ProviderUnavailableError
from providers.parsing import split_url
from providers.transports.addresses import addresses_of, check_addresses, check_literal
from providers.transports.http import TransportLimits

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
#: OpenSSL's numbers for a certificate that leads to no authority that is trusted.
_UNKNOWN_ISSUER: Final = frozenset({18, 19, 20, 21})


def reach(url: str, limits: TransportLimits) -> str:
    """Connect to the host of `url` as calls do, and return what was found. Raises ProviderError.

    As calls do: to the first address that answers or through the proxy, trusting the same authorities.
    """
    target = split_url(url)
    host, port = target.hostname or "", _port(target)
    is_tls = target.scheme == "https"
    where, connection = _connected(url, target, limits)
    with connection:
        if not is_tls:
            return f"{where}, not encrypted"
        try:
            context = ssl.create_default_context(cafile=limits.ca_bundle or certifi.where())
            with context.wrap_socket(connection, server_hostname=host) as encrypted:
                return f"{where}, {encrypted.version()}"
        except ssl.SSLCertVerificationError as exc:
            hint = " CA_BUNDLE names the authorities to trust." if exc.verify_code in _UNKNOWN_ISSUER else ""
            message = exc.verify_message.rstrip(".")
            raise ProviderUnavailableError(
                f"The certificate of {host} is not valid: {message}.{hint}"
            ) from exc
        except OSError as exc:
            raise _error(exc, host, port, limits) from exc


def _connected(url: str, target: SplitResult, limits: TransportLimits) -> tuple[str, socket.socket]:
    """Return where a connection leads, in words, and the connection."""
    host, port = target.hostname or "", _port(target)
    if proxy := limits.proxies.proxy_for(url):
        check_literal(url, allow_private=limits.allow_private)
        through = split_url(proxy)
        return (
            f"{host} port {port} through the proxy {through.hostname} port {_port(through)}",
            _through(through, target, limits),
        )
    try:
        addresses = addresses_of(host, port)
    except socket.gaierror as exc:
        raise ProviderUnavailableError(f"The name {host} cannot be resolved. Is it spelled right?") from exc
    is_tls = target.scheme == "https"
    check_addresses(host, addresses, allow_private=limits.allow_private, is_encrypted=is_tls)
    address, connection = _first(addresses, host, port, limits)
    return f"{host} ({address}) port {port}", connection


def _first(addresses: list[str], host: str, port: int, limits: TransportLimits) -> tuple[str, socket.socket]:
    failure: OSError = OSError("no address")
    for address in addresses:
        try:
            return address, socket.create_connection((address, port), limits.connect_timeout_seconds)
        except OSError as exc:  # the next one may do
            failure = exc
    raise _error(failure, host, port, limits) from failure


def _through(proxy: SplitResult, target: SplitResult, limits: TransportLimits) -> socket.socket:
    """Return a connection to the proxy, which for TLS has connected to the target."""
    host, port = proxy.hostname or "", _port(proxy)
    connection = http.client.HTTPConnection(host, port, timeout=limits.connect_timeout_seconds)
    if target.scheme == "https":
        connection.set_tunnel(target.hostname or "", _port(target), _authorization(proxy))
    try:
        connection.connect()
    except (OSError, http.client.HTTPException) as exc:
        raise ProviderUnavailableError(
            f"The proxy {host} port {port} of PROVIDER_PROXY did not connect to {target.hostname}: "
            f"{_reason(exc)}."
        ) from exc
    return connection.sock


def _authorization(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}


def _error(exc: OSError, host: str, port: int, limits: TransportLimits) -> ProviderError:
    if isinstance(exc, TimeoutError):
        return ProviderUnavailableError(
            f"{host} port {port} did not answer in {limits.connect_timeout_seconds:g} s."
        )
    return ProviderUnavailableError(f"Cannot connect to {host} port {port}: {_reason(exc)}.")


def _reason(exc: Exception) -> str:
    """Return why a connection failed; a proxy's own refusal has no number, only words."""
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__


def _port(parts: SplitResult) -> int:
    return parts.port or _DEFAULT_PORTS.get(parts.scheme, 443)
