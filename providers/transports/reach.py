"""Opens a connection to a provider's host without sending anything: for connection tests."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from providers.exceptions import ProviderUnavailableError
from providers.transports.addresses import PrivateNetworks, addresses_of, check_addresses


def reach(url: str, *, allow_private: PrivateNetworks, timeout_seconds: float) -> str:
    """Connect to the host of `url` and return what was found. Raises ProviderError."""
    parts = urlsplit(url)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    try:
        addresses = addresses_of(host, port)
    except socket.gaierror as exc:
        raise ProviderUnavailableError(f"The name {host} cannot be resolved. Is it spelled right?") from exc
    check_addresses(host, addresses, allow_private=allow_private, is_encrypted=is_tls)
    address = addresses[0]
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
