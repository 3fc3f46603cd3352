"""Uploads as the service layer hands them to a driver."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal

from providers.objects import Digest, ExpiresAfterPart, FilePart, PurposePart, Upload, UploadPart

Position = Literal["before the file", "at its first byte", "inside", "at the last check"]


class ProbeError(Exception):
    """What an upload's own check raises in a test."""


class UploadSource:
    """Makes one Upload and counts what was pulled from it.

    fails: where its iterator raises `error`. announced: the file was spooled, so its length is known.
    """

    def __init__(
        self,
        content: bytes,
        *,
        purpose: str = "batch",
        filename: str = "requests.jsonl",
        content_type: str = "application/octet-stream",
        expires_after_seconds: int | None = None,
        file_first: bool = False,
        announced: bool = False,
        chunk_bytes: int = 65_536,
        repeat: int = 1,
        fails: Position | None = None,
        error: Exception | None = None,
    ) -> None:
        self.chunks = [content[at : at + chunk_bytes] for at in range(0, len(content), chunk_bytes)] * repeat
        self.pulled_bytes = 0
        self.passed_its_checks = False
        self.error = error or ProbeError("the upload was refused")
        self._fails = fails
        self._file_first = file_first
        self._fields: list[UploadPart] = [PurposePart(purpose)]
        if expires_after_seconds is not None:
            self._fields.append(ExpiresAfterPart(expires_after_seconds))
        self._file = FilePart(
            filename,
            content_type,
            self._read(),
            length=self.total_bytes if announced else None,
            sha256=self.digest().sha256 if announced else None,
            reopen=(lambda: iter(self.chunks)) if announced else None,
        )
        self.upload = Upload(
            file_id="file-" + "a" * 26, namespace="org", parts=self._parts(), digest=self.digest
        )

    @property
    def total_bytes(self) -> int:
        return sum(map(len, self.chunks))

    def digest(self) -> Digest:
        whole = hashlib.sha256()
        for chunk in self.chunks:
            whole.update(chunk)
        return Digest(self.total_bytes, whole.hexdigest())

    def _parts(self) -> Iterator[UploadPart]:
        self._fail("before the file")
        if not self._file_first:
            yield from self._fields
        yield self._file
        if self._file_first:
            yield from self._fields
        self._fail("at the last check")
        self.passed_its_checks = True

    def _read(self) -> Iterator[bytes]:
        self._fail("at its first byte")
        for number, chunk in enumerate(self.chunks):
            if number == len(self.chunks) // 2:
                self._fail("inside")
            self.pulled_bytes += len(chunk)
            yield chunk

    def _fail(self, position: Position) -> None:
        if position == self._fails:
            raise self.error
