"""Opens a connection to a provider's host without sending anything: for connection tests."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from providers.exceptions import ProviderUnavailableError
from providers.transports.guard import BlockedAddressError, is_public


def reach(url: str, *, allow_private: bool, timeout_seconds: float) -> str:
    """Connect to the host of `url` and return what was found. Raises ProviderError."""
    parts = urlsplit(url)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    address = _resolve(host, port, allow_private=allow_private)
    try:
        with socket.create_connection((address, port), timeout=timeout_seconds) as connection:
            if not is_tls:
                return f"{host} ({address}) port {port}, not encrypted"
            with ssl.create_default_context().wrap_socket(connection, server_hostname=host) as encrypted:
                return f"{host} ({address}) port {port}, {encrypted.version()}"
    except ssl.SSLCertVerificationError as exc:
        raise ProviderUnavailableError(
            f"The certificate of {host} is not valid: {exc.verify_message}."
        ) from exc
    except TimeoutError as exc:
        raise ProviderUnavailableError(
            f"{host} port {port} did not answer in {timeout_seconds:g} s."
        ) from exc
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise ProviderUnavailableError(f"Cannot connect to {host} port {port}: {reason}.") from exc


def _resolve(host: str, port: int, *, allow_private: bool) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as exc:
        raise ProviderUnavailableError(f"The name {host} cannot be resolved. Is it spelled right?") from exc
    addresses = [str(info[4][0]) for info in found]
    if not allow_private and not all(map(is_public, addresses)):
        raise BlockedAddressError(
            f"{host} has an address that is not public: ALLOW_PRIVATE_UPSTREAMS is off."
        )
    return addresses[0]
