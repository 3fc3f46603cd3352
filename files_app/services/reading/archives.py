"""Many files as one archive: a tar whose length is known before its first byte, streamed file by file."""

from __future__ import annotations

import tarfile
import unicodedata
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain

from files_app.exceptions import GatewayError, InvalidRequestError
from files_app.models import File, FileState
from files_app.services.index.callers import Caller
from files_app.services.reading.downloads import OpenedFile, open_file, require_content
from providers.exceptions import InvalidResponseError, ProviderConfigurationError, ProviderError

MAX_FILES = 1_000
CONTENT_TYPE = "application/x-tar"
#: Lists what could not come along, where there is such a thing.
LEFT_OUT = "LEFT-OUT.txt"
#: In bytes of UTF-8, as file systems have it; names of files may have as many characters.
_LONGEST_NAME = 255
_LONGEST_ENDING = 32
_BLOCK = tarfile.BLOCKSIZE
_END = b"\0" * 2 * _BLOCK


@dataclass(slots=True)
class Archive:
    """What an archive is to hold. left_out: files that it cannot, each with the reason."""

    files: list[tuple[File, bytes]] = field(default_factory=list)
    left_out: list[tuple[File, str]] = field(default_factory=list)

    @property
    def length(self) -> int:
        """How many bytes the archive has."""
        contents = sum(len(header) + _padded(file.bytes) for file, header in self.files)
        return contents + len(self._note()) + len(_END)

    def open(self, *, caller: Caller) -> OpenedFile:
        """Open it for one reader; the first bytes of its first file have arrived when this returns.

        Raises InvalidRequestError where nothing can be in it, GatewayError and ProviderError. What fails
        later breaks the transfer: `chunks` raises, and what has arrived is shorter than `length`.
        """
        if not self.files:
            reasons = "; ".join(sorted({reason for _, reason in self.left_out})) or "nothing was chosen"
            raise InvalidRequestError(f"None of these files can be in an archive: {reasons}.")
        chunks = self._chunks(caller)
        first = next(chunks)
        return OpenedFile(chain([first], chunks), chunks.close, self.length, CONTENT_TYPE)

    def _chunks(self, caller: Caller) -> Generator[bytes, None, None]:
        for file, header in self.files:
            with closing(open_file(file, caller=_for(file, caller), part="archive")) as opened:
                if opened.length != file.bytes:
                    raise InvalidResponseError(f"'{file.file_id}' has another size than the index says.")
                yield header
                yield from opened.chunks
            yield b"\0" * (_padded(file.bytes) - file.bytes)
        yield self._note() + _END

    def _note(self) -> bytes:
        """Return the entry that names what was left out, with its header; nothing where all came along."""
        if not self.left_out:
            return b""
        lines = [f"{file.file_id}\t{_one_line(file.filename)}\t{reason}\n" for file, reason in self.left_out]
        text = "".join(lines).encode()
        return _header(LEFT_OUT, len(text), 0) + text.ljust(_padded(len(text)), b"\0")


def archive_of(files: Iterable[File], *, max_files: int = MAX_FILES) -> Archive:
    """Return what an archive of these files holds; nothing is read yet.

    Raises InvalidRequestError for more than it takes.
    """
    archive, names = Archive(), _Names()
    for number, file in enumerate(files, 1):
        if number > max_files:
            raise InvalidRequestError(f"An archive has at most {max_files:,} files: choose fewer.")
        if reason := _why_not(file):
            archive.left_out.append((file, reason))
        else:
            name = names.of(file.filename or file.file_id)
            archive.files.append((file, _header(name, file.bytes, file.created_at.timestamp())))
    return archive


def _why_not(file: File) -> str:
    """Return why a file cannot be in an archive; empty where it can."""
    if file.state != FileState.AVAILABLE or file.is_expired or file.is_withheld:
        return "it is not stored any more"
    try:
        driver = require_content(file)
    except (GatewayError, ProviderError) as exc:
        return exc.message.rstrip(".")
    except ProviderConfigurationError:
        return "its account is misconfigured"
    if not file.sha256 or driver.capabilities.content != "exact":
        return "its exact size is not known"
    return ""


class _Names:
    """Gives each file a name of its own, `a (2).txt`, also where case and the spelling of é do not count."""

    def __init__(self) -> None:
        self._taken = {_sameness(LEFT_OUT)}

    def of(self, filename: str) -> str:
        """Return the name under which a file is in the archive; no part of it is a folder."""
        plain = _one_line(filename).replace("/", "_").replace("\\", "_").strip(". ") or "unnamed"
        stem, dot, ending = plain.rpartition(".")
        if not stem or len(ending.encode()) > _LONGEST_ENDING:
            stem, dot, ending = plain, "", ""
        name, number = _fitting(stem, f"{dot}{ending}"), 1
        while _sameness(name) in self._taken:
            number += 1
            name = _fitting(stem, f" ({number}){dot}{ending}")
        self._taken.add(_sameness(name))
        return name


def _sameness(name: str) -> str:
    """Return what is equal of names that some file system takes for one."""
    return unicodedata.normalize("NFC", name.casefold())


def _fitting(stem: str, rest: str) -> str:
    """Return a name that file systems take: of a long one the stem's end is cut off."""
    room = _LONGEST_NAME - len(rest.encode())
    return stem.encode()[:room].decode(errors="ignore") + rest


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "_" for character in text)


def _header(name: str, size: int, changed_at: float) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, int(changed_at), 0o644
    return entry.tobuf(tarfile.PAX_FORMAT)


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _for(file: File, caller: Caller) -> Caller:
    """Return the caller in the audit trail of the file's organization."""
    return Caller(
        organization_id=file.organization_id,
        actor_type=caller.actor_type,
        actor=caller.actor,
        ip=caller.ip,
        request_id=caller.request_id,
    )
