"""Files of this host: uploads from its disk and downloads to it, in constant memory."""

from __future__ import annotations

import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from django.conf import settings

from files_app.exceptions import InvalidRequestError
from files_app.filenames import DEFAULT_FILENAME, clean_filename
from files_app.models import File, FileState, Organization, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.selection import select_account
from files_app.services.index.callers import Caller
from files_app.services.reading.downloads import OpenedFile, open_file
from files_app.services.reading.readback import read_back
from files_app.services.uploads import dry_run
from files_app.services.uploads.begin import check_declared_length, rules_for, upload_file
from files_app.services.uploads.dry_run import DryRun
from files_app.services.uploads.request import UploadObserver, UploadRequest
from files_app.services.uploads.reservation import quota_exceeded
from files_app.streams.checks import UploadChecks
from files_app.streams.raw import RawSource
from files_app.words import readable_bytes
from providers.exceptions import InvalidResponseError
from providers.objects import Operation

OnBytes = Callable[[int], None]
STANDARD_INPUT = Path("-")

#: Most file systems take 255 bytes; some are kept for the temporary name.
_MAX_NAME_BYTES = 200


class LocalFileError(InvalidRequestError):
    """A path of this host cannot be used."""


@dataclass(frozen=True, slots=True)
class LocalUpload:
    """What is to be uploaded. account_name None takes the organization's default.

    path: `-` is standard input, which is held on disk first: whoever sends it has to come to its end.
    """

    path: Path
    organization: Organization
    purpose: str
    account_name: str | None = None
    filename: str = ""
    content_type: str = "application/octet-stream"
    expires_after_seconds: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None


def upload_from_disk(upload: LocalUpload, *, caller: Caller, on_bytes: OnBytes = lambda amount: None) -> File:
    """Upload a file of this host and return it as the index holds it.

    on_bytes: called with the size of each piece that was read.
    Raises LocalFileError, GatewayError and ProviderError.
    """
    with _opened(upload.path) as (file, size):
        source = _source(upload, file, size, on_bytes)
        request = UploadRequest(caller, source, upload.account_name, upload.metadata, model=upload.model)
        return upload_file(request, _ChangeRefusal(file, size))


def try_upload(upload: LocalUpload, *, caller: Caller) -> DryRun:
    """Read a file of this host as an upload would, and return what would become of it.

    Raises LocalFileError, GatewayError and ProviderError.
    """
    with _opened(upload.path) as (file, size):
        source = _source(upload, file, size, lambda amount: None)
        return dry_run.check_upload(UploadRequest(caller, source, upload.account_name, model=upload.model))


def check_upload(upload: LocalUpload) -> tuple[ProviderAccount, int]:
    """Return where a file would go and its size. Raises what an upload raises before its first byte."""
    with _opened(upload.path) as (file, size):
        source = _source(upload, file, size, lambda amount: None)
        account = select_account(upload.organization, upload.account_name)
        driver = driver_for(account)
        driver.require(Operation.CREATE)
        check_declared_length(rules_for(upload.organization, driver, source), source)
        if upload.purpose not in driver.capabilities.purposes:
            known = ", ".join(sorted(driver.capabilities.purposes))
            raise InvalidRequestError(f"{driver.label} takes the purposes {known}.", param="purpose")
        if size > upload.organization.free_bytes:
            raise quota_exceeded(upload.organization.pk, size)
    return account, size


def size_on_disk(path: Path) -> int:
    """Return the size of a file that can be uploaded. Raises LocalFileError."""
    with _opened(path) as (_, size):
        return size


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    if path == STANDARD_INPUT:
        with _held() as (held, size):
            yield held, size
        return
    with _disk_errors(path):
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115  # closed below
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise LocalFileError(f"{path} is not a regular file.")
        yield file, status.st_size


@contextmanager
def _held() -> Iterator[tuple[BinaryIO, int]]:
    """Hold standard input in SPOOL_DIR, in a file that ends with this process. Raises LocalFileError."""
    with _disk_errors(None), tempfile.TemporaryFile(dir=settings.SPOOL_DIR, prefix="upload-") as held:
        while chunk := sys.stdin.buffer.read(settings.UPLOAD_CHUNK_BYTES):
            held.write(chunk)
            if held.tell() > settings.MAX_FILE_BYTES:
                raise LocalFileError(f"The limit for one file is {readable_bytes(settings.MAX_FILE_BYTES)}.")
        held.flush()
        size = held.tell()
        held.seek(0)
        yield cast(BinaryIO, held), size


def _source(upload: LocalUpload, file: BinaryIO, size: int, on_bytes: OnBytes) -> RawSource:
    def read(amount: int) -> bytes:
        with _disk_errors(upload.path):
            chunk = file.read(amount)
        on_bytes(len(chunk))
        return chunk

    return RawSource(
        read=read,
        length=size,
        filename=upload.filename or (DEFAULT_FILENAME if upload.path == STANDARD_INPUT else upload.path.name),
        content_type=upload.content_type,
        purpose=upload.purpose,
        expires_after_seconds=upload.expires_after_seconds,
        chunk_bytes=settings.UPLOAD_CHUNK_BYTES,
    )


