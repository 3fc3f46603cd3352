"""The certificate authorities that connections trust, read once for all of them.

urllib3 reads the bundle for each connection: 20 ms of CPU for the public ones, which every first request to a
provider would wait for, and memory of its own for each connection.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from functools import lru_cache

from urllib3.connection import HTTPSConnection
from urllib3.util.ssl_ import ALPN_PROTOCOLS, create_urllib3_context

_BUNDLES = 8


class TrustingConnection(HTTPSConnection):
    """Trusts its bundle, as that is by now, by way of the context that all connections share.

    One that verifies otherwise, or shows a certificate of its own, keeps its context to itself.
    """

    _bundle: str | None = None

    def connect(self) -> None:
        """Connect. Raises OSError also for a bundle that cannot be read."""
        if self.ca_certs and not self.cert_file and self.cert_reqs in {"CERT_REQUIRED", ssl.CERT_REQUIRED}:
            self._bundle, self.ca_certs = self.ca_certs, None
        if self._bundle:
            self.ssl_context = _context(self._bundle, os.stat(self._bundle).st_mtime_ns)
        super().connect()


@lru_cache(maxsize=_BUNDLES)
def _context(bundle: str, changed_at_ns: int) -> ssl.SSLContext:
    """Return a context that trusts a bundle as it is since `changed_at_ns`.

    OpenSSL lets threads share one that nobody changes. urllib3 says for each connection anew which protocol
    it speaks, which would free what another thread may be reading.
    """
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.load_verify_locations(bundle)
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    context.set_alpn_protocols = _said_before  # type: ignore[method-assign]
    return context


def _said_before(alpn_protocols: Iterable[str]) -> None:
    """Leave a context as it is."""
    if [*alpn_protocols] != ALPN_PROTOCOLS:
        raise ValueError(f"all connections speak {ALPN_PROTOCOLS}, and not {alpn_protocols}")
