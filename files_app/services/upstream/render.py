"""Renders batch files that are stored already: those of before there were renditions, and lost renditions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from enum import StrEnum

from files_app.exceptions import GatewayError, InvalidRequestError
from files_app.models import AuditAction, CopyState, File, FileCopy, FileState
from files_app.models.files import FileQuerySet
from files_app.services.accounts.drivers import driver_for
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.index.transactions import in_batches
from files_app.services.uploads.begin import line_limits
from files_app.streams.batch_lines import BatchLines
from files_app.streams.jsonl import BatchLineChecker
from providers.base import Driver
from providers.exceptions import (
    InvalidResponseError,
    ProviderConfigurationError,
    ProviderError,
    RemoteFileNotFoundError,
)
from providers.objects import (
    BatchFacts,
    Digest,
    Download,
    FilePart,
    JSONObject,
    PurposePart,
    Upload,
    UploadPart,
)


class Outcome(StrEnum):
    """What became of one file."""

    RENDERED = "rendered"
    AS_IT_IS = "read as it is"
    THERE = "there already"
    REFUSED = "not rendered"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Rendered:
    """The outcome for one file, with the reason where it is no good one."""

    file: File
    outcome: Outcome
    detail: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether somebody has to look."""
        return self.outcome == Outcome.REFUSED


def render_files(
    files: FileQuerySet,
    *,
    caller: Caller,
    model: str | None = None,
    on_bytes: Callable[[int], None] = lambda amount: None,
) -> Iterator[Rendered]:
    """Render the batch files among `files` that have no rendition, oldest rows first.

    Safe to stop and to repeat: what was rendered is left alone. model: as an upload's request names it.
    """
    rows = files.filter(state=FileState.AVAILABLE, purpose="batch", is_withheld=False)
    for batch in in_batches(rows.select_related("organization", "account__organization")):
        for file in batch:
            yield render_file(file, caller=caller, model=model, on_bytes=on_bytes)


def render_file(
    file: File,
    *,
    caller: Caller,
    model: str | None = None,
    on_bytes: Callable[[int], None] = lambda amount: None,
) -> Rendered:
    """Render one stored batch file. Never raises what its provider or its lines do: that is the outcome."""
    copy = file.copies.filter(state=CopyState.AVAILABLE).order_by("pk").first()
    if copy is None:
        return Rendered(file, Outcome.GONE, "no provider holds a copy")
    try:
        return _render(file, copy, driver_for(file.account), caller, model, on_bytes)
    except (GatewayError, ProviderError) as exc:
        return Rendered(file, Outcome.REFUSED, exc.message)
    except ProviderConfigurationError as exc:
        return Rendered(file, Outcome.REFUSED, str(exc))


def _render(
    file: File,
    copy: FileCopy,
    driver: Driver,
    caller: Caller,
    model: str | None,
    on_bytes: Callable[[int], None],
) -> Rendered:
    renderer = driver.batch_renderer(model=model, limits=line_limits())
    if renderer is None or driver.file_id_of(copy.remote_id) is None:
        return Rendered(file, Outcome.AS_IT_IS, "the provider's jobs read the file itself")
    if file.batch is not None and (not file.has_rendition or driver.is_rendered(copy.remote_id)):
        return Rendered(file, Outcome.THERE)
    lines = BatchLines(BatchLineChecker(driver.capabilities.batch_lines, line_limits()), renderer)
    with closing(driver.download_file(copy.remote_id)) as download:
        stored = _Stored(file, download, lines, on_bytes)
        batch = dict(driver.render_file(copy.remote_id, stored.upload()) or {})
    if not _note(file, batch):
        return Rendered(file, Outcome.GONE, _clear_up(file, copy, driver))
    caller = replace(caller, organization_id=file.organization_id)
    audit.record_file(
        caller, AuditAction.FILE_RENDER, file, format=batch.get("format"), records=batch.get("records")
    )
    return Rendered(file, Outcome.RENDERED if file.has_rendition else Outcome.AS_IT_IS)


def _note(file: File, batch: JSONObject) -> bool:
    """Write down what was found in a file's lines; False where it is available no more."""
    file.batch = batch
    return bool(File.objects.filter(pk=file.pk, state=FileState.AVAILABLE).update(batch=batch))


def _clear_up(file: File, copy: FileCopy, driver: Driver) -> str:
    """Delete a rendition that came when its file's delete had passed, and return what happened."""
    file.refresh_from_db(fields=["state"])
    if file.state in (FileState.DELETING, FileState.DELETED):
        with suppress(RemoteFileNotFoundError):
            driver.delete_file(copy.remote_id)
    return f"it is {file.state} meanwhile"


class _Stored:
    """A stored file as an upload once more: compared with what was uploaded, and its lines rendered."""

    def __init__(
        self, file: File, download: Download, lines: BatchLines, on_bytes: Callable[[int], None]
    ) -> None:
        self._file = file
        self._download = download
        self._lines = lines
        self._on_bytes = on_bytes
        self._sha256 = hashlib.sha256()
        self._size = 0

    def upload(self) -> Upload:
        return Upload(
            file_id=self._file.file_id,
            namespace=self._file.organization.namespace,
            parts=self._parts(),
            digest=self._digest,
            rendering=self,
        )

    def take(self) -> bytes:
        """Return what was rendered since the last call."""
        return self._lines.take()

    def facts(self) -> BatchFacts | None:
        """Return what the lines are for a job."""
        return self._lines.facts(self._size)

    def _digest(self) -> Digest:
        return Digest(self._size, self._sha256.hexdigest())

    def _parts(self) -> Iterator[UploadPart]:
        yield PurposePart("batch")
        yield FilePart(self._file.filename, self._file.content_type, self._chunks())
        if self._file.sha256 not in ("", self._sha256.hexdigest()):
            raise InvalidResponseError("These are not the bytes that were uploaded: see `files verify`.")
        if self._lines.problems:
            raise InvalidRequestError("The batch file is not valid: " + "; ".join(self._lines.problems))

    def _chunks(self) -> Iterator[bytes]:
        for chunk in self._download.chunks:
            self._sha256.update(chunk)
            self._size += len(chunk)
            self._on_bytes(len(chunk))
            self._lines.feed(chunk)
            yield chunk
        self._lines.finish()
