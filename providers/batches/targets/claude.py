"""Chat for Claude at Vertex AI: a custom id and Anthropic's own body.

docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/batch and
platform.claude.com/docs/en/api/messages, read 2026-11-26.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Final

from providers.batches.request.chat import ChatRequest
from providers.batches.request.fields import Notes, UnfitLineError, number
from providers.batches.request.media import Media
from providers.batches.request.messages import Part, ToolCall, ToolResult, Turn
from providers.batches.request.tools import FunctionTool, read_choice, read_tools
from providers.batches.targets.reasoning import check_sampling, reasoning
from providers.objects import JSONObject, JSONValue

ANTHROPIC_VERSION: Final = "vertex-2023-10-16"
_IMAGES: Final[Mapping[str, str]] = {
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}
_CHOICES: Final[Mapping[str, str]] = {"auto": "auto", "none": "none", "required": "any"}
_TOOL_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")


def claude_line(custom_id: str, request: ChatRequest, model: str, notes: Notes) -> JSONObject:
    """Return a line of a batch prediction of Claude. Raises UnfitLineError."""
    if request.max_tokens is None:
        raise UnfitLineError("Claude needs to know how long an answer may be: add 'max_tokens'")
    if request.response_format is not None:
        raise UnfitLineError("'body.response_format' is not for Claude: ask for JSON in a system message")
    check_sampling(model, request)
    request.take_optional(frozenset(), notes)
    body: dict[str, JSONValue] = {
        "anthropic_version": ANTHROPIC_VERSION,
        "max_tokens": request.max_tokens,
        "messages": [{"role": turn.role, "content": [*_blocks(turn)]} for turn in request.messages.turns],
    }
    if request.messages.system:
        body["system"] = [{"type": "text", "text": text} for text in request.messages.system]
    body |= _sampling(request) | reasoning(model, request) | _tool_members(request)
    return {"custom_id": custom_id, "request": body}


def _sampling(request: ChatRequest) -> dict[str, JSONValue]:
    members: dict[str, JSONValue] = {}
    if request.temperature is not None:
        members["temperature"] = number(request.temperature, "body.temperature", 0, 1)
    if request.top_p is not None:
        members["top_p"] = request.top_p
    if request.stop:
        if any(stop.isspace() for stop in request.stop):
            raise UnfitLineError("'body.stop' must hold more than white space for Claude")
        members["stop_sequences"] = [*request.stop]
    return members


def _tool_members(request: ChatRequest) -> dict[str, JSONValue]:
    tools = read_tools(request)
    choice, only_name = read_choice(request, tools)
    if not tools:
        return {}
    members: dict[str, JSONValue] = {"tools": [_declared(tool) for tool in tools]}
    if choice is None and request.parallel_tool_calls is not False:
        return members
    said: dict[str, JSONValue] = {"type": _CHOICES[choice or "auto"]}
    if only_name:
        said = {"type": "tool", "name": only_name}
    if request.parallel_tool_calls is False and choice != "none":
        said["disable_parallel_tool_use"] = True
    return {**members, "tool_choice": said}


def _declared(tool: FunctionTool) -> JSONValue:
    declared: dict[str, JSONValue] = {
        "name": tool.name,
        "input_schema": tool.parameters or {"type": "object", "properties": {}},
    }
    return {**declared, "description": tool.description} if tool.description else declared


def _blocks(turn: Turn) -> list[JSONValue]:
    """Return the blocks of a turn; results of tools have to stand before everything else in it."""
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    others = [part for part in turn.parts if not isinstance(part, ToolResult)]
    return [_block(part) for part in (*results, *others)]


def _block(part: Part) -> JSONValue:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, Media):
        return _media_block(part)
    if not _TOOL_ID.fullmatch(part.id if isinstance(part, ToolCall) else part.call_id):
        raise UnfitLineError("ids of tool calls may hold letters, digits, _ and - for Claude")
    if isinstance(part, ToolCall):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.parsed()}
    return {"type": "tool_result", "tool_use_id": part.call_id, "content": part.text}


def _media_block(media: Media) -> JSONValue:
    if media.uri:
        raise media.refused("a job fetches nothing from elsewhere: send a data URL")
    if (image := _IMAGES.get(media.media_type)) is not None:
        return {"type": "image", "source": {"type": "base64", "media_type": image, "data": media.data}}
    named: dict[str, JSONValue] = {"title": media.name} if media.name else {}
    if media.media_type == "application/pdf":
        source = {"type": "base64", "media_type": "application/pdf", "data": media.data}
        return {"type": "document", "source": source, **named}
    if media.media_type == "text/plain":
        return {"type": "document", "source": _text_source(media), **named}
    raise media.refused(f"{media.media_type} cannot be sent here: send PNG, JPEG, GIF, WebP, PDF or text")


def _text_source(media: Media) -> dict[str, JSONValue]:
    try:
        text = base64.b64decode(media.data).decode()
    except UnicodeDecodeError:
        raise media.refused("is not UTF-8 text") from None
    return {"type": "text", "media_type": "text/plain", "data": text}
