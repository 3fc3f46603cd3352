"""Finds out where the requests of a batch file are, once, for people who look at it.

The first page is known at once, from the first bytes. The rest a worker finds: a file may have a gigabyte.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, suppress

import structlog
from celery import current_app
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from files_app.exceptions import FileNotFoundInIndexError, GatewayError
from files_app.models import File, FileState, LineIndex, LinePage
from files_app.services.accounts import lanes
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.lanes import Work
from files_app.services.index.callers import Caller
from files_app.services.index.transactions import database_time
from files_app.services.reading.batches import files_of_batch
from files_app.services.reading.downloads import open_file, require_content
from files_app.services.reading.line_pages import Packer
from files_app.services.reading.lookup import content_id, held_copy
from providers.exceptions import ProviderConfigurationError, ProviderError
from providers.objects import ByteRange, MiB

log = structlog.get_logger(__name__)

PURPOSES = frozenset({"batch", "batch_output"})
HEAD_BYTES = MiB
#: More of a file's requests are not indexed: 12 MB in the database, and as much in a worker's memory.
MAX_LINES = 250_000
MAX_SECONDS = 1_800
_LEASE_SECONDS = 300
_RENEWAL_SECONDS = 30.0
_PAUSE_SECONDS = 300
_HINT_SECONDS = 60
#: So many of the results of one input are looked at with it.
_MOST_RELATED = 4


class NoRequestsError(GatewayError):
    """The file is no batch file and no result of one."""

    status = 404


class _StoppedError(Exception):
    """The worker stops: another one begins anew."""


class _TookTooLongError(Exception):
    """A file is not read after MAX_SECONDS."""


def has_requests(file: File) -> bool:
    """Whether a file is one whose lines are requests or their answers."""
    return file.purpose in PURPOSES and file.state == FileState.AVAILABLE


def current_index(file: File) -> LineIndex | None:
    """Return what is known of the lines that a file has now."""
    return LineIndex.objects.current().filter(file=file).first()


def related_to(file: File) -> list[File]:
    """Return the files of the same batch whose lines belong to those of `file`: answers, or the input."""
    others = [other for other in files_of_batch(file) if bool(other.result_part) != bool(file.result_part)]
    return others[:_MOST_RELATED]


def open_index(file: File, *, caller: Caller) -> LineIndex:
    """Return what is known of a file's lines, and begin with it where nothing is. Its related files follow.

    Raises GatewayError and ProviderError where the file cannot be read.
    """
    index = _opened(file, caller)
    for other in related_to(file):
        with suppress(GatewayError, ProviderError, ProviderConfigurationError):
            _opened(other, caller)
    return index


def _opened(file: File, caller: Caller) -> LineIndex:
    if (index := current_index(file)) is None:
        return _begun(file, caller)
    LineIndex.objects.filter(pk=index.pk).update(opened_at=timezone.now())
    return index


def _begun(file: File, caller: Caller) -> LineIndex:
    """Index a file's first lines now; all of them, if it is small."""
    packer, is_end = _head(file, caller)
    with transaction.atomic():
        # Others that open it now wait for this row, and so does whoever deletes the file.
        locked = File.objects.select_for_update().filter(pk=file.pk, state=FileState.AVAILABLE)
        if locked.values_list("pk").first() is None:
            raise FileNotFoundInIndexError(file.file_id)
        LineIndex.objects.remove(file)
        index = LineIndex.objects.create(
            file=file,
            of_bytes=file.bytes,
            of_sha256=file.sha256,
            is_ready=is_end,
            lines=packer.lines,
            failed=packer.failed,
        )
        _write_pages(index, packer)
        if not is_end:
            transaction.on_commit(lambda: _send(file.account_id), robust=True)
    return index


def _head(file: File, caller: Caller) -> tuple[Packer, bool]:
    can_range = require_content(file).capabilities.ranges and file.bytes > HEAD_BYTES
    byte_range = ByteRange(0, HEAD_BYTES - 1) if can_range else None
    opened = open_file(file, caller=caller, byte_range=byte_range, part="lines")
    packer, taken = Packer(MAX_LINES), 0
    with closing(opened):
        for chunk in opened.chunks:
            packer.feed(chunk[: HEAD_BYTES - taken])
            taken += len(chunk)
            if taken >= HEAD_BYTES:
                break
    is_end = taken <= HEAD_BYTES and not can_range and taken >= opened.length
    packer.finish(is_end=is_end)
    return packer, is_end


