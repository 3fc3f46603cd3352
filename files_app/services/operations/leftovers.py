"""What dead uploads and deleted accounts left on this host's disk, so that nobody has to wonder about it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from django.conf import settings

from files_app.models import ProviderAccount
from files_app.services.operations.findings import Finding, ok, shortened
from files_app.words import readable_bytes
from providers.transports.disk import INCOMING, is_tree_name

#: A younger one may belong to an upload that runs.
_YOUNG_SECONDS = 3_600


def on_disk() -> Iterator[Finding]:
    files = Path(settings.DATA_DIR) / "files"
    half_written = [size for folder in _incoming(files) for size in _old_sizes(folder)]
    if half_written:
        protection = timedelta(seconds=settings.CLEANUP_PROTECTION_SECONDS)
        yield ok(
            "local disk",
            f"{len(half_written)} half-written files ({readable_bytes(sum(half_written))}) of uploads that "
            f"died lie in {INCOMING} folders: the worker removes them when they are {protection} old",
        )
    if strays := _ownerless(files):
        yield ok(
            "local disk",
            f"{shortened(strays)} in {files} are of accounts that were deleted: yours to remove",
        )


def _incoming(files: Path) -> Iterator[Path]:
    yield from files.glob(f"*/{INCOMING}")
    yield from files.glob(f"*/*/{INCOMING}")


def _old_sizes(folder: Path) -> Iterator[int]:
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            status = path.stat(follow_symlinks=False)
            if status.st_mtime < time.time() - _YOUNG_SECONDS:
                yield status.st_size


def _ownerless(files: Path) -> list[str]:
    """Return the folders that were an account's own and are nobody's now."""
    if not files.is_dir():
        return []
    folders = {path.name for path in files.iterdir() if is_tree_name(path.name)}
    return sorted(folders - set(ProviderAccount.objects.values_list("disk_segment", flat=True)))
