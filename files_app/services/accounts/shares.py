"""Who holds how many of this process's threads while bytes move or a provider is waited for.

A provider that hangs, or a client that takes its time, holds a thread for as long as it likes. So a key, a
provider account and an organization each get a share of WEB_THREADS, and all of them together leave some for
requests that the index alone answers. Counted in each process on its own: threads are.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple, Self

from django.conf import settings

from files_app.exceptions import OverloadedError
from files_app.models import ProviderAccount
from files_app.observability import metrics
from files_app.services.accounts.turns import end_turn
from files_app.services.index.callers import Caller

#: At random between these, so that a crowd that was refused together does not come back together.
_RETRY_SECONDS = (2, 5)

_lock = threading.Lock()
_held: Counter[Hashable] = Counter()


def threads(percent: int) -> int:
    """Return how many of a process's threads that is; at least one, or nobody would ever be served."""
    return max(1, settings.WEB_THREADS * percent // 100)


class _Share(NamedTuple):
    """One party's part of the threads. kind: `key`, `account`, `organization` or `transfers`."""

    kind: str
    holder: Hashable
    percent: int
    words: str

    @property
    def most(self) -> int:
        """How many threads that is."""
        return threads(self.percent)


class Place:
    """A thread that counts against the shares until `give_back`, which may be called more than once."""

    def __init__(self, holders: tuple[Hashable, ...]) -> None:
        self._holders = holders

    def give_back(self) -> None:
        with _lock:
            holders, self._holders = self._holders, ()
            if holders:
                metrics.TRANSFERS.dec()
            _held.subtract(holders)
            for holder in holders:
                if not _held[holder]:
                    del _held[holder]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()


def take_place(account: ProviderAccount, caller: Caller | None) -> Place:
    """Count this request's thread until the place is given back. Raises OverloadedError when a share is full.

    caller: whose key and organization it is for; None for work that staff asks of an account.
    """
    shares = _shares(account, caller)
    with _lock:
        full = next((share for share in shares if _held[share.holder] >= share.most), None)
        if full is None:
            holders = tuple(share.holder for share in shares)
            _held.update(holders)
            metrics.TRANSFERS.inc()
    if full is None:
        end_turn()  # from here on the shares limit it
        return Place(holders)
    metrics.ADMISSIONS_REFUSED.labels(full.kind).inc()
    raise OverloadedError(
        f"{full.words} as many transfers and questions to providers as it may at once ({full.most:,} in one "
        "web process). Send the request again shortly.",
        retry_after_seconds=random.randint(*_RETRY_SECONDS),  # noqa: S311 - nobody gains by guessing it,
    )


@contextmanager
def place_if_free(account: ProviderAccount, caller: Caller) -> Iterator[bool]:
    """Hold a place where one is free, for what the index can answer too; yields whether one was."""
    try:
        place = take_place(account, caller)
    except OverloadedError:
        yield False
        return
    with place:
        yield True


def held_places() -> int:
    """Return how many threads are counted now."""
    return _held["transfers"]


def _shares(account: ProviderAccount, caller: Caller | None) -> list[_Share]:
    shares = [
        _Share(
            "account",
            ("account", account.pk),
            settings.ACCOUNT_SHARE,
            f"The provider account '{account.name}' has",
        ),
        _Share("transfers", "transfers", settings.TRANSFERS_SHARE, "The gateway has"),
    ]
    if caller is None:
        return shares
    organization = caller.organization_id
    return [
        _Share("key", ("key", organization, caller.api_key_id), settings.KEY_SHARE, "This API key has"),
        _Share(
            "organization",
            ("organization", organization),
            settings.ORGANIZATION_SHARE,
            "The organization has",
        ),
        *shares,
    ]
