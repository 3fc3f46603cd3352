"""Holds an upload on disk for providers that must know it whole before the first byte is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from files_app.streams.held import HeldFile
from providers.objects import Capabilities, Digest, ExpiresAfterPart, FilePart, PurposePart, UploadPart


def needs_spool(capabilities: Capabilities) -> bool:
    """Whether the provider may force the gateway to hold an upload before it sends it."""
    return capabilities.needs_whole_file or capabilities.text_fields_first


@contextmanager
def arranged(
    parts: Iterator[UploadPart],
    capabilities: Capabilities,
    *,
    digest: Callable[[], Digest],
    directory: Path,
    chunk_bytes: int,
    on_sent: Callable[[], None] = lambda: None,
) -> Iterator[Iterator[UploadPart]]:
    """Yield the parts in an order and with the knowledge that the provider demands.

    Spools only when it must: a provider that wants its text fields first costs nothing when the client sent
    them first. `digest` tells size and checksum of the file once its chunks have been read. `on_sent` is
    called for each chunk that leaves the spool.
    """
    if not needs_spool(capabilities):
        yield parts
        return
    with HeldFile(directory, prefix="upload-") as spool:
        yield _arranged(parts, capabilities, spool, digest, chunk_bytes, on_sent)


def _arranged(
    parts: Iterator[UploadPart],
    capabilities: Capabilities,
    spool: HeldFile,
    digest: Callable[[], Digest],
    chunk_bytes: int,
    on_sent: Callable[[], None],
) -> Iterator[UploadPart]:
    early: list[UploadPart] = []
    for part in parts:
        if not isinstance(part, FilePart):
            early.append(part)
            continue
        if not capabilities.needs_whole_file and any(isinstance(p, PurposePart) for p in early):
            yield from early
            yield part
            yield from _no_late_fields(parts)
            return
        for chunk in part.chunks:
            spool.write(chunk)
        yield from [*early, *parts]  # the parts behind the file, and with their end the verdict
        spool.rewind()  # says now whether there was room for the last bytes
        held = digest()

        def reopen() -> Iterator[bytes]:
            spool.rewind()
            for chunk in spool.chunks(chunk_bytes):
                on_sent()
                yield chunk

        yield replace(part, chunks=reopen(), length=held.bytes, sha256=held.sha256, reopen=reopen)
        return
    yield from early


def _no_late_fields(parts: Iterator[UploadPart]) -> Iterator[UploadPart]:
    """Pass the rest on; a late `expires_after` is kept by the gateway, since the provider cannot take it."""
    return (part for part in parts if not isinstance(part, ExpiresAfterPart))