def _write_pages(index: LineIndex, packer: Packer) -> None:
    rows = [
        LinePage(index=index, number=page.number, failed=page.failed, data=page.data) for page in packer.pages
    ]
    LinePage.objects.bulk_create(rows, batch_size=50)


def _send(account_pk: int) -> None:
    try:
        current_app.send_task("files_app.tasks.index_lines_of", args=(account_pk,), expires=_HINT_SECONDS)
    except (BrokerError, OSError) as exc:
        log.warning("broker_unreachable", error=type(exc).__name__)


def index_soon(account_pk: int) -> bool:
    """Let a thread of this worker index what is due of an account, one file a turn."""
    return lanes.offer(Work.LINES, account_pk, lambda: _take_turn(account_pk))


def index_due() -> int:
    """Offer all files that wait to the process's threads and return how many accounts were taken."""
    accounts = LineIndex.objects.due().values_list("file__account", flat=True)
    return sum(index_soon(pk) for pk in list(accounts.order_by("file__account").distinct()))


def _take_turn(account_pk: int) -> bool:
    """Index one file; return whether more are due."""
    due = LineIndex.objects.due().filter(file__account=account_pk).order_by("pk")
    pks = list(due.values_list("pk", flat=True)[:2])
    if pks:
        build(pks[0])
    return len(pks) > 1


def build(index_pk: int) -> bool:
    """Index all lines of one file, and return whether that is done. Safe to run twice and in parallel."""
    due = LineIndex.objects.filter(pk__in=LineIndex.objects.due().filter(pk=index_pk).values("pk"))
    if not due.update(ask_after=database_time(plus_seconds=_LEASE_SECONDS)):
        return False
    index = LineIndex.objects.select_related("file__account__organization").get(pk=index_pk)
    try:
        return _settled(index, _read(index))
    except (GatewayError, ProviderError, ProviderConfigurationError) as exc:
        _put_off(index, str(exc))
    except _TookTooLongError:
        _put_off(index, f"it took more than {MAX_SECONDS} s")
    except _StoppedError:
        LineIndex.objects.filter(pk=index.pk, is_ready=False).update(ask_after=None)
    except Exception as exc:  # one file's oddity must not be tried without a pause
        log.exception("index_failed_unexpectedly", file=index.file.file_id)
        _put_off(index, f"unexpected {type(exc).__name__}; the worker's log has more")
    return False


def _put_off(index: LineIndex, problem: str) -> None:
    log.warning("index_failed", file=index.file.file_id, account=index.file.account.name, error=problem)
    LineIndex.objects.filter(pk=index.pk, is_ready=False).update(
        problem=problem[:500], ask_after=database_time(plus_seconds=_PAUSE_SECONDS)
    )


def _read(index: LineIndex) -> Packer:
    file, packer = index.file, Packer(MAX_LINES)
    with closing(driver_for(file.account).download_file(content_id(file, held_copy(file)))) as download:
        for chunk in _with_lease(index, download.chunks):
            packer.feed(chunk)
            if packer.is_full:
                break
    packer.finish()
    return packer


def _with_lease(index: LineIndex, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass the bytes on, and keep others from beginning anew meanwhile."""
    renewed = began = time.monotonic()
    for chunk in chunks:
        if lanes.is_closing():
            raise _StoppedError
        if time.monotonic() - began > MAX_SECONDS:
            raise _TookTooLongError
        if time.monotonic() - renewed > _RENEWAL_SECONDS:
            lease = database_time(plus_seconds=_LEASE_SECONDS)
            LineIndex.objects.filter(pk=index.pk, is_ready=False).update(ask_after=lease)
            renewed = time.monotonic()
        yield chunk


@transaction.atomic
def _settled(index: LineIndex, packer: Packer) -> bool:
    """Write the pages down; False when the file was deleted or has another content meanwhile."""
    mine = LineIndex.objects.filter(
        pk=index.pk, is_ready=False, of_bytes=index.of_bytes, of_sha256=index.of_sha256
    )
    done = mine.update(
        is_ready=True,
        lines=packer.lines,
        failed=packer.failed,
        is_cut=packer.is_full,
        problem="",
        ask_after=None,
    )
    if not done:
        return False
    index.pages.all().delete()
    _write_pages(index, packer)
    return True
