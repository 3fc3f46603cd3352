"""A chat request in OpenAI's words, read whole: everything that it says is in a member here, or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from providers.batches.request.fields import (
    Notes,
    UnfitLineError,
    integer,
    number,
    object_in,
    objects_in,
    shown,
    text_in,
)
from providers.batches.request.messages import Conversation, Part, read_messages
from providers.objects import JSONObject, JSONValue

#: Fields that do not change the answer; those left out are listed in `batch.ignored`.
NEUTRAL_FIELDS: Final = frozenset(
    {
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
    }
)
#: What only some targets have; an account says what becomes of it at the others. The value that does nothing.
OPTIONAL_FIELDS: Final[Mapping[str, JSONValue]] = {
    "seed": None,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logit_bias": {},
}
#: Fields that batches have no use for: the only values that do nothing, and what would work.
_FIXED_FIELDS: Final[Mapping[str, tuple[tuple[JSONValue, ...], str]]] = {
    "n": ((1,), "a batch answers each line once: write a line for each answer"),
    "stream": ((False,), "a batch does not stream: leave it out"),
    "stream_options": ((), "a batch does not stream: leave it out"),
    "logprobs": ((False,), "this model gives none in batches: leave it out"),
    "top_logprobs": ((0,), "this model gives none in batches: leave it out"),
    "modalities": ((["text"],), "answers are text here: leave it out"),
    "audio": ((), "answers are text here: leave it out"),
    "prediction": ((), "predicted outputs are OpenAI's own: leave it out"),
    "verbosity": (("medium",), "only OpenAI's own models have it: say it in a system message"),
    "web_search_options": ((), "batches search no web: leave it out"),
    "functions": (([],), "is deprecated: use 'tools'"),
    "function_call": (("none",), "is deprecated: use 'tool_choice'"),
    "moderation": ((), "only OpenAI has it: leave it out"),
    "prompt_cache_options": ((), "only OpenAI has it: leave it out"),
}


@dataclass(slots=True)
class ChatRequest:
    """What a request says. None means that it does not say it."""

    messages: Conversation = field(default_factory=Conversation)
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] = field(default_factory=list)
    reasoning_effort: str | None = None
    response_format: JSONObject | None = None
    tools: list[JSONObject] = field(default_factory=list)
    tool_choice: JSONValue = None
    parallel_tool_calls: bool | None = None
    optional: dict[str, JSONValue] = field(default_factory=dict)

    @property
    def parts(self) -> Iterator[Part]:
        """What both sides say, turn by turn."""
        return (part for turn in self.messages.turns for part in turn.parts)

    def take_optional(self, supported: frozenset[str], notes: Notes) -> dict[str, JSONValue]:
        """Return the optional fields that a target has; refuse or note the others."""
        for name in self.optional.keys() - supported:
            if notes.unsupported == "refuse":
                raise UnfitLineError(
                    f"'body.{name}' does not exist for this model: leave it out, or set the account's option "
                    "'unsupported_fields' to ignore"
                )
            notes.ignored.add(name)
        return {name: value for name, value in self.optional.items() if name in supported}


def read_chat(body: JSONObject, notes: Notes) -> ChatRequest:
    """Return what a request says. Raises UnfitLineError."""
    request = ChatRequest()
    for name, value in body.items():
        if name == "model" or value is None:
            continue
        if name in NEUTRAL_FIELDS:
            notes.ignored.add(name)
        elif name in _FIXED_FIELDS:
            _check_fixed(name, value)
        elif (read := _READERS.get(name)) is not None:
            read(request, value)
        elif name in OPTIONAL_FIELDS:
            _read_optional(request, name, value)
        else:
            raise UnfitLineError(f"'body.{shown(name)}' is not known here: leave it out")
    if not request.messages.turns:
        raise UnfitLineError("'body.messages' needs a message of the role user")
    return request


def _check_fixed(name: str, value: JSONValue) -> None:
    neutral, advice = _FIXED_FIELDS[name]
    if not any(type(value) is type(each) and value == each for each in neutral):
        raise UnfitLineError(f"'body.{name}': {advice}")


def _read_optional(request: ChatRequest, name: str, value: JSONValue) -> None:
    if name == "seed":
        integer(value, "body.seed", -(2**63), 2**63 - 1)
    elif name == "logit_bias":
        if not isinstance(value, Mapping):
            raise UnfitLineError("'body.logit_bias' must be an object")
    else:
        number(value, f"body.{name}", -2, 2)
    if value != OPTIONAL_FIELDS[name]:
        request.optional[name] = value


def _read_messages(request: ChatRequest, value: JSONValue) -> None:
    request.messages = read_messages(value)


def _read_max_tokens(request: ChatRequest, value: JSONValue) -> None:
    _take_max_tokens(request, integer(value, "body.max_tokens", 1))


def _read_max_completion_tokens(request: ChatRequest, value: JSONValue) -> None:
    _take_max_tokens(request, integer(value, "body.max_completion_tokens", 1))


def _take_max_tokens(request: ChatRequest, most: int) -> None:
    if request.max_tokens not in (None, most):
        raise UnfitLineError("'body.max_tokens' and 'body.max_completion_tokens' differ: keep one of them")
    request.max_tokens = most


def _read_temperature(request: ChatRequest, value: JSONValue) -> None:
    request.temperature = number(value, "body.temperature", 0, 2)


def _read_top_p(request: ChatRequest, value: JSONValue) -> None:
    request.top_p = number(value, "body.top_p", 0, 1)


def _read_stop(request: ChatRequest, value: JSONValue) -> None:
    stops = value if isinstance(value, list) else [value]
    if len(stops) > 4:
        raise UnfitLineError("'body.stop' may hold four sequences at most")
    for each in stops:
        if not isinstance(each, str) or not each:
            raise UnfitLineError("'body.stop' must be a string or an array of strings that are not empty")
        request.stop.append(each)


def _read_effort(request: ChatRequest, value: JSONValue) -> None:
    request.reasoning_effort = text_in({"": value}, "", "body.reasoning_effort")


def _read_response_format(request: ChatRequest, value: JSONValue) -> None:
    wanted = object_in({"": value}, "", "body.response_format")
    if text_in(wanted, "type", "body.response_format.type") != "text":
        request.response_format = wanted


def _read_tools(request: ChatRequest, value: JSONValue) -> None:
    request.tools = objects_in(value, "body.tools")


def _read_tool_choice(request: ChatRequest, value: JSONValue) -> None:
    request.tool_choice = value


def _read_parallel(request: ChatRequest, value: JSONValue) -> None:
    if not isinstance(value, bool):
        raise UnfitLineError("'body.parallel_tool_calls' must be true or false")
    request.parallel_tool_calls = value


_READERS: Final[Mapping[str, Callable[[ChatRequest, JSONValue], None]]] = {
    "messages": _read_messages,
    "max_tokens": _read_max_tokens,
    "max_completion_tokens": _read_max_completion_tokens,
    "temperature": _read_temperature,
    "top_p": _read_top_p,
    "stop": _read_stop,
    "reasoning_effort": _read_effort,
    "response_format": _read_response_format,
    "tools": _read_tools,
    "tool_choice": _read_tool_choice,
    "parallel_tool_calls": _read_parallel,
}
