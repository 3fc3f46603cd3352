"""Asks a provider anew for the status of a file that it had not finished yet."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Now

from files_app.models import CopyState, File, FileCopy, ProviderAccount
from files_app.models.copies import FileCopyQuerySet
from files_app.models.files import UNFINISHED
from files_app.services.accounts.breakers import refusal
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.isolation import on_its_own
from files_app.services.accounts.shares import place_if_free
from files_app.services.index import events
from files_app.services.index.callers import Caller
from files_app.services.index.transactions import database_time, release_connection
from files_app.services.upstream.aside import aside
from files_app.services.upstream.lost import ask_for
from providers.base import Driver
from providers.objects import Operation

#: Clients poll; for one file a provider is asked once in this time, by whichever process.
_PAUSE_SECONDS = 2.0
#: Questions of this process, or about so many, that an account's provider may leave unanswered.
_MOST_AT_ONCE = 4
#: How many files one sync asks for, one by one.
_MOST_IN_A_SYNC = 100

_lock = threading.Lock()
_asking: Counter[int] = Counter()


def with_fresh_status(file: File, *, caller: Caller) -> File:
    """Return the file with its provider's word on a status that is not final.

    Waits SYNC_WAIT_SECONDS at the most. Where the provider was asked a moment ago, is slow, down or without
    the file, the index answers; what a slow provider says in the end is written down for the next one.
    """
    if file.status != UNFINISHED:
        return file
    copy = _copies().filter(file=file).first()
    if copy is None or _is_busy(copy.account) or refusal(copy.account, Operation.RETRIEVE):
        return file
    with place_if_free(copy.account, caller) as is_free:
        if is_free and _claim(copy):
            _wait_for_word(copy, file)
    return file


def _wait_for_word(copy: FileCopy, file: File) -> None:
    asked = aside("status", lambda: _ask_on_its_own(copy))
    release_connection()
    try:
        is_news = asked.result(timeout=settings.SYNC_WAIT_SECONDS)
    except TimeoutError:
        return
    if is_news:
        file.refresh_from_db(fields=["status", "status_details"])


def refresh_unfinished(account: ProviderAccount, driver: Driver, *, ends: float = math.inf) -> int:
    """Ask for the files of an account that its provider had not finished; return how many have changed.

    One by one, those first that nobody has asked for: a shared account's list would show everybody's files.
    ends: `time.monotonic()` after which no more is asked.
    Raises ProviderError, and leaves the rest for later.
    """
    if Operation.RETRIEVE not in driver.capabilities.operations:
        return 0
    unfinished = _copies().filter(account=account)
    oldest_first = unfinished.order_by(F("file__status_ask_after").asc(nulls_first=True), "pk")
    in_time = takewhile(lambda _: time.monotonic() < ends, list(oldest_first[:_MOST_IN_A_SYNC]))
    return sum(_ask(copy, driver) for copy in in_time if _claim(copy))


def _copies() -> FileCopyQuerySet:
    """Return what may be asked for: held copies of unfinished files, on accounts that are switched on."""
    unfinished = FileCopy.objects.filter(state=CopyState.AVAILABLE, file__in=File.objects.unfinished())
    return unfinished.filter(account__is_enabled=True).select_related("account", "file")


def _claim(copy: FileCopy) -> bool:
    """Take the turn to ask for a file; False while somebody else asks, or has asked a moment ago."""
    is_due = Q(status_ask_after__isnull=True) | Q(status_ask_after__lt=Now())
    longest = settings.PROVIDER_CONNECT_TIMEOUT_SECONDS + settings.PROVIDER_READ_TIMEOUT_SECONDS
    due = File.objects.unfinished().filter(is_due, pk=copy.file_id)
    return bool(due.update(status_ask_after=database_time(plus_seconds=longest)))


def _ask(copy: FileCopy, driver: Driver) -> bool:
    """Ask for a file whose turn was taken; return whether its status has changed. Raises ProviderError."""
    try:
        remote = ask_for(copy, driver)
        # A word on an unfinished file never undoes a final one that another has written meanwhile.
        unfinished = File.objects.unfinished().filter(pk=copy.file_id)
        return remote is not None and events.take_status(unfinished, copy.file, remote)
    finally:
        File.objects.filter(pk=copy.file_id).update(
            status_ask_after=database_time(plus_seconds=_PAUSE_SECONDS)
        )


def _ask_on_its_own(copy: FileCopy) -> bool:
    is_news = False
    with _counted(copy.account), on_its_own("status", copy.account):
        driver = driver_for(copy.account)
        is_news = Operation.RETRIEVE in driver.capabilities.operations and _ask(copy, driver)
    return is_news


def _is_busy(account: ProviderAccount) -> bool:
    with _lock:
        return _asking[account.pk] >= _MOST_AT_ONCE


@contextmanager
def _counted(account: ProviderAccount) -> Iterator[None]:
    with _lock:
        _asking[account.pk] += 1
    try:
        yield
    finally:
        with _lock:
            _asking[account.pk] -= 1
            if not _asking[account.pk]:
                del _asking[account.pk]
