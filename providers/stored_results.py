"""Batch results in a bucket: which objects belong together, and their translations beside them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from providers.exceptions import RemoteFileNotFoundError
from providers.object_store import ObjectStoreDriver
from providers.objects import Digest, Operation, RemoteFile, RemotePage
from providers.results import (
    RESULT_PARTS,
    JobResults,
    ResultName,
    ResultPart,
    result_name,
    translation_id,
)
from providers.transports.details import Details
from providers.transports.objects import ObjectStore, Writing

#: What a driver lets each operation pass through.
Door: TypeAlias = Callable[[Operation], AbstractContextManager[None]]


class StoredResults(JobResults):
    """The results in the buckets of one account. names: as `result_name` wants it."""

    def __init__(self, driver: ObjectStoreDriver, names: re.Pattern[str], door: Door) -> None:
        self._driver = driver
        self._names = names
        self._door = door

    def name_of(self, remote_id: str) -> ResultName | None:
        return result_name(self._names, remote_id)

    def list_page(self, *, namespace: str, cursor: str | None = None) -> RemotePage:
        with self._door(Operation.LIST):
            return self._driver.list_below(f"{self._driver.prefix}{namespace}/results/", cursor)

    def parts(self, remote_id: str) -> tuple[RemoteFile, ...]:
        return tuple(self._split_folder(remote_id)[0])

    def translate(
        self, remote_id: str, lines: Iterator[tuple[ResultPart, bytes]]
    ) -> Mapping[ResultPart, Digest]:
        self.delete_translations(remote_id)
        with self._door(Operation.CREATE):
            return self._written(remote_id, lines)

    def delete(self, remote_id: str) -> None:
        self.delete_translations(remote_id)
        parts, has_others = self._split_folder(remote_id)
        for part in parts:
            found = self.name_of(part.remote_id)
            is_kept = found is not None and found.is_summary and has_others
            if part.remote_id != remote_id and not is_kept:
                self._delete_if_there(part.remote_id)
        self._driver.delete_file(remote_id)  # last: what is left of a delete that failed is found by its name

    def delete_translations(self, remote_id: str) -> None:
        for part in RESULT_PARTS:
            self._delete_if_there(translation_id(remote_id, part))

    def _delete_if_there(self, remote_id: str) -> None:
        with suppress(RemoteFileNotFoundError):
            self._driver.delete_file(remote_id)

    def _split_folder(self, remote_id: str) -> tuple[list[RemoteFile], bool]:
        """Return all that belongs to a result, and whether its folder has other results."""
        wanted = self.name_of(remote_id)
        if wanted is None:
            return [], False
        found = [(file, name) for file in self._beside(remote_id) if (name := self.name_of(file.remote_id))]
        parts = [(file, name) for file, name in found if name.is_summary or name.group == wanted.group]
        parts.sort(key=lambda each: (each[1].is_summary, each[1].order))
        return [file for file, _ in parts], len(parts) < len(found)

    def _beside(self, remote_id: str) -> Iterator[RemoteFile]:
        """Yield what lies in the folder of an object, but not in the folders below."""
        folder = remote_id.rpartition("/")[0]
        token: str | None = None
        while True:
            with self._door(Operation.LIST):
                files, token = self._driver.list_folder(folder, token)
            yield from (file for file in files if file.remote_id.rpartition("/")[0] == folder)
            if token is None:
                return

    def _written(
        self, remote_id: str, lines: Iterator[tuple[ResultPart, bytes]]
    ) -> Mapping[ResultPart, Digest]:
        files: dict[ResultPart, _Translation] = {}
        try:
            files["output"] = self._begun(remote_id, "output")
            for part, chunk in lines:
                if part not in files:
                    files[part] = self._begun(remote_id, part)
                files[part].write(chunk)
            for file in files.values():
                file.writing.publish(file.details)
        except BaseException:
            for file in files.values():
                file.writing.abort()
            raise
        return {part: Digest(file.writing.size, file.sha256.hexdigest()) for part, file in files.items()}

    def _begun(self, remote_id: str, part: ResultPart) -> _Translation:
        bucket, _, key = translation_id(remote_id, part).partition("/")
        return _Translation.begin(self._driver.store, bucket, key)


@dataclass(slots=True)
class _Translation:
    writing: Writing
    details: Details
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)

    @classmethod
    def begin(cls, store: ObjectStore, bucket: str, key: str) -> _Translation:
        details = Details(filename=key.rpartition("/")[2], content_type="application/jsonl")
        return cls(store.begin(bucket, key, details), details)

    def write(self, chunk: bytes) -> None:
        self.writing.write(chunk)
        self.sha256.update(chunk)
