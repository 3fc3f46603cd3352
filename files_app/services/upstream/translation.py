"""Translates batch results into OpenAI's lines, once each, into objects beside them.

A worker does it: a result may be a gigabyte. Until then the output file has the status `uploaded` and no
content. The file of errors comes with it, where there are any.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeAlias

import structlog
from celery import current_app
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from kombu.exceptions import OperationalError as BrokerError

from files_app.models import AuditAction, File, FileCopy, FileState, ProviderAccount, ResultPart
from files_app.models.files import FileQuerySet
from files_app.services.accounts import lanes
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.lanes import Work
from files_app.services.index import audit, events
from files_app.services.index.callers import system_caller
from files_app.services.index.metering import spans
from files_app.services.index.transactions import database_time
from files_app.services.reading.lookup import held_copy
from files_app.services.upstream.adoption import derived_id
from files_app.services.upstream.result_reading import Reading, Translated
from providers.exceptions import ProviderConfigurationError, ProviderError
from providers.objects import Digest, RemoteFile
from providers.results import JobResults
from providers.results import ResultPart as TranslatedPart

log = structlog.get_logger(__name__)

Lines: TypeAlias = tuple[TranslatedPart, bytes]

#: As long as a worker may take for one result.
MAX_SECONDS = 1_800
#: Renewed while lines come; behind the last one a store may take its time.
_LEASE_SECONDS = 300
_RENEWAL_SECONDS = 30.0
_PAUSE_SECONDS = 300
#: Later than that beat has long found it.
_HINT_SECONDS = 60
_SUFFIXES = (".jsonl.out", ".jsonl.err", ".jsonl")


class _TookTooLongError(Exception):
    """A result is not translated after MAX_SECONDS."""


class _StoppedError(Exception):
    """The worker stops: another one begins anew."""


def filename(stem: str, part: ResultPart) -> str:
    """Return the name of a translation: `march.jsonl` gives `march_output.jsonl` or `march_error.jsonl`."""
    for suffix in _SUFFIXES:
        stem = stem.removesuffix(suffix)
    return f"{stem}_{'output' if part == ResultPart.OUTPUT else 'error'}.jsonl"


def send_after_commit(file: File) -> None:
    """Ask a worker to translate a result at once. Only a hint: beat finds what stays due."""
    transaction.on_commit(lambda: _send(file.account_id), robust=True)


def _send(account_pk: int) -> None:
    try:
        current_app.send_task(
            "files_app.tasks.translate_results_of", args=(account_pk,), expires=_HINT_SECONDS
        )
    except (BrokerError, OSError) as exc:
        log.warning("broker_unreachable", error=type(exc).__name__)


def translate_soon(account_pk: int) -> bool:
    """Let a thread of this worker translate what is due of an account, one result a turn."""
    return lanes.offer(Work.TRANSLATION, account_pk, lambda: _take_turn(account_pk))


def translate_due() -> int:
    """Offer all accounts' due translations to the process's threads and return how many were taken."""
    accounts = File.objects.untranslated().filter(_is_due()).values_list("account", flat=True)
    return sum(translate_soon(pk) for pk in list(accounts.order_by("account").distinct()))


def _take_turn(account_pk: int) -> bool:
    """Translate one result; return whether more are due."""
    due = File.objects.untranslated().filter(_is_due(), account=account_pk).order_by("pk")
    pks = list(due.values_list("pk", flat=True)[:2])
    if pks:
        translate_result(pks[0])
    return len(pks) > 1


def _is_due() -> Q:
    is_time = Q(status_ask_after__isnull=True) | Q(status_ask_after__lte=Now())
    return is_time & Q(account__is_enabled=True)


def translate_result(file_pk: int) -> bool:
    """Translate one result, and return whether it has a content now. Safe to run twice and in parallel."""
    due = File.objects.untranslated().filter(_is_due(), pk=file_pk)
    if not due.update(status_ask_after=database_time(plus_seconds=_LEASE_SECONDS)):
        return False
    file = File.objects.select_related("account__organization", "organization").get(pk=file_pk)
    try:
        return _translated(file)
    except (ProviderError, ProviderConfigurationError) as exc:
        _put_off(file, str(exc))
    except _TookTooLongError:
        _put_off(file, f"it took more than {MAX_SECONDS} s")
    except _StoppedError:
        File.objects.untranslated().filter(pk=file.pk).update(status_ask_after=None)
    except Exception as exc:  # one result's oddity must not be tried without a pause
        log.exception("translation_failed_unexpectedly", file=file.file_id, account=file.account.name)
        _put_off(file, f"unexpected {type(exc).__name__}; the worker's log has more")
    return False


def _put_off(file: File, problem: str) -> None:
    log.warning("translation_failed", file=file.file_id, account=file.account.name, error=problem)
    File.objects.untranslated().filter(pk=file.pk).update(
        status_ask_after=database_time(plus_seconds=_PAUSE_SECONDS),
        status_details=f"The result could not be translated yet: {problem}"[:500],
    )


def _translated(file: File) -> bool:
    driver, remote_id = driver_for(file.account), held_copy(file).remote_id
    results = driver.results
    if results is None:
        raise ProviderConfigurationError(f"{driver.label} has no batch results.")
    reading = Reading(file, driver, remote_id, has_errors=_errors_of(file, remote_id).exists())
    digests = results.translate(remote_id, _with_lease(file, reading.lines()))
    found = reading.outcome()
    if found.is_foreign:
        results.delete_translations(remote_id)
        return _stays_native(file, found)
    if _settled(file, remote_id, found, {ResultPart(part): digest for part, digest in digests.items()}):
        return True
    _clear_away(results, file.account, remote_id)
    return False


def _with_lease(file: File, lines: Iterator[Lines]) -> Iterator[Lines]:
    """Pass the lines on, and keep others from beginning anew meanwhile."""
    renewed = began = time.monotonic()
    for each in lines:
        if lanes.is_closing():
            raise _StoppedError
        if time.monotonic() - began > MAX_SECONDS:
            raise _TookTooLongError
        if time.monotonic() - renewed > _RENEWAL_SECONDS:
            lease = database_time(plus_seconds=_LEASE_SECONDS)
            File.objects.untranslated().filter(pk=file.pk).update(status_ask_after=lease)
            renewed = time.monotonic()
        yield each


@transaction.atomic
def _settled(file: File, remote_id: str, found: Translated, digests: dict[ResultPart, Digest]) -> bool:
    """Write down what was translated; False when the output file was deleted meanwhile."""
    row = File.objects.untranslated().filter(pk=file.pk)
    if not spans.update(row, **_values(found, ResultPart.OUTPUT, digests[ResultPart.OUTPUT])):
        return False
    _tell(file)
    if (errors := digests.get(ResultPart.ERRORS)) is None:
        return True
    values = _values(found, ResultPart.ERRORS, errors)
    if not _errors_of(file, remote_id).exists():
        _index_errors(file, remote_id, found, errors)
    else:
        live = _errors_of(file, remote_id).filter(state__in=(FileState.AVAILABLE, FileState.TRASHED))
        spans.update(File.objects.filter(pk__in=list(live.values_list("pk", flat=True))), **values)
    return True


def _tell(file: File) -> None:
    """Tell that a result is there."""
    if events.are_told(file.organization_id):
        events.status_changed(File.objects.select_related("account").get(pk=file.pk))


def _values(found: Translated, part: ResultPart, digest: Digest) -> dict[str, object]:
    return {
        "status": "processed",
        "status_details": "",
        "status_ask_after": None,
        "bytes": digest.bytes,
        "sha256": digest.sha256,
        "batch": {**found.batch, "part": part.value},
    }


def _index_errors(file: File, remote_id: str, found: Translated, digest: Digest) -> None:
    remote = RemoteFile(
        remote_id=remote_id,
        bytes=digest.bytes,
        sha256=digest.sha256,
        created_at=file.created_at,
        filename=filename(file.filename.removesuffix("_output.jsonl"), ResultPart.ERRORS),
        purpose=file.purpose,
        content_type=file.content_type,
        batch={**found.batch, "part": ResultPart.ERRORS.value},
    )
    errors = File.objects.index(
        remote,
        file_id=derived_id(file.account, f"{remote_id}#{ResultPart.ERRORS.value}"),
        organization_id=file.organization_id,
        account=file.account,
        is_adopted=True,
        result_part=ResultPart.ERRORS,
    )
    audit.record_file(system_caller(file.organization_id), AuditAction.FILE_ADOPT, errors)
    events.file_created(errors)


def _errors_of(file: File, remote_id: str) -> FileQuerySet:
    """Return the file of errors that stands on the same result, whatever became of it."""
    return File.objects.filter(
        organization=file.organization_id,
        account=file.account_id,
        result_part=ResultPart.ERRORS,
        copies__remote_id=remote_id,
    )


@transaction.atomic
def _stays_native(file: File, found: Translated) -> bool:
    """Let a result be what the provider wrote: it is no answer to requests in any form that is known."""
    changed = bool(
        spans.update(
            File.objects.untranslated().filter(pk=file.pk),
            result_part="",
            status="processed",
            status_details="",
            status_ask_after=None,
            bytes=found.source_bytes,
            filename=found.source_name,
            batch=None,
        )
    )
    if changed:
        _tell(file)
    return changed


def _clear_away(results: JobResults, account: ProviderAccount, remote_id: str) -> None:
    """Delete translations that nobody can ask for: both files were deleted while they were written."""
    if not FileCopy.objects.holding(account, remote_id).filter(file__state=FileState.AVAILABLE).exists():
        results.delete_translations(remote_id)
