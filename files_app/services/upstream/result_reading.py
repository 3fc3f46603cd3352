"""Reads a batch result from its provider and says it in OpenAI's lines, held against the input file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from files_app.models import File, FileState
from files_app.services.accounts.drivers import driver_for
from files_app.services.reading.lookup import held_copy
from providers.base import Driver
from providers.batches.results.echoes import EchoIndex, input_ids
from providers.batches.results.manifest import MAX_MANIFEST_BYTES, read_manifest
from providers.batches.results.openai_lines import Origin
from providers.batches.results.translation import ResultLine, ResultTranslator
from providers.exceptions import RemoteFileNotFoundError
from providers.objects import RemoteFile
from providers.results import ResultPart

_CHUNK_BYTES: Final = 262_144


@dataclass(frozen=True, slots=True)
class Translated:
    """What was found in a result. batch: the member of the file object, without the part.

    is_foreign: no row was an answer in a known form, and nobody knows what was asked.
    """

    batch: Mapping[str, Any]
    is_foreign: bool
    source_bytes: int
    source_name: str


class Reading:
    """One pass over a result. has_errors: a file of errors is there already and must not lose its content."""

    def __init__(self, file: File, driver: Driver, remote_id: str, *, has_errors: bool) -> None:
        self._file = file
        self._driver = driver
        self._has_errors = has_errors
        self._remote_id = remote_id
        self._parts = driver.results.parts(remote_id) if driver.results is not None else ()
        if not self._parts:
            raise RemoteFileNotFoundError("The result is not there.", status_code=404)
        self._input = self._input_file()
        self._input_id: str | None = (file.batch or {}).get("input_file_id")
        self._echoes: EchoIndex | None = None
        self._summary: Mapping[str, int] = {}
        self._translator = ResultTranslator(
            Origin(
                seed=remote_id,
                created=int(file.created_at.timestamp()),
                model=str((self._input.batch or {}).get("model") or "") if self._input else "",
            ),
            has_input=self._input is not None,
            find_by_echo=self._find_by_echo if self._input is not None else None,
        )

    def lines(self) -> Iterator[tuple[ResultPart, bytes]]:
        """Yield the lines of both files, some at a time. Raises ProviderError."""
        held: dict[ResultPart, list[bytes]] = {"output": [], "errors": []}
        sizes: dict[ResultPart, int] = {"output": 0, "errors": 0}
        for line in self._translated():
            part: ResultPart = "errors" if line.is_error else "output"
            held[part].append(line.data)
            sizes[part] += len(line.data)
            if sizes[part] >= _CHUNK_BYTES:
                yield part, b"".join(held[part])
                held[part], sizes[part] = [], 0
        if held["output"]:
            yield "output", b"".join(held["output"])
        if held["errors"] or self._has_errors:
            yield "errors", b"".join(held["errors"])

    def outcome(self) -> Translated:
        """Return what was found; only after `lines` has ended."""
        counts, summary = self._translator.counts, self._summary
        if summary.get("total") != counts.total:
            summary = {}  # of a job with several inputs, or with rows that were left out
        numbers = {"total": counts.total, "completed": counts.succeeded, "failed": counts.failed}
        tokens = {name: summary[name] for name in ("input_tokens", "output_tokens") if name in summary}
        source = self._parts[0]
        return Translated(
            batch={
                "input_file_id": self._input_id,
                "counts": numbers | tokens,
                "parts": len(self._parts),
            },
            is_foreign=self._input is None and counts.total > 0 and counts.unreadable == counts.total,
            source_bytes=source.bytes or 0,
            source_name=source.remote_id.rpartition("/")[2],
        )

    def _translated(self) -> Iterator[ResultLine]:
        for part in self._parts:
            if self._is_summary(part):
                self._summary = read_manifest(self._head(part))
                continue
            for chunk in self._chunks(self._driver, part.remote_id):
                yield from self._translator.feed(chunk)
            yield from self._translator.end_part()
        if self._input is not None:
            yield from self._without_answers(self._input)

    def _without_answers(self, asked: File) -> Iterator[ResultLine]:
        """Yield the requests that no row answered; none where the rows answer other requests than these."""
        known, missing = 0, []
        for custom_id in input_ids(self._chunks(driver_for(asked.account), held_copy(asked).remote_id)):
            known += 1
            if not self._translator.has_seen(custom_id):
                missing.append(custom_id)
        if self._translator.counts.total and len(missing) == known:
            self._input, self._input_id = None, None
            yield from self._translator.orphans()
        else:
            yield from self._translator.missing(missing)

    def _is_summary(self, part: RemoteFile) -> bool:
        name = self._driver.results.name_of(part.remote_id) if self._driver.results is not None else None
        return name is not None and name.is_summary

    def _input_file(self) -> File | None:
        """Return the file that the job read, where the organization has it still."""
        name = self._driver.results.name_of(self._remote_id) if self._driver.results is not None else None
        if name is None or name.input_id is None:
            return None
        files = File.objects.for_organization(self._file.organization_id).select_related("account")
        found = files.filter(
            file_id=name.input_id, account=self._file.account_id, state=FileState.AVAILABLE, is_withheld=False
        )
        return found.first()

    def _find_by_echo(self, request: Mapping[str, Any]) -> str | None:
        if self._echoes is None and self._input is not None:
            self._echoes = EchoIndex()
            uri = str((self._input.batch or {}).get("uri") or self._input.uri)
            self._echoes.read(self._chunks(self._driver, uri.partition("://")[2]))
        return self._echoes.find(request) if self._echoes is not None else None

    def _chunks(self, driver: Driver, remote_id: str) -> Iterator[bytes]:
        with closing(driver.download_file(remote_id)) as download:
            yield from download.chunks

    def _head(self, part: RemoteFile) -> bytes:
        content = b""
        for chunk in self._chunks(self._driver, part.remote_id):
            content += chunk
            if len(content) > MAX_MANIFEST_BYTES:
                return b""
        return content
