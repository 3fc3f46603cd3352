"""Renditions: what a provider's batch jobs read, kept as a second object beside the file that was uploaded.

    <prefix>/<namespace>/<file id>.jsonl                         the file, byte for byte
    <prefix>/<namespace>/batch/<file id>/<file id>.jsonl         its rendition, alone in its folder
    <prefix>/<namespace>/results/<file id>/                      where a job should write to

A job may be given the folder, and must then find nothing else there. All three names follow from the first,
so that whoever deletes a file needs no other knowledge to delete its rendition.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from providers.exceptions import InvalidResponseError
from providers.objects import BatchFacts, JSONObject, Rendering
from providers.transports.details import Details
from providers.transports.objects import ObjectStore, StoredObject, Writing

_FILE: Final = re.compile(r"(?P<folder>(?:.*/)?[A-Za-z0-9_-]{1,64}/)(?P<id>file-[A-Za-z0-9_-]{1,59})\.jsonl")
_RENDITION: Final = re.compile(
    r"(?P<folder>(?:.*/)?[A-Za-z0-9_-]{1,64}/)batch/(?P<id>file-[A-Za-z0-9_-]{1,59})/(?P=id)\.jsonl"
)


@dataclass(frozen=True, slots=True)
class ObjectName:
    """What names an object; `bucket` is empty where there are none."""

    bucket: str
    key: str


def rendition_key(key: str) -> str | None:
    """Return where the rendition of the file under `key` is; None for what can have none."""
    found = None if _RENDITION.fullmatch(key) else _FILE.fullmatch(key)
    return f"{found['folder']}batch/{found['id']}/{found['id']}.jsonl" if found else None


def original_key(key: str) -> str | None:
    """Return whose rendition is under `key`; None for what is no rendition."""
    found = _RENDITION.fullmatch(key)
    return f"{found['folder']}{found['id']}.jsonl" if found else None


def results_folder(key: str) -> str:
    """Return the folder that the jobs of the file under `key` should write to, ending with a slash."""
    folder, _, name = key.rpartition("/")
    return f"{folder}/results/{name.removesuffix('.jsonl')}/"


def batch_member(name: ObjectName, facts: BatchFacts, scheme: str) -> JSONObject:
    """Return the `batch` member of a file object: what a job is told, and what was found in the lines."""
    key = rendition_key(name.key) if facts.is_rendered else name.key
    return {
        "format": facts.format,
        "uri": f"{scheme}://{name.bucket}/{key}",
        "bytes": facts.bytes,
        "records": facts.records,
        "model": facts.model,
        "endpoint": facts.endpoint,
        "ignored": list(facts.ignored),
        "warnings": list(facts.warnings),
        "output_uri": f"{scheme}://{name.bucket}/{results_folder(name.key)}",
    }


class RenditionWriting:
    """The rendition of the file `name` on its way into a store. It is begun with the first rendered bytes."""

    def __init__(self, store: ObjectStore, name: ObjectName, rendering: Rendering | None) -> None:
        self._store = store
        self._name = name
        self._rendering = rendering
        self._writing: Writing | None = None

    def render(self) -> None:
        """Write what was rendered of the bytes that have passed."""
        rendered = self._rendering.take() if self._rendering is not None else b""
        if rendered:
            self._writing = self._writing or self._begin()
            self._writing.write(rendered)

    def publish(self) -> BatchFacts | None:
        """Make the rendition visible where there is to be one, and return what the lines are for a job.

        Raises ProviderError; call `abort` then.
        """
        self.render()
        facts = self._rendering.facts() if self._rendering is not None else None
        if facts is not None and facts.is_rendered:
            written = self._writing.size if self._writing is not None else 0
            if self._writing is None or written != facts.bytes:
                raise InvalidResponseError(
                    f"{written} bytes were written of {facts.bytes} that were rendered."
                )
            self._writing.publish(self._details())
        elif self._writing is not None:  # lines that look like a batch, in a file of another purpose
            self._writing.abort()
            self._writing = None
        return facts

    def abort(self) -> bool:
        """Leave nothing behind, also after a `publish`, and return whether that is certain."""
        return self._writing is None or self._writing.abort()

    def _begin(self) -> Writing:
        key = rendition_key(self._name.key)
        if key is None:
            raise ValueError("only batch files have renditions")
        return self._store.begin(self._name.bucket, key, self._details())

    def _details(self) -> Details:
        return Details(filename=self._name.key.rpartition("/")[2], content_type="application/jsonl")


class PairWriting:
    """A file on its way into a store, and its rendition where there is one. Nobody sees either too early."""

    def __init__(
        self, store: ObjectStore, name: ObjectName, details: Details, rendering: Rendering | None
    ) -> None:
        self._file = store.begin(name.bucket, name.key, details)
        self._rendition = RenditionWriting(store, name, rendering)

    @property
    def size(self) -> int:
        """Bytes of the file itself."""
        return self._file.size

    def write(self, chunk: bytes) -> None:
        """Take the file's next bytes, and what was rendered of them."""
        self._file.write(chunk)
        self._rendition.render()

    def publish(self, details: Details) -> StoredObject:
        """Make the rendition visible, then the file: whoever sees the file can count on the rendition.

        Raises ProviderError; call `abort` then.
        """
        facts = self._rendition.publish()
        return self._file.publish(replace(details, batch=facts))

    def abort(self) -> bool:
        """Leave nothing behind, also after a `publish` that failed, and return whether that is certain."""
        is_clean = self._file.abort()
        return self._rendition.abort() and is_clean