class _ChangeRefusal(UploadObserver):
    """Refuses a file that grows while it is read: it would be stored as a part of itself."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def judged(self, checks: UploadChecks, account: ProviderAccount) -> None:
        """Compare the size with that of the beginning. Raises LocalFileError."""
        if os.fstat(self._file.fileno()).st_size != self._size:
            raise LocalFileError(
                "The file changed while it was read. Upload it again when nobody writes to it."
            )


@dataclass(frozen=True, slots=True)
class Saved:
    """A finished download. is_verified: its bytes are those that were uploaded, by their checksum."""

    bytes: int
    sha256: str
    is_verified: bool


def default_name(file: File) -> str:
    """Return a name for the file on this host: nothing of a client's one that makes it a path or hidden."""
    name = clean_filename(file.filename or file.file_id).lstrip(".-~ ") or DEFAULT_FILENAME
    stem, dot, extension = name.rpartition(".")
    tail = (dot + extension) if stem and len((dot + extension).encode()) <= 20 else ""
    head = name[: len(name) - len(tail)].encode()[: _MAX_NAME_BYTES - len(tail.encode())]
    return head.decode(errors="ignore") + tail


def target_path(file: File, output: str) -> Path:
    """Return where a download goes: `output`, or the file's own name in it when it is a directory.

    Raises LocalFileError for a directory that does not exist.
    """
    path = Path(output)
    if path.is_dir():
        return path / default_name(file)
    if output.endswith("/"):
        raise LocalFileError(f"There is no directory {path}.")
    return path


def download_to_disk(
    file: File,
    path: Path,
    *,
    caller: Caller,
    overwrite: bool = False,
    on_bytes: OnBytes = lambda amount: None,
) -> Saved:
    """Save a file's bytes under `path`, which appears only when they are complete and as they were uploaded.

    Raises LocalFileError, GatewayError and ProviderError; then `path` is as it was before.
    """
    with complete_file(path, overwrite=overwrite) as target:
        return download_to_stream(file, target, caller=caller, on_bytes=on_bytes)


@contextmanager
def complete_file(path: Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Yield a file to write, which gets its name at the end of the block; else nothing of it stays.

    Raises LocalFileError.
    """
    if not overwrite and os.path.lexists(path):
        raise _exists(path)
    draft = path.with_name(f".{secrets.token_hex(8)}.part")
    with _disk_errors(draft.parent):
        target = open(draft, "xb")  # noqa: SIM115  # closed below, also when that is what fails
    try:
        with target:
            yield target
            with _disk_errors(path):
                target.flush()
                os.fsync(target.fileno())
        _publish(draft, path, overwrite=overwrite)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_chunks(opened: OpenedFile, target: BinaryIO, *, on_bytes: OnBytes = lambda amount: None) -> None:
    """Write all that was opened, and close it. Raises LocalFileError and ProviderError."""
    with closing(opened):
        for chunk in opened.chunks:
            with _disk_errors(None):
                target.write(chunk)
            on_bytes(len(chunk))


def download_to_stream(
    file: File, target: BinaryIO, *, caller: Caller, on_bytes: OnBytes = lambda amount: None
) -> Saved:
    """Write a file's bytes and compare them with what was uploaded.

    Raises InvalidResponseError when they differ: what was written is then worth nothing.
    """
    if file.state != FileState.AVAILABLE:
        raise InvalidRequestError(f"The file {file.file_id} is {file.state}: it has no content to download.")
    is_exact = driver_for(file.account).capabilities.content == "exact"

    def take(chunk: bytes) -> None:
        with _disk_errors(None):
            target.write(chunk)
        on_bytes(len(chunk))

    opened = open_file(file, caller=caller)
    found = read_back(opened.chunks, opened.close, take)
    if is_exact and file.sha256 and found.sha256 != file.sha256:
        raise InvalidResponseError(
            f"The bytes of {file.file_id} are not those that were uploaded: their sha256 is "
            f"{found.sha256} instead of {file.sha256}. Nothing was kept.",
            provider=file.account.name,
        )
    return Saved(found.bytes, found.sha256, is_verified=is_exact and bool(file.sha256))


def _publish(draft: Path, path: Path, *, overwrite: bool) -> None:
    """Give the draft its name; without `overwrite` only when nobody has taken it meanwhile."""
    with _disk_errors(path):
        if not overwrite:
            try:
                open(path, "xb").close()
            except FileExistsError:
                raise _exists(path) from None
        draft.replace(path)


def _exists(path: Path) -> LocalFileError:
    return LocalFileError(f"{path} exists already. Choose another name with --output, or add --force.")


@contextmanager
def _disk_errors(path: Path | None) -> Iterator[None]:
    """Turn an OSError into a LocalFileError; a closed pipe stays what it is."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as exc:
        place = f"{path}: " if path is not None else ""
        raise LocalFileError(f"{place}{exc.strerror or exc}.") from exc
