"""Claude's messages, the same at Bedrock and Vertex. docs.claude.com/en/api/messages, read 2026-11-26."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from providers.batches.results.answers import Chat, Choice, FinishReason, ToolCall, Usage
from providers.batches.results.values import count, mapping, objects, text

_STOPS: Final[Mapping[str, FinishReason]] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def is_message(body: Mapping[str, Any]) -> bool:
    """Whether a body is a message of Claude."""
    return isinstance(body.get("content"), list) and ("stop_reason" in body or body.get("type") == "message")


def read_message(body: Mapping[str, Any]) -> Chat:
    """Return Claude's message as an answer."""
    blocks = list(objects(body["content"]))
    texts = [text(block.get("text")) for block in blocks if block.get("type") == "text"]
    choice = Choice(
        finish_reason=_STOPS.get(text(body.get("stop_reason")), "stop"),
        text="".join(texts) if texts else None,
        reasoning="".join(text(block.get("thinking")) for block in blocks),
        tool_calls=tuple(_tool_call(block) for block in blocks if block.get("type") == "tool_use"),
    )
    return Chat((choice,), _usage(mapping(body.get("usage"))), text(body.get("id")), text(body.get("model")))


def _tool_call(block: Mapping[str, Any]) -> ToolCall:
    arguments = json.dumps(block.get("input") or {}, ensure_ascii=False)
    return ToolCall(text(block.get("id")), text(block.get("name")), arguments)


def _usage(usage: Mapping[str, Any]) -> Usage:
    cached = count(usage.get("cache_read_input_tokens"))
    written = count(usage.get("cache_creation_input_tokens"))
    return Usage(
        prompt=count(usage.get("input_tokens")) + cached + written,
        completion=count(usage.get("output_tokens")),
        cached=cached if cached or written else None,
    )
