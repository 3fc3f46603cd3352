"""Ends many files that are due: a group in one transaction, and one by one where something is in its way."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog
from django.db import InterfaceError, OperationalError, transaction

from files_app.models import File
from files_app.models.files import FileQuerySet
from files_app.services.index.pace import Pace

log = structlog.get_logger(__name__)

#: So many files that could not be ended are passed by in one run.
_MOST_PASSED = 1_000


def end_all(
    due: FileQuerySet,
    end: Callable[[Sequence[File]], bool],
    *,
    seconds: float,
    goes_on: Callable[[], bool] = lambda: True,
) -> int:
    """End the files that are due, in their order, and return how many; the next run goes on after `seconds`.

    end: ends some of them inside a transaction, which is rolled back where it returns False or raises: then
    one of them could not be ended. goes_on: asked before each group.
    """
    ends, pace = time.monotonic() + seconds, Pace()
    due, passed, ended = due.select_related("account", "organization"), set[int](), 0
    while time.monotonic() < ends and len(passed) < _MOST_PASSED and goes_on():
        files = list(due.exclude(pk__in=passed)[: pace.size])
        if not files:
            break
        with pace.group(len(files)):
            gone = files if _is_ended(files, end) else [file for file in files if _is_ended([file], end)]
        ended += len(gone)
        passed |= {file.pk for file in files} - {file.pk for file in gone}
        pace.rest()
    return ended


def _is_ended(files: Sequence[File], end: Callable[[Sequence[File]], bool]) -> bool:
    try:
        with transaction.atomic():
            if not end(files):
                raise _NotEndedError
    except _NotEndedError:
        return False
    except (OperationalError, InterfaceError):
        if len(files) == 1:  # says nothing of the file: the next run goes on when the database is back
            raise
        return False
    except Exception:  # one file's oddity must not keep the others for ever
        log.exception("files_not_ended", files=[file.file_id for file in files][:3])
        return False
    return True


class _NotEndedError(Exception):
    """A file is not as it was read: the transaction is rolled back."""
