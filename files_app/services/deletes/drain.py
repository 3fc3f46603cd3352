"""Drain: carries deletes out in this process, where broker or worker cannot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from files_app.models import CopyState, FileCopy
from files_app.models.copies import FileCopyQuerySet
from files_app.services.deletes.delivery import deliver
from files_app.services.index.transactions import in_batches


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delete that was tried. `state` None: another process works on it."""

    copy: FileCopy
    state: CopyState | None
    error: str = ""


def waiting(*, early: bool) -> FileCopyQuerySet:
    """Return the deletes to try: those that are due; `early` adds those whose next attempt is later."""
    rows = FileCopy.objects.filter(state=CopyState.DELETING) if early else FileCopy.objects.due()
    return rows.select_related("account__organization", "file__organization")


def drain(*, early: bool = False) -> Iterator[Delivery]:
    """Try each waiting delete once and yield how it went; what fails stays in the queue for later."""
    for batch in in_batches(waiting(early=early)):
        for copy in batch:
            state = deliver(copy.pk)
            copy.refresh_from_db(fields=["state", "last_error", "attempts", "next_attempt_at"])
            yield Delivery(copy, state, copy.last_error)
