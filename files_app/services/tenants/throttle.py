"""Rate limits: wrong keys and sign-ins by address; requests, bytes and uploads by key and organization.

Where THROTTLE_STORAGE_URL names a Redis, everything is counted there. Else what is rare is counted in
PostgreSQL; requests and bytes, and with SQLite all, are counted in each process and settled every second.
How many uploads run is in the index itself (`services.uploads.running`).
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from django.conf import settings
from django.db import connection

from files_app.exceptions import NoPlaceError, TooManyRequestsError
from files_app.observability import context
from files_app.services.index.callers import Caller
from files_app.services.index.limits import Limit
from files_app.services.tenants.counting.counts import Counts, Demand, Standing
from files_app.services.tenants.counting.database import DatabaseCounts
from files_app.services.tenants.counting.local import LocalCounts
from files_app.services.tenants.counting.settling import SettledCounts

_BUSY_SECONDS = 5.0
_MOST_REFUSALS = 10_000
_ANY = 2**53
WHO = {"key": "This API key", "organization": "The organization"}

_lock = threading.Lock()
_running: Counter[tuple[int, int | None]] = Counter()
_local = LocalCounts()
_settled = SettledCounts(_local)
_refused_until: dict[Limit, float] = {}


def forget_counts() -> None:
    """Begin anew, with the settings of now."""
    _redis.cache_clear()
    _local.forget()
    _refused_until.clear()


def settle() -> None:
    """Settle the counts of this process now, instead of within the next second."""
    _settled.settle()


# -- addresses -----------------------------------------------------------------------------------------------


def count_wrong_key(address: str) -> None:
    """Count a request with a wrong key. Raises TooManyRequestsError when an address tries too many.

    Good keys of the same address keep working: several clients may share it.
    """
    _count_address("wrong-key", settings.WRONG_KEYS_PER_MINUTE, address, "requests with a wrong API key")


def count_sign_in(address: str) -> None:
    """Count a password that staff sent. Raises TooManyRequestsError when an address sends too many.

    The lock of a name after wrong passwords does not help here: each try costs a third of a second of a core,
    whatever the name.
    """
    _count_address("sign-in", settings.SIGN_INS_PER_MINUTE, address, "sign-ins")


def _count_address(kind: str, most: int, address: str, what: str) -> None:
    if not most:
        return
    limit = Limit("address", f"{{{_one_client(address)}}}:{kind}", most)
    (found,) = _take([Demand(limit)], is_exact=True)
    if found.is_refused:
        raise TooManyRequestsError(
            f"Too many {what} came from this address. Try again in {_seconds(found)}.",
            retry_after_seconds=found.seconds,
        )


def _one_client(address: str) -> str:
    """Return what is counted as one client: with IPv6 the /64, of which each has all addresses."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip.packed, 64), strict=False))


# -- keys and organizations ----------------------------------------------------------------------------------


def count_request(caller: Caller) -> None:
    """Count a request of a good key. Raises TooManyRequestsError.

    The answer tells how the limit stands that ends first, in the headers that OpenAI has for it.
    """
    if not caller.limits.requests:
        return
    standings = _take([Demand(limit) for limit in caller.limits.requests], is_exact=False)
    tightest = min(standings, key=lambda each: (not each.is_refused, each.left))
    context.promise(
        x_ratelimit_limit_requests=str(tightest.limit.most),
        x_ratelimit_remaining_requests=str(tightest.left),
        x_ratelimit_reset_requests=duration(tightest.seconds),
    )
    _refuse_first(standings, "send {most:,} requests a minute")


def count_upload(caller: Caller, length: int | None = None) -> None:
    """Count an upload that begins. Raises TooManyRequestsError.

    length: of its body in bytes; None where nobody knows it yet, which `add_bytes` makes good at its end.
    """
    if caller.limits.uploads:
        standings = _take([Demand(limit) for limit in caller.limits.uploads], is_exact=True)
        _refuse_first(standings, "begin {most:,} uploads a minute")
    count_bytes(caller, 1 if length is None else length)


