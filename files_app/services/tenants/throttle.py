"""Rate limits: wrong keys and sign-ins by address, uploads by organization, and running uploads by key.

Counted in Redis where THROTTLE_STORAGE_URL names one, so that all processes share the numbers; else in each
process on its own, where the limits hold for each of them. A storage that fails lets requests pass: the
limits guard against load, not against access.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import structlog
from django.conf import settings
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from files_app.exceptions import NoPlaceError, TooManyRequestsError
from files_app.services.index.callers import Caller

log = structlog.get_logger(__name__)

_WINDOW_SECONDS = 60.0
_BUSY_SECONDS = 5.0

_lock = threading.Lock()
_running: Counter[tuple[int, int | None]] = Counter()


@cache
def _limiter() -> FixedWindowRateLimiter:
    url = settings.THROTTLE_STORAGE_URL
    options = {} if url.startswith("memory") else {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
    return FixedWindowRateLimiter(storage_from_string(url, wrap_exceptions=True, **options))


def forget_counts() -> None:
    """Begin anew, with the settings of now."""
    _limiter.cache_clear()


def count_wrong_key(address: str) -> None:
    """Count a request with a wrong key. Raises TooManyRequestsError when an address tries too many.

    Good keys of the same address keep working: several clients may share it.
    """
    if not _take(settings.WRONG_KEYS_PER_MINUTE, "wrong-key", _one_client(address)):
        raise TooManyRequestsError(
            "Too many requests with a wrong API key came from this address. Try again in a minute.",
            retry_after_seconds=_WINDOW_SECONDS,
        )


def count_sign_in(address: str) -> None:
    """Count a password that staff sent. Raises TooManyRequestsError when an address sends too many.

    The lock of a name after wrong passwords does not help here: each try costs a third of a second of a core,
    whatever the name.
    """
    if not _take(settings.SIGN_INS_PER_MINUTE, "sign-in", _one_client(address)):
        raise TooManyRequestsError(
            "Too many sign-ins came from this address. Try again in a minute.",
            retry_after_seconds=_WINDOW_SECONDS,
        )


def count_upload(organization_id: int) -> None:
    """Count an upload. Raises TooManyRequestsError when the organization begins too many a minute."""
    limit = settings.UPLOADS_PER_MINUTE
    if not _take(limit, "upload", str(organization_id)):
        raise TooManyRequestsError(
            f"The organization began more than {limit:,} uploads within a minute. Try again shortly.",
            retry_after_seconds=_WINDOW_SECONDS,
        )


@contextmanager
def upload_slot(caller: Caller) -> Iterator[None]:
    """Hold one of the places for running uploads that a key has in this process.

    What it guards are the process's threads: each upload keeps one busy, however slowly its body comes.
    Raises NoPlaceError.
    """
    key = (caller.organization_id, caller.api_key_id)
    with _lock:
        if settings.UPLOADS_AT_ONCE and _running[key] >= settings.UPLOADS_AT_ONCE:
            raise NoPlaceError(
                f"This API key has {settings.UPLOADS_AT_ONCE:,} uploads running. Send this one when "
                "one of them is done.",
                retry_after_seconds=_BUSY_SECONDS,
            )
        _running[key] += 1
    try:
        yield
    finally:
        with _lock:
            _running[key] -= 1
            if not _running[key]:
                del _running[key]


def _one_client(address: str) -> str:
    """Return what is counted as one client: with IPv6 the /64, of which each has all addresses."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip.packed, 64), strict=False))


def _take(limit: int, *key: str) -> bool:
    """Count one more; False when that is more than `limit` a minute. A limit of 0 is none."""
    if not limit:
        return True
    try:
        return _limiter().hit(RateLimitItemPerMinute(limit, namespace="files-gateway"), *key)
    except StorageError as exc:
        log.warning("throttle_storage_failed", error=type(exc.storage_error).__name__)
        return True
