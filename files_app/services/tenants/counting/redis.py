"""Counts in Redis, by its clock. While it is away, each process counts for itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import structlog
from limits.errors import ConfigurationError
from limits.storage import storage_from_string
from redis.exceptions import RedisError

from files_app.services.tenants.counting.counts import WINDOW_SECONDS, Counts, Demand, Standing, standing

log = structlog.get_logger(__name__)

_PREFIX = "files-gateway:"
#: How long nobody asks a Redis that did not answer: each request would wait for it again.
_LEFT_ALONE_SECONDS = 2.0
_TIMEOUTS = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}

#: ARGV: length of the window in ms, then amount and limit for each key. Returns for each key the count before
#: and the milliseconds that are left.
_TAKE = """
local found, refused = {}, false
for i, key in ipairs(KEYS) do
    local before = tonumber(redis.call('GET', key) or '0')
    local amount, most = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
    if before > 0 and before + amount > most then refused = true end
    found[2 * i - 1] = before
end
for i, key in ipairs(KEYS) do
    if not refused then redis.call('INCRBY', key, ARGV[2 * i]) end
    local left = redis.call('PTTL', key)
    if left < 0 then
        if not refused then redis.call('PEXPIRE', key, ARGV[1]) end
        left = tonumber(ARGV[1])
    end
    found[2 * i] = left
end
return found
"""


class RedisCounts:
    """Each count is one round trip: exact for all processes."""

    def __init__(self, url: str, fallback: Counts) -> None:
        self._url = url
        self._fallback = fallback
        self._lock = threading.Lock()
        self._script: Any = None
        self._left_alone_until = 0.0
        self._is_away = False

    def take(self, demands: Sequence[Demand]) -> list[Standing]:
        """Count all demands, or none where one of them is refused; return how each limit stands."""
        if time.monotonic() < self._left_alone_until:
            return self._fallback.take(demands)
        keys = [_PREFIX + demand.limit.name for demand in demands]
        numbers = [number for demand in demands for number in (demand.amount, demand.limit.most)]
        try:
            found = self._connected()(keys=keys, args=[WINDOW_SECONDS * 1000, *numbers])
        except (RedisError, ConfigurationError, OSError) as exc:
            self._note_away(exc)
            return self._fallback.take(demands)
        self._note_back()
        return [
            standing(demand, before=int(before), seconds=int(left) / 1000)
            for demand, before, left in zip(demands, found[::2], found[1::2], strict=True)
        ]

    def _connected(self) -> Any:
        """Return the script on a client of whatever kind of Redis the URL names; some connect for that."""
        if self._script is None:
            storage: Any = storage_from_string(self._url, **_TIMEOUTS)
            self._script = storage.storage.register_script(_TAKE)
        return self._script

    def _note_away(self, exc: Exception) -> None:
        with self._lock:
            was_away, self._is_away = self._is_away, True
            self._left_alone_until = time.monotonic() + _LEFT_ALONE_SECONDS
        if not was_away:
            log.warning("throttle_storage_failed", error=type(exc).__name__)

    def _note_back(self) -> None:
        if self._is_away:
            self._is_away = False
            log.info("throttle_storage_back")
