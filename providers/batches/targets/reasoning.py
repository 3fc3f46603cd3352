"""How models of a family are told how hard to think: OpenAI's `reasoning_effort` in their words.

Sources, read 2026-11-26. Gemini: ai.google.dev/gemini-api/docs/openai, whose table of efforts, levels and
budgets this is; Claude takes the same budgets. Claude: the pages on extended and adaptive thinking in
docs.aws.amazon.com/bedrock and platform.claude.com: from 4.6 on it thinks adaptively, before it takes a
budget, which has to be below `max_tokens`. Nova 2: docs.aws.amazon.com/nova, extended thinking.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from providers.batches.request.chat import ChatRequest
from providers.batches.request.fields import UnfitLineError, one_of
from providers.objects import JSONValue

_BUDGETS: Final[Mapping[str, int]] = {"minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576}

_CHOOSES_ITSELF: Final = re.compile(r"claude-([a-z]+-(4-[7-9]|[5-9])|mythos-)")


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A family of models: which efforts it knows, and the members of a request that say one."""

    models: re.Pattern[str]
    efforts: tuple[str, ...]
    says: Callable[[str, ChatRequest], dict[str, JSONValue]]


def reasoning(model: str, request: ChatRequest) -> dict[str, JSONValue]:
    """Return the members that say a request's effort: of `thinkingConfig` for Gemini, of the body for others.

    Empty where the request asks for none.
    """
    if request.reasoning_effort is None:
        return {}
    family = next((each for each in FAMILIES if each.models.search(model)), None)
    if family is None:
        raise UnfitLineError(f"'body.reasoning_effort' does not exist for the model {model}: leave it out")
    effort = one_of(request.reasoning_effort, "body.reasoning_effort", family.efforts)
    return family.says(effort, request)


def _level(effort: str, _request: ChatRequest) -> dict[str, JSONValue]:
    return {"thinkingLevel": effort.upper()}


def _gemini_budget(effort: str, _request: ChatRequest) -> dict[str, JSONValue]:
    return {"thinkingBudget": 0 if effort == "none" else _BUDGETS[effort]}


def _claude_budget(effort: str, request: ChatRequest) -> dict[str, JSONValue]:
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    budget = _BUDGETS[effort]
    if request.max_tokens is not None and request.max_tokens <= budget:
        raise UnfitLineError(
            f"'body.reasoning_effort' {effort} thinks for {budget:,} tokens: raise 'max_tokens' above that"
        )
    _check_sampling(request)
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _claude_adaptive(effort: str, request: ChatRequest) -> dict[str, JSONValue]:
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    _check_sampling(request)
    return {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}


def _check_sampling(request: ChatRequest) -> None:
    if request.temperature not in (None, 1) or (request.top_p is not None and request.top_p < 0.95):
        raise UnfitLineError(
            "'body.temperature' and 'body.top_p' cannot be changed while Claude thinks: "
            "leave them or 'reasoning_effort' out"
        )


def check_sampling(model: str, request: ChatRequest) -> None:
    """Refuse what Claude's models behind Opus 4.6 refuse; the others may be told how to sample.

    The members are deprecated in Anthropic's own description of its API, read 2026-11-26.
    """
    if not _CHOOSES_ITSELF.search(model):
        return
    for name, value in (("temperature", request.temperature), ("top_p", request.top_p)):
        if value not in (None, 1):
            raise UnfitLineError(f"'body.{name}' cannot be changed for {model}: leave it out")


def _nova(effort: str, request: ChatRequest) -> dict[str, JSONValue]:
    if effort == "none":
        return {}
    if effort == "high" and (request.max_tokens, request.temperature, request.top_p) != (None, None, None):
        raise UnfitLineError(
            "'body.reasoning_effort' high takes no 'max_tokens', 'temperature' or 'top_p' here: "
            "leave them out"
        )
    return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}


#: The first row that fits a model counts.
FAMILIES: Final = (
    Reasoning(re.compile(r"gemini-2\.5-pro"), ("minimal", "low", "medium", "high"), _gemini_budget),
    Reasoning(re.compile(r"gemini-2\.5-"), ("none", "minimal", "low", "medium", "high"), _gemini_budget),
    Reasoning(re.compile(r"gemini-3(\.\d)?-pro"), ("low", "medium", "high"), _level),
    Reasoning(re.compile(r"gemini-[3-9]"), ("minimal", "low", "medium", "high"), _level),
    Reasoning(
        re.compile(r"claude-(3-7|(opus|sonnet)-4(-1)?[-@]2|(opus|sonnet|haiku)-4-5|(opus|sonnet)-4(-1)?$)"),
        ("none", "low", "medium", "high"),
        _claude_budget,
    ),
    Reasoning(
        re.compile(r"claude-([a-z]+-(4-[6-9]|[5-9])|mythos-)"),
        ("none", "low", "medium", "high"),
        _claude_adaptive,
    ),
    Reasoning(re.compile(r"amazon\.nova-2-"), ("none", "low", "medium", "high"), _nova),
)
