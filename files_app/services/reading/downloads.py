"""Download: the provider's bytes as they come, with a length, and never a short success."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.conf import settings

from files_app.exceptions import GatewayError, TooEarlyError
from files_app.models import AuditAction, File, FileCopy
from files_app.models.files import UNFINISHED
from files_app.observability import context
from files_app.services.accounts.drivers import driver_for, may_not_show_yet
from files_app.services.accounts.shares import Place, take_place
from files_app.services.index import audit, writability
from files_app.services.index.callers import Caller
from files_app.services.index.metering import traffic
from files_app.services.index.transactions import release_connection
from files_app.services.reading.lookup import content_id, held_copy, require_enabled
from files_app.streams.held import HeldFile
from providers.base import Driver
from providers.exceptions import (
    InvalidResponseError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RemoteFileNotFoundError,
)
from providers.objects import ByteRange, Download, Operation
from providers.patience import ask_until_shown, not_shown
from providers.transports import meanwhile

#: Bytes a second that a provider has to send, or a client's whole transfer would hang on it.
_LEAST_RATE = 1_024
#: How many requests of this process wait for what a provider does not show yet: each of them holds a thread.
_LATE = threading.BoundedSemaphore(8)


class FileMissingAtProviderError(GatewayError):
    """The index has the file, its provider has it no more."""

    status = 404
    code = "file_missing_at_provider"


@dataclass(slots=True)
class OpenedFile:
    """A file's bytes, open for one reader. Call `close`, also after an exception.

    length: exact number of bytes that `chunks` yields. content_range: (first, last, total) for a part.
    accepts_ranges: whether a part could be asked for.
    """

    chunks: Iterator[bytes]
    close: Callable[[], None]
    length: int
    content_type: str
    content_range: tuple[int, int, int] | None = None
    accepts_ranges: bool = False


def require_content(file: File) -> Driver:
    """Return the driver of a file whose provider gives contents back. Raises UnsupportedOperationError."""
    require_enabled(file.account)
    driver = driver_for(file.account)
    driver.require(Operation.CONTENT)
    return driver


def require_ready(file: File) -> None:
    """Refuse to show a batch result that is not translated yet. Raises TooEarlyError."""
    if file.result_part and file.status == UNFINISHED:
        raise TooEarlyError(
            "The result of this batch is not translated yet: ask again when the file's status is "
            "'processed'. The provider's own lines can be had now, with ?format=native.",
            param="id",
            code="content_not_ready",
        )


def open_file(
    file: File, *, caller: Caller, byte_range: ByteRange | None = None, part: str = ""
) -> OpenedFile:
    """Open a file at its provider; the first bytes have arrived when this returns.

    part: what of the content is read, such as `preview`, for the audit trail; empty for a download.

    It counts among the transfers until `close`. Raises ProviderError, OverloadedError, and
    FileMissingAtProviderError when the provider has the file no more. One that may lag behind the upload is
    asked again for some seconds; then that is a ProviderTimeoutError. A batch result that is not translated
    is a TooEarlyError.
    """
    context.annotate(provider=file.account.name, driver=file.account.driver, file_id=file.file_id)
    driver = require_content(file)
    require_ready(file)
    copy = held_copy(file)
    place = take_place(file.account, caller)

    def note() -> None:
        who = {"actor": caller.actor, "organization": caller.organization_id, "ip": caller.ip}
        with writability.worth_no_failure("content_read_not_audited", file=file.file_id, **who):
            audit.record_file(caller, AuditAction.FILE_CONTENT, file, **({"part": part} if part else {}))
        release_connection()

    try:
        download = _noted(lambda: _asked_for(file, copy, driver, byte_range), note)
        try:
            opened = _opened(file, driver, download)
        except BaseException:
            download.close()
            raise
    except BaseException:
        place.give_back()
        raise
    opened.chunks = traffic.counted(opened.chunks, caller, file)
    opened.close = _closing(opened.close, place)
    return opened


def _noted(ask: Callable[[], Download], note: Callable[[], None]) -> Download:
    """Return what `ask` opens. It is noted while its provider makes the answer: a commit takes as long."""
    download: Download | None = None
    try:
        with meanwhile.doing(note):
            download = ask()
    except BaseException:
        if download is not None:
            download.close()
        raise
    return download


def _closing(close: Callable[[], None], place: Place) -> Callable[[], None]:
    def close_both() -> None:
        try:
            close()
        finally:
            place.give_back()

    return close_both


def _asked_for(file: File, copy: FileCopy, driver: Driver, byte_range: ByteRange | None) -> Download:
    """Open a copy at its provider, after some seconds where it may not be shown yet."""

    def ask() -> Download:
        return driver.download_file(content_id(file, copy), byte_range=byte_range)

    try:
        return ask()
    except RemoteFileNotFoundError as exc:
        if file.result_part and File.objects.translate_anew(file):  # somebody has removed the translation
            file.status = UNFINISHED
            require_ready(file)
        if may_not_show_yet(copy, driver):
            return _asked_again(ask, exc, driver)
        raise FileMissingAtProviderError(
            f"The file is listed, but {driver.label} has its content no more.", param="id"
        ) from exc


def _asked_again(ask: Callable[[], Download], exc: RemoteFileNotFoundError, driver: Driver) -> Download:
    if not _LATE.acquire(blocking=False):
        raise not_shown(exc, driver.label) from exc
    try:
        return ask_until_shown(ask, label=driver.label)
    finally:
        _LATE.release()


def _opened(file: File, driver: Driver, download: Download) -> OpenedFile:
    expected = _expected_length(file, driver, download)
    if expected is None:
        download = _spooled(download, driver.label)
        expected = download.length or 0
    first = next(download.chunks, b"")
    return OpenedFile(
        chunks=_exactly(expected, first, _kept_up(download.chunks, driver.label), driver.label),
        close=download.close,
        length=expected,
        content_type=file.content_type or download.content_type or "application/octet-stream",
        content_range=download.content_range,
        accepts_ranges=driver.capabilities.ranges,
    )


def _expected_length(file: File, driver: Driver, download: Download) -> int | None:
    """Return how many bytes have to come; None when neither provider nor index can tell.

    An answer that announces another size than the index has is refused before the client sees a success.
    """
    if download.content_range is not None:
        first, last, total = download.content_range
        announced, known = last - first + 1, file.bytes
        if file.sha256 and total != known:
            raise _wrong_size(driver)
        return announced
    if not file.sha256 or driver.capabilities.content != "exact":
        return download.length
    if download.length is not None and download.length != file.bytes:
        raise _wrong_size(driver)
    return file.bytes


def _wrong_size(driver: Driver) -> InvalidResponseError:
    return InvalidResponseError(f"{driver.label} offers another number of bytes than was uploaded.")


def _kept_up(chunks: Iterator[bytes], label: str) -> Iterator[bytes]:
    """Pass chunks on, or break off where next to nothing comes of them: each read alone would wait for ever.

    Waiting for the provider spends what a read may take, bytes earn it back.
    """
    patience = credit = float(settings.PROVIDER_READ_TIMEOUT_SECONDS)
    while True:
        began = time.monotonic()
        chunk = next(chunks, None)
        if chunk is None:
            return
        credit = min(patience, credit - (time.monotonic() - began) + len(chunk) / _LEAST_RATE)
        if credit <= 0:
            raise ProviderTimeoutError(f"{label} sends the content too slowly.", answered=False)
        yield chunk


def _exactly(length: int, first: bytes, rest: Iterator[bytes], label: str) -> Iterator[bytes]:
    """Yield exactly `length` bytes, or break the transfer so that nobody takes a part for the whole."""
    sent = 0
    chunk: bytes | None = first
    while chunk:
        sent += len(chunk)
        if sent > length:
            raise ProviderUnavailableError(f"{label} sends more bytes than it announced.")
        yield chunk
        chunk = next(rest, None)
    if sent < length:
        raise ProviderUnavailableError(f"{label} stopped after {sent} of {length} bytes.")


def _spooled(download: Download, label: str) -> Download:
    """Hold the bytes on disk to learn their number: a download without length could end early unnoticed."""
    try:
        spool = HeldFile(settings.SPOOL_DIR, prefix="download-")
    except BaseException:
        download.close()
        raise
    try:
        for chunk in _kept_up(download.chunks, label):
            spool.write(chunk)
            if spool.tell() > settings.MAX_FILE_BYTES:
                raise InvalidResponseError("The provider's file is larger than the gateway's limit.")
        length = spool.rewind()
    except BaseException:
        spool.close()
        raise
    finally:
        download.close()
    chunks = spool.chunks(settings.DOWNLOAD_CHUNK_BYTES)
    return Download(chunks, spool.close, length, download.content_type, download.content_range)
