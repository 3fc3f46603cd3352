"""What one row of a result says, in words that are no provider's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. prompt: all of the prompt, those read from a cache too; completion: those of reasoning too.

    total: as the provider counts; None where it does not.
    """

    prompt: int = 0
    completion: int = 0
    total: int | None = None
    cached: int | None = None
    reasoning: int | None = None

    @property
    def total_tokens(self) -> int:
        """What the provider says, or the sum."""
        return self.prompt + self.completion if self.total is None else self.total


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model asks for. arguments: JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer of a model. text: None where it wrote none, for example because it calls a function."""

    finish_reason: FinishReason
    text: str | None
    reasoning: str = ""
    refusal: str | None = None
    tool_calls: Sequence[ToolCall] = ()


@dataclass(frozen=True, slots=True)
class Chat:
    """The answer to a chat request. id, model, created: empty or None where the provider does not say."""

    choices: Sequence[Choice]
    usage: Usage = Usage()
    id: str = ""
    model: str = ""
    created: int | None = None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The answer to an embeddings request."""

    vectors: Sequence[Sequence[float]]
    prompt_tokens: int = 0
    model: str = ""


@dataclass(frozen=True, slots=True)
class OpenAIBody:
    """An answer that has OpenAI's shape already, but may lack members."""

    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that has no answer.

    status_code: as in HTTP, None where nothing was asked or nothing is known.
    code: for programs, the same whoever the provider is. message: the provider's own words.
    """

    code: str
    message: str
    status_code: int | None = None


Answer: TypeAlias = Chat | Embeddings | OpenAIBody | Failure


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a result. custom_id: None where the row carries none.

    request_id: the provider's, empty where it gives none. echo: the request as the provider repeats it.
    """

    custom_id: str | None
    answer: Answer
    request_id: str = ""
    echo: Mapping[str, Any] = field(default_factory=dict)


class UnreadableRowError(Exception):
    """A row that is no answer in a known form. The text says why, as the end of a sentence."""

    def __init__(self, reason: str, custom_id: str | None = None) -> None:
        super().__init__(reason)
        self.custom_id = custom_id
