"""Works the outbox off: which deletes are due, each account's in its share of a worker's threads."""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.db.models import Count

from files_app.models import FileCopy
from files_app.services.accounts import lanes
from files_app.services.accounts.lanes import Work
from files_app.services.deletes.delivery import deliver

#: So long a thread stays with one account before the others have their turn.
_TURN_SECONDS = 10.0
#: More than a worker gives one account.
_MOST_TURNS = 16


def deliver_soon(copy_pk: int, account_pk: int | None = None) -> None:
    """Deliver one delete, and what else of its account is due; what has no room stays due.

    account_pk: None in messages of an earlier version, which do not say.
    """
    if account_pk is None:
        account_pk = FileCopy.objects.filter(pk=copy_pk).values_list("account", flat=True).first()
    if account_pk is not None:
        _offer(account_pk, copy_pk)


def deliver_due() -> int:
    """Offer all accounts' due deletes to the process's threads and return how many turns were taken.

    An account whose deletes are many gets more turns, up to its share.
    """
    due = FileCopy.objects.due().order_by().values_list("account").annotate(Count("pk"))
    return sum(_offer(account_pk) for account_pk, count in list(due) for _ in range(min(count, _MOST_TURNS)))


def _offer(account_pk: int, first: int | None = None) -> bool:
    return lanes.offer(Work.DELETES, account_pk, lambda: _take_turn(account_pk, first))


def _take_turn(account_pk: int, first: int | None) -> bool:
    """Deliver the account's due deletes, oldest first; return whether a turn was too short for all."""
    ends = time.monotonic() + _TURN_SECONDS
    for pk in _due(account_pk, first):
        if lanes.is_closing():
            return False
        if time.monotonic() > ends:
            return True
        deliver(pk)
    return False


def _due(account_pk: int, first: int | None) -> Iterator[int]:
    """Yield what is due, each delete once; `first`, when it is due, before the others."""
    due = FileCopy.objects.due().filter(account=account_pk).values_list("pk", flat=True)
    tried: set[int] = set()
    pk = due.filter(pk=first).first() if first is not None else None
    while pk is not None or (pk := due.first()) is not None:
        if pk in tried:
            return
        tried.add(pk)
        yield pk
        pk = None
