"""Renders a batch file while it streams: OpenAI's lines in, the provider's lines out, or what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

RenderedDriver: TypeAlias = Literal["bedrock", "vertex"]


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
    job: Literal["invoke", "openai"] = "invoke"
    unsupported: Literal["refuse", "ignore"] = "refuse"
    min_records: int | None = None
    max_records: int | None = None
    max_rendition_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Rendition:
    """What was rendered.

    format: for example `bedrock-converse`, `bedrock-invoke-titan-embed`, `openai`, `vertex-gemini`.
    model: the provider's name. endpoint: OpenAI's, for example /v1/chat/completions.
    ignored: fields that were left out because they do not change the answer, and those that the account
        says to leave out.
    sample: the first three rendered lines, without their line ends.
    """

    format: str
    records: int
    bytes: int
    model: str
    endpoint: str
    ignored: tuple[str, ...]
    warnings: tuple[str, ...]
    sample: tuple[bytes, ...]


class BatchRenderer:
    """Takes chunks and returns rendered lines; keeps the first problems found, `line N: what is wrong`.

    problems: final after `finish`. is_native: None until the first line has ended; True means that the lines
    are in the provider's own form, which is not rendered: `feed` returns nothing then.
    """

    def __init__(self, driver: RenderedDriver, options: BatchOptions) -> None:
        self.problems: list[str] = []
        self.is_native: bool | None = None

    @property
    def is_full(self) -> bool:
        """Whether as many problems were found as are reported, so that reading on is no use."""
        raise NotImplementedError

    def feed(self, chunk: bytes) -> bytes:
        """Return the rendered bytes of the lines that `chunk` completes."""
        raise NotImplementedError

    def finish(self) -> bytes:
        """Return the rendered bytes of what stands behind the last line end."""
        raise NotImplementedError

    def summary(self) -> Rendition:
        """Return what was rendered; only after a `finish` without problems, of a file that is not native."""
        raise NotImplementedError
