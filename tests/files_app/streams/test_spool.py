"""Spooling: only for providers that force it, and only when the client's order makes it necessary."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from files_app.exceptions import InvalidRequestError, TemporaryError
from files_app.streams.spool import arranged, needs_spool
from providers.objects import (
    Capabilities,
    Digest,
    ExpiresAfterPart,
    FilePart,
    PurposePart,
    UploadPart,
)

CONTENT = b"0123456789" * 1000
DIGEST = Digest(len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
Parts = Callable[[], Iterator[UploadPart]]


def file_first() -> Iterator[UploadPart]:
    yield FilePart("a.txt", "text/plain", iter([CONTENT[:4000], CONTENT[4000:]]))
    yield PurposePart("user_data")
    yield ExpiresAfterPart(3600)


def file_last() -> Iterator[UploadPart]:
    yield PurposePart("user_data")
    yield ExpiresAfterPart(3600)
    yield FilePart("a.txt", "text/plain", iter([CONTENT]))


def file_in_the_middle() -> Iterator[UploadPart]:
    yield PurposePart("user_data")
    yield FilePart("a.txt", "text/plain", iter([CONTENT]))
    yield ExpiresAfterPart(3600)


def arrange(
    parts: Iterator[UploadPart], capabilities: Capabilities, directory: Path
) -> list[PurposePart | ExpiresAfterPart | tuple[bytes, int | None, str | None]]:
    with arranged(
        parts, capabilities, digest=lambda: DIGEST, directory=directory, chunk_bytes=999
    ) as ordered:
        return [
            (b"".join(part.chunks), part.length, part.sha256) if isinstance(part, FilePart) else part
            for part in ordered
        ]


FIELDS = [PurposePart("user_data"), ExpiresAfterPart(3600)]
STREAMED = (CONTENT, None, None)
SPOOLED = (CONTENT, DIGEST.bytes, DIGEST.sha256)


@pytest.mark.parametrize(
    ("capabilities", "parts", "expected"),
    [
        (Capabilities(), file_first, [STREAMED, *FIELDS]),
        (Capabilities(), file_last, [*FIELDS, STREAMED]),
        (Capabilities(text_fields_first=True), file_last, [*FIELDS, STREAMED]),
        (Capabilities(text_fields_first=True), file_first, [*FIELDS, SPOOLED]),
        (Capabilities(text_fields_first=True), file_in_the_middle, [FIELDS[0], STREAMED]),
        (Capabilities(needs_whole_file=True), file_last, [*FIELDS, SPOOLED]),
        (Capabilities(needs_whole_file=True), file_first, [*FIELDS, SPOOLED]),
        (Capabilities(needs_whole_file=True), file_in_the_middle, [*FIELDS, SPOOLED]),
    ],
)
def test_parts_arrive_as_the_provider_needs_them(
    capabilities: Capabilities, parts: Parts, expected: object, tmp_path: Path
) -> None:
    assert arrange(parts(), capabilities, tmp_path) == expected
    assert list(tmp_path.iterdir()) == []


def test_a_provider_that_streams_has_no_spool(tmp_path: Path) -> None:
    assert not needs_spool(Capabilities())
    arrange(file_first(), Capabilities(), tmp_path / "missing")


def test_a_spooled_file_can_be_read_again(tmp_path: Path) -> None:
    capabilities = Capabilities(needs_whole_file=True)
    with arranged(
        file_first(), capabilities, digest=lambda: DIGEST, directory=tmp_path, chunk_bytes=999
    ) as ordered:
        *_, file = ordered
        assert isinstance(file, FilePart)
        assert file.reopen is not None
        assert b"".join(file.chunks) == b"".join(file.reopen()) == b"".join(file.reopen()) == CONTENT


def test_a_verdict_behind_the_file_comes_before_the_provider_gets_it(tmp_path: Path) -> None:
    def refused() -> Iterator[UploadPart]:
        yield FilePart("a.txt", "text/plain", iter([CONTENT]))
        raise InvalidRequestError("refused")

    passed: list[UploadPart] = []
    with (
        pytest.raises(InvalidRequestError, match="refused"),
        arranged(
            refused(),
            Capabilities(needs_whole_file=True),
            digest=lambda: DIGEST,
            directory=tmp_path,
            chunk_bytes=999,
        ) as ordered,
    ):
        passed.extend(ordered)
    assert passed == []


class Unwritable(io.RawIOBase):
    """A file of which nothing reaches the disk."""

    def __init__(self, number: int) -> None:
        self._number = number

    def writable(self) -> bool:
        return True

    readable = seekable = writable

    def write(self, data: object) -> int:
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "storage_full"), (errno.EDQUOT, "storage_full"), (errno.EROFS, "storage_failed")],
)
@pytest.mark.parametrize("buffer", [1, 1 << 20], ids=["at once", "with the last byte"])
def test_a_disk_that_refuses_is_a_temporary_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str, buffer: int
) -> None:
    monkeypatch.setattr(
        "tempfile.TemporaryFile", lambda **kwargs: io.BufferedRandom(Unwritable(number), buffer)
    )
    with pytest.raises(TemporaryError, match=os.strerror(number)) as caught:
        arrange(file_first(), Capabilities(needs_whole_file=True), tmp_path)
    assert (caught.value.status, caught.value.code) == (503, code)
    assert caught.value.retry_after_seconds


def test_a_disk_that_takes_no_file_is_a_temporary_failure(tmp_path: Path) -> None:
    with pytest.raises(TemporaryError) as caught:
        arrange(file_first(), Capabilities(needs_whole_file=True), tmp_path / "away")
    assert (caught.value.status, caught.value.code) == (503, "storage_failed")
