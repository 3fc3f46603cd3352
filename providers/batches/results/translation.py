"""Translates a result of a batch job into the lines of OpenAI's output file and error file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from providers.batches.results.answers import Failure, Row, UnreadableRowError
from providers.batches.results.lines import Line, LineCutter
from providers.batches.results.openai_lines import Origin, output_line
from providers.batches.results.rows import read_row

#: Given the request that a row repeats, returns the id of the input line it was made of.
FindByEcho: TypeAlias = Callable[[Mapping[str, Any]], str | None]
_MAX_REASONS: Final = 20


@dataclass(frozen=True, slots=True)
class ResultLine:
    """One line of the output file or of the error file, with its end."""

    custom_id: str
    is_error: bool
    data: bytes


@dataclass(slots=True)
class Counts:
    """Rows of a result. repeated: rows whose id an earlier row had; they are left out.

    unreadable: those among the failed that were in no known form.
    """

    succeeded: int = 0
    failed: int = 0
    repeated: int = 0
    unreadable: int = 0

    @property
    def total(self) -> int:
        """Lines of both files."""
        return self.succeeded + self.failed


class ResultTranslator:
    """Takes what a job wrote in chunks and yields lines, each custom_id once.

    has_input: `missing` is called at the end with the ids of the input, so that an unreadable row without an
    id turns up there. find_by_echo: asked for rows that carry no id.
    Holds one line, and a hash of each id.
    """

    def __init__(
        self, origin: Origin, *, has_input: bool = False, find_by_echo: FindByEcho | None = None
    ) -> None:
        self.counts = Counts()
        self._unreadable: list[tuple[int, str]] = []  # rows without an id: their number, what is wrong
        self._origin = origin
        self._has_input = has_input
        self._find_by_echo = find_by_echo
        self._cutter = LineCutter()
        self._seen: set[int] = set()
        self._rows = 0

    def feed(self, chunk: bytes) -> Iterator[ResultLine]:
        """Yield the lines made of the rows that `chunk` completes."""
        for line in self._cutter.feed(chunk):
            yield from self._translated(line)

    def end_part(self) -> Iterator[ResultLine]:
        """Yield what is left at the end of one object; another of the same job may follow."""
        for line in self._cutter.finish():
            yield from self._translated(line)
        self._cutter = LineCutter()

    def has_seen(self, custom_id: str) -> bool:
        """Whether a row had this id."""
        return hash(custom_id) in self._seen

    def missing(self, custom_ids: Iterable[str]) -> Iterator[ResultLine]:
        """Yield an error line for each id of the input that no row had; called once, after all parts."""
        reason, code = "The job wrote no answer to this request.", "no_result"
        if self._unreadable:
            reasons = "; ".join(reason for _, reason in self._unreadable[:_MAX_REASONS])
            reason, code = f"{reason} Rows that could not be read: {reasons}.", "unreadable_result"
        for custom_id in custom_ids:
            if not self.has_seen(custom_id):
                yield from self._line(Row(custom_id, Failure(code, reason)))

    def orphans(self) -> Iterator[ResultLine]:
        """Yield, in place of `missing`, the rows that belong to no input after all."""
        for number, reason in self._unreadable:
            yield from self._line(Row(f"row-{number}", _unreadable_failure(reason)))

    def _translated(self, line: Line) -> Iterator[ResultLine]:
        self._rows += 1
        try:
            row = read_row(line.parsed(with_echo=False))
        except UnreadableRowError as exc:
            reason = f"line {line.number}: {exc}"
            if exc.custom_id is None and self._has_input:
                self._unreadable.append((self._rows, reason))  # its id will turn up as missing
                return
            self.counts.unreadable += 1
            row = Row(exc.custom_id, _unreadable_failure(reason))
        yield from self._line(row)

    def _line(self, row: Row) -> Iterator[ResultLine]:
        custom_id = self._id_of(row)
        key = hash(custom_id)
        if key in self._seen:
            self.counts.repeated += 1
            return
        self._seen.add(key)
        is_error = isinstance(row.answer, Failure)
        if is_error:
            self.counts.failed += 1
        else:
            self.counts.succeeded += 1
        data = output_line(custom_id, row.answer, self._origin, request_id=row.request_id)
        yield ResultLine(custom_id, is_error, data)

    def _id_of(self, row: Row) -> str:
        if row.custom_id is not None:
            return row.custom_id
        found = self._find_by_echo(row.echo) if self._find_by_echo and row.echo else None
        return f"row-{self._rows}" if found is None else found


def _unreadable_failure(reason: str) -> Failure:
    return Failure("unreadable_result", f"The provider's answer, {reason}.")
