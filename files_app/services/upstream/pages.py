"""Reads a provider's list to its end: the one pager, bounded in pages and time."""

from __future__ import annotations

import time
from collections.abc import Iterator

from providers.base import Driver
from providers.objects import RemoteFile

MAX_PAGES = 1_000
MAX_SECONDS = 120.0


class RemoteList:
    """A provider's files, page by page, each file once. Iterate it once.

    seen: the remote ids so far. is_complete: whether the list was read to its end.
    renditions: what lies beside files for batch jobs and is no file, by the remote id of its file.
    translations: what lies beside batch results and is no file, with the remote ids of the results.
    """

    def __init__(
        self, driver: Driver, *, max_pages: int = MAX_PAGES, max_seconds: float = MAX_SECONDS
    ) -> None:
        self._driver = driver
        self._max_pages = max_pages
        self._max_seconds = max_seconds
        self.seen: set[str] = set()
        self.renditions: dict[str, RemoteFile] = {}
        self.translations: list[tuple[str, RemoteFile]] = []
        self.is_complete = False

    def __iter__(self) -> Iterator[list[RemoteFile]]:
        deadline = time.monotonic() + self._max_seconds
        cursors: set[str | None] = set()
        cursor: str | None = None
        while cursor not in cursors and len(cursors) < self._max_pages and time.monotonic() < deadline:
            cursors.add(cursor)
            page = self._driver.list_files(cursor=cursor)
            fresh = self._unseen(page.files)
            yield self._files_of(fresh)
            if page.next_cursor is None or (page.files and not fresh):  # some ignore their own cursor
                self.is_complete = True
                return
            cursor = page.next_cursor

    def _files_of(self, fresh: list[RemoteFile]) -> list[RemoteFile]:
        """Return the files among what a page brought, and keep what lies beside them."""
        files = []
        for remote in fresh:
            if remote.rendition_of is not None:
                self.renditions[remote.rendition_of] = remote
            elif remote.translation_of is not None:
                self.translations.append((remote.translation_of, remote))
            else:
                files.append(remote)
        return files

    def _unseen(self, files: tuple[RemoteFile, ...]) -> list[RemoteFile]:
        """Return the files that no page had yet: lists shift while they are read."""
        fresh = {remote.remote_id: remote for remote in files if remote.remote_id not in self.seen}
        self.seen.update(fresh)
        return list(fresh.values())
