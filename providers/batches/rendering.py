"""Renders a batch file while it streams: OpenAI's lines in, the provider's lines out, or what is wrong."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from providers.batches.json_lines import (
    HEAD_BYTES,
    MAX_REPORTED_LINES,
    JSONProblemError,
    LineLimits,
    cut,
    foreign_format,
)
from providers.batches.request.fields import Notes, UnfitLineError, object_in, shown, text_in
from providers.batches.strict_json import decoded_strictly
from providers.batches.targets.table import Job, RenderedDriver, Target, target_of
from providers.objects import JSONObject

MAX_CUSTOM_ID: Final = 512
MAX_MODEL: Final = 512
SAMPLE_LINES: Final = 3
SAMPLE_BYTES: Final = 65_536
_SPACE: Final = b" \t\r"
_MEMBERS: Final = frozenset({"custom_id", "method", "url", "body"})
#: The member that shows that a line is in the provider's own form.
_NATIVE_MEMBERS: Final[Mapping[RenderedDriver, str]] = {"bedrock": "modelInput", "vertex": "request"}


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What an account and a request say about rendering.

    models: names that clients use -> the provider's, so that an alias never reaches a job.
    model: of the request; fills in or replaces what each line names.
    job: which of Bedrock's two kinds of jobs runs lines of OpenAI's models.
    unsupported: what becomes of seed, penalties and logit_bias where the target has no such thing.
    min_records, max_records, max_rendition_bytes: of a job; None means what the target's table row says.
    """

    models: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    job: Job = "invoke"
    unsupported: Literal["refuse", "ignore"] = "refuse"
    min_records: int | None = None
    max_records: int | None = None
    max_rendition_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Rendition:
    """What was rendered.

    format: its name in `targets.table`. model: the provider's name. endpoint: OpenAI's, for example
    /v1/chat/completions.
    ignored: fields that were left out because they do not change the answer, and those that the account
        says to leave out.
    sample: the first three rendered lines, without their line ends, each up to 65,536 bytes.
    """

    format: str
    records: int
    bytes: int
    model: str
    endpoint: str
    ignored: tuple[str, ...]
    warnings: tuple[str, ...]
    sample: tuple[builtins.bytes, ...]


