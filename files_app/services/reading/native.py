"""The provider's own lines of a batch result, whose content is otherwise their translation."""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import closing

from files_app.models import AuditAction, File
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.reading.downloads import OpenedFile, open_file, require_content
from files_app.services.reading.lookup import held_copy
from providers.base import Driver
from providers.objects import ByteRange, RemoteFile


def as_native(file: File) -> File:
    """Return the file as what its provider wrote: of other bytes, whose number and checksum nobody knows."""
    if not file.result_part:
        return file
    native = copy.copy(file)
    native.result_part, native.sha256, native.bytes = "", "", 0
    native.filename = held_copy(file).remote_id.rpartition("/")[2]
    return native


def open_native(file: File, *, caller: Caller, byte_range: ByteRange | None = None) -> OpenedFile:
    """Open what a job wrote; several objects one after the other. Raises ProviderError.

    A range is honoured where there is one object, and else ignored.
    """
    driver = require_content(file)
    parts = _rows_of(file, driver)
    if len(parts) < 2:
        return open_file(as_native(file), caller=caller, byte_range=byte_range)
    audit.record_file(caller, AuditAction.FILE_CONTENT, file)
    chunks = _chained(driver, parts)
    return OpenedFile(chunks, chunks.close, sum(part.bytes or 0 for part in parts), file.content_type)


def _rows_of(file: File, driver: Driver) -> list[RemoteFile]:
    if not file.result_part or driver.results is None:
        return []
    names = driver.results.name_of
    parts = driver.results.parts(held_copy(file).remote_id)
    return [part for part in parts if (name := names(part.remote_id)) and not name.is_summary]


def _chained(driver: Driver, parts: list[RemoteFile]) -> Generator[bytes, None, None]:
    for part in parts:
        with closing(driver.download_file(part.remote_id)) as download:
            yield from download.chunks