def count_bytes(caller: Caller, size: int) -> None:
    """Count bytes that are about to come or to go. Raises TooManyRequestsError."""
    if caller.limits.bytes:
        standings = _take([Demand(limit, max(1, size)) for limit in caller.limits.bytes], is_exact=False)
        _refuse_first(standings, "transfer {most:,} bytes a minute")


def add_bytes(caller: Caller, size: int) -> None:
    """Count bytes that have come already: they are not refused, but what follows may be."""
    if caller.limits.bytes:
        _take([Demand(limit._replace(most=_ANY), size) for limit in caller.limits.bytes], is_exact=False)


@contextmanager
def upload_slot(caller: Caller) -> Iterator[None]:
    """Hold one of the places for uploads of a key and its organization, as far as this process knows.

    That costs no question. `services.uploads.running` asks the index, which knows of all processes, but of a
    small upload only when its body is there. Raises NoPlaceError.
    """
    taken = [_holder(caller, limit) for limit in caller.limits.uploads_at_once]
    with _lock:
        for limit, holder in zip(caller.limits.uploads_at_once, taken, strict=True):
            if _running[holder] >= limit.most:
                raise no_place(limit.holder, limit.most)
        _running.update(taken)
    try:
        yield
    finally:
        with _lock:
            _running.subtract(taken)
            for holder in taken:
                if not _running[holder]:
                    del _running[holder]


def _holder(caller: Caller, limit: Limit) -> tuple[int, int | None]:
    return caller.organization_id, caller.api_key_id if limit.holder == "key" else None


def no_place(holder: str, most: int) -> NoPlaceError:
    """Return the error for an upload that is one too many."""
    return NoPlaceError(
        f"{WHO[holder]} has as many uploads running as it may ({most:,}). Send this one when one of them "
        "is done.",
        retry_after_seconds=_BUSY_SECONDS,
    )


def duration(seconds: float) -> str:
    """Return a time as OpenAI's headers have it: `120ms`, `7.5s`, `1m0s`."""
    milliseconds = max(0, math.ceil(seconds * 1000))
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"


def _refuse_first(standings: Sequence[Standing], words: str) -> None:
    """Raise TooManyRequestsError for the limit that is over, if one is. words: of what `most` may be done."""
    refused = [each for each in standings if each.is_refused]
    if refused:
        found = max(refused, key=lambda each: each.seconds)
        what = words.format(most=found.limit.most)
        raise TooManyRequestsError(
            f"{WHO[found.limit.holder]} may {what}. Send this request again in {_seconds(found)}.",
            retry_after_seconds=found.seconds,
        )


def _seconds(found: Standing) -> str:
    number = max(1, math.ceil(found.seconds))
    return "a second" if number == 1 else f"{number} seconds"


# -- where ---------------------------------------------------------------------------------------------------


def _take(demands: Sequence[Demand], *, is_exact: bool) -> list[Standing]:
    """Count, or answer from memory where a limit is known to be over: a flood costs no question."""
    now = time.monotonic()
    known = [
        Standing(demand.limit, 0, _refused_until[demand.limit] - now, is_refused=True)
        for demand in demands
        if demand.amount == 1 and _refused_until.get(demand.limit, 0.0) > now
    ]
    if known:
        return known
    standings = _counts(is_exact=is_exact).take(demands)
    for demand, found in zip(demands, standings, strict=True):
        if found.is_refused and demand.amount == 1:
            if len(_refused_until) >= _MOST_REFUSALS:
                _refused_until.clear()
            _refused_until[demand.limit] = now + found.seconds
    return standings


def _counts(*, is_exact: bool) -> Counts:
    url = settings.THROTTLE_STORAGE_URL
    if url.startswith("memory:"):
        return _local
    if not url.startswith("database:"):
        return _redis(url)
    return _DATABASE if is_exact and connection.vendor == "postgresql" else _settled


_DATABASE = DatabaseCounts()


@cache
def _redis(url: str) -> Counts:
    from files_app.services.tenants.counting.redis import RedisCounts  # here: most do without Redis

    return RedisCounts(url, fallback=_local)