class BatchRenderer:
    """Takes chunks and returns rendered lines; keeps the first problems found, `line N: what is wrong`.

    Holds one line at a time, and a hash of each custom id. What it returned is of use only when nothing was
    wrong in the end.

    problems: final after `finish`. is_native: None until the first line has ended; True means that the lines
    are in the provider's own form, which is neither checked nor rendered here: `feed` returns nothing then.
    """

    def __init__(
        self, driver: RenderedDriver, options: BatchOptions, limits: LineLimits | None = None
    ) -> None:
        self.problems: list[str] = []
        self.is_native: bool | None = None
        self._driver: RenderedDriver = driver
        self._options = options
        self._limits = limits or LineLimits()
        self._notes = Notes(options.unsupported)
        self._target: Target | None = None
        self._model = ""
        self._head = b""
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._is_skipping = False  # the rest of a line that is too long
        self._stopped = False
        self._line = 0
        self._last_record = 0
        self._seen: set[int] = set()
        self._bytes = 0
        self._sample: list[bytes] = []

    @property
    def is_full(self) -> bool:
        """Whether as many problems were found as are reported, so that reading on is no use."""
        return self._stopped or len(self.problems) >= MAX_REPORTED_LINES

    def feed(self, chunk: bytes) -> bytes:
        """Return the rendered bytes of the lines that `chunk` completes."""
        if self.is_native or self.is_full:
            return b""
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
        rendered: list[bytes] = []
        for piece, ends in cut(chunk):
            self._keep(piece)
            if ends and (made := self._end_line()):
                rendered += (made, b"\n")
        return b"".join(rendered)

    def finish(self) -> bytes:
        """Return the rendered bytes of what stands behind the last line end."""
        rendered = self._end_line() if self._rest_bytes else b""
        if not self._last_record and not self.problems:
            self.problems.append("line 1: the file has no records")
        return rendered + b"\n" if rendered else b""

    def summary(self) -> Rendition:
        """Return what was rendered; only after a `finish` without problems, of a file that is not native."""
        if self._target is None or self.problems:
            raise AssertionError("nothing was rendered")
        warnings = set(self._notes.warnings)
        if self._last_record < (least := self._bound(self._options.min_records, self._target.min_records)):
            warnings.add(
                f"The file has {self._last_record:,} records and a job needs {least:,}: run it together with "
                "others, as one folder, or add records."
            )
        return Rendition(
            self._target.format,
            records=self._last_record,
            bytes=self._bytes,
            model=self._model,
            endpoint=self._target.endpoint,
            ignored=tuple(sorted(self._notes.ignored)),
            warnings=tuple(sorted(warnings)),
            sample=tuple(self._sample),
        )

    # -- lines -----------------------------------------------------------------------------------------------

    def _keep(self, piece: bytes) -> None:
        if self._is_skipping or self.is_full or self.is_native:
            return
        self._rest_bytes += len(piece)
        if self._rest_bytes > self._limits.max_line_bytes:
            self._begin_record()
            self._report(f"longer than {self._limits.max_line_bytes:,} bytes")
            self._is_skipping = True
            self._rest = []
        elif piece:
            self._rest.append(piece)

    def _end_line(self) -> bytes:
        """Return what becomes of the line in hand; nothing of one that is not rendered."""
        pieces, was_reported = self._rest, self._is_skipping
        self._rest, self._rest_bytes, self._is_skipping = [], 0, False
        if was_reported or self.is_full or self.is_native:
            return b""
        if not any(piece.strip(_SPACE) for piece in pieces):
            self._line += 1
            return b""
        self._begin_record()
        try:
            return self._rendered(pieces)
        except (JSONProblemError, UnfitLineError) as exc:
            self._report(str(exc))
            return b""

    def _begin_record(self) -> None:
        """Count the line in hand, behind which those before it are in the middle of the file."""
        for line in range(self._last_record + 1, self._line + 1):
            if self.is_full:
                return
            self.problems.append(f"line {line}: is empty")
        self._line += 1
        self._last_record = self._line

    def _report(self, problem: str) -> None:
        if self.is_full:
            return
        if self._line == 1 and (name := foreign_format(self._head)):
            self._stopped = True
            problem = f"the file is {name}"
        self.problems.append(f"line {self._line}: {problem}")

    # -- records ---------------------------------------------------------------------------------------------

    def _rendered(self, pieces: list[bytes]) -> bytes:
        """Return a line in the target's form. Raises JSONProblemError, UnfitLineError.

        A line may be long, so nothing of it is held twice for longer than it has to be.
        """
        line = b"".join(pieces)
        pieces.clear()
        record = decoded_strictly(line, self._limits)
        if self._options.job != "openai":
            line = b""  # no target of any other job keeps it
        if self._decides_native(record):
            return b""
        custom_id, body = self._checked(record)
        named, model = self._model_of(body)
        target = self._target_of(model, record["url"])
        self._check_count(target)
        made = target.render(custom_id, body, model, self._notes)
        keeps = target.keeps_lines and named == model == body.get("model")
        rendered = line.strip(_SPACE) if keeps else msgspec.json.encode(made)
        self._count(target, rendered)
        return rendered

    def _decides_native(self, record: Any) -> bool:
        """Whether this is the first line and in the provider's own form."""
        if self.is_native is None:
            is_object = isinstance(record, dict)
            self.is_native = is_object and _NATIVE_MEMBERS[self._driver] in record and "body" not in record
        return self.is_native

    def _checked(self, record: Any) -> tuple[str, JSONObject]:
        """Return the custom id and the body of a line in OpenAI's form."""
        if not isinstance(record, dict):
            raise UnfitLineError("is not a JSON object")
        if _NATIVE_MEMBERS[self._driver] in record and "body" not in record:
            raise UnfitLineError(
                "is in the provider's form and the first line in OpenAI's: keep to one of them"
            )
        if record.keys() != _MEMBERS:
            if missing := _MEMBERS - record.keys():
                raise UnfitLineError(f"'{min(missing)}' is missing")
            raise UnfitLineError(f"'{shown(min(record.keys() - _MEMBERS))}' is not known here: leave it out")
        custom_id = text_in(record, "custom_id", "custom_id")
        if not 1 <= len(custom_id) <= MAX_CUSTOM_ID:
            raise UnfitLineError(f"'custom_id' must have 1 to {MAX_CUSTOM_ID} characters")
        if (key := hash(custom_id)) in self._seen:
            raise UnfitLineError(f"'custom_id' was used before: \"{shown(custom_id)}\"")
        self._seen.add(key)
        if record["method"] != "POST":
            raise UnfitLineError("'method' must be POST")
        text_in(record, "url", "url")
        return custom_id, object_in(record, "body", "body")

    def _model_of(self, body: JSONObject) -> tuple[str, str]:
        """Return the model that is meant, as the line or the request names it and as the provider does."""
        named = self._options.model or body.get("model")
        if not isinstance(named, str) or not 1 <= len(named) <= MAX_MODEL or not named.isprintable():
            raise UnfitLineError("'body.model' is missing: add it, or name the model in x-tfy-provider-model")
        return named, self._options.models.get(named, named)

    def _target_of(self, model: str, endpoint: str) -> Target:
        """Return the target of the file, which its first good line decides."""
        if self._target is None:
            self._target = target_of(self._driver, self._options.job, model, endpoint)
            self._model = model
        if model != self._model:
            raise UnfitLineError(
                f"is for the model {model} and the lines before for {self._model}: a job runs one model, so "
                "write a file for each"
            )
        if endpoint != self._target.endpoint:
            raise UnfitLineError(
                f"is for {shown(endpoint)} and the lines before for {self._target.endpoint}: "
                "write a file for each"
            )
        return self._target

    def _check_count(self, target: Target) -> None:
        most = min(self._bound(self._options.max_records, target.max_records), self._limits.max_lines)
        if self._line > most:
            self._stop(f"more than {most:,} lines, which is what a job takes: split the file")

    def _count(self, target: Target, rendered: bytes) -> None:
        self._bytes += len(rendered) + 1
        most = self._bound(self._options.max_rendition_bytes, target.max_bytes)
        if self._bytes > most:
            self._stop(f"the rendered lines have more than {most:,} bytes up to here: split the file")
        if len(self._sample) < SAMPLE_LINES:
            self._sample.append(rendered[:SAMPLE_BYTES])

    def _stop(self, problem: str) -> None:
        """Report what makes reading on useless."""
        self._report(problem)
        self._stopped = True

    @staticmethod
    def _bound(given: int | None, usual: int) -> int:
        return usual if given is None else given
