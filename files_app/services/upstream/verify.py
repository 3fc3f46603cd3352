"""Verify: reads files back from their providers and compares them with what was uploaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from files_app.models import AuditAction, CopyState, File, FileState
from files_app.models.files import FileQuerySet
from files_app.services.accounts.drivers import driver_for, may_not_show_yet
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.index.transactions import in_batches
from files_app.services.reading.lookup import content_id
from files_app.services.reading.readback import read_back
from providers.base import Driver
from providers.exceptions import (
    FileRejectedError,
    ProviderConfigurationError,
    ProviderError,
    RemoteFileNotFoundError,
    UnsupportedOperationError,
)


class Outcome(StrEnum):
    """What a verification found. Only the first three say something about the bytes."""

    INTACT = "intact"
    DAMAGED = "damaged"
    MISSING = "missing"
    NOT_READ = "not read"
    UNKNOWN = "no checksum"
    UNSUPPORTED = "not downloadable"


PROBLEMS = frozenset({Outcome.DAMAGED, Outcome.MISSING, Outcome.NOT_READ})


@dataclass(frozen=True, slots=True)
class Verdict:
    """The finding about one file, and how many bytes were read for it."""

    file: File
    outcome: Outcome
    detail: str = ""
    bytes_read: int = 0

    @property
    def is_problem(self) -> bool:
        """Whether somebody has to look."""
        return self.outcome in PROBLEMS


def verify_files(
    files: FileQuerySet, *, caller: Caller, limit: int | None = None, on_bytes: Callable[[int], None]
) -> Iterator[Verdict]:
    """Yield a verdict about each available file, oldest rows first. Changes nothing but the audit trail."""
    rows = files.filter(state=FileState.AVAILABLE).select_related("organization", "account__organization")
    number = 0
    for batch in in_batches(rows):
        for file in batch:
            if limit is not None and number >= limit:
                return
            number += 1
            yield _recorded(verify_file(file, on_bytes=on_bytes), caller)


def verify_file(file: File, *, on_bytes: Callable[[int], None] = lambda amount: None) -> Verdict:
    """Read one file back. Never raises what a provider does: that is the verdict."""
    copy = file.copies.filter(state=CopyState.AVAILABLE).order_by("pk").first()
    if copy is None:
        return Verdict(file, Outcome.MISSING, "no provider holds a copy")
    if not file.sha256:
        return Verdict(file, Outcome.UNKNOWN, "made at the provider: nobody knows what it was")
    try:
        driver = driver_for(file.account)
        if driver.capabilities.content != "exact":
            return Verdict(file, Outcome.UNSUPPORTED, f"{driver.label} gives other bytes back")
        return _compared(file, driver, content_id(file, copy), on_bytes)
    except RemoteFileNotFoundError:
        if may_not_show_yet(copy, driver):
            return Verdict(file, Outcome.NOT_READ, f"{driver.label} does not show it yet")
        return Verdict(file, Outcome.MISSING, "the provider has it no more")
    except (UnsupportedOperationError, FileRejectedError) as exc:
        return Verdict(file, Outcome.UNSUPPORTED, exc.message)
    except (ProviderError, ProviderConfigurationError) as exc:
        return Verdict(file, Outcome.NOT_READ, str(exc))


def _compared(file: File, driver: Driver, remote_id: str, on_bytes: Callable[[int], None]) -> Verdict:
    download = driver.download_file(remote_id)
    found = read_back(download.chunks, download.close, lambda chunk: on_bytes(len(chunk)))
    if found.bytes != file.bytes:
        return Verdict(file, Outcome.DAMAGED, f"{found.bytes} bytes instead of {file.bytes}", found.bytes)
    if found.sha256 != file.sha256:
        return Verdict(file, Outcome.DAMAGED, f"its sha256 is {found.sha256}", found.bytes)
    return Verdict(file, Outcome.INTACT, bytes_read=found.bytes)


def _recorded(verdict: Verdict, caller: Caller) -> Verdict:
    if verdict.is_problem:
        audit.record_file(
            replace(caller, organization_id=verdict.file.organization_id),
            AuditAction.FILE_VERIFY,
            verdict.file,
            result=verdict.outcome.value,
            finding=verdict.detail[:200],
        )
    return verdict
