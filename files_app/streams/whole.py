"""Reads a small upload into memory: whoever has all of it can judge it before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from providers.objects import Digest, FilePart, UploadPart


def read_whole(parts: Iterable[UploadPart], *, digest: Callable[[], Digest]) -> list[UploadPart]:
    """Read all parts to their end and return them as a spool would: text fields first, and the file's facts.

    digest: tells size and checksum of the file once its chunks have been read.
    """
    fields: list[UploadPart] = []
    files: list[FilePart] = []
    chunks: list[bytes] = []
    for part in parts:
        if isinstance(part, FilePart):
            chunks.extend(part.chunks)
            files.append(part)
        else:
            fields.append(part)
    held = digest()
    return [*fields, *(_reread(file, chunks, held) for file in files)]


def _reread(file: FilePart, chunks: list[bytes], held: Digest) -> FilePart:
    return replace(
        file,
        chunks=iter(chunks),
        length=held.bytes,
        sha256=held.sha256,
        reopen=lambda: iter(chunks),
    )
