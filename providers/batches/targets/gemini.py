"""Chat for Gemini at Vertex AI: GenerateContentRequest, with the caller's id in its labels.

docs.cloud.google.com/vertex-ai/generative-ai/docs: reference/rest GenerateContentRequest, batch inference
from Cloud Storage, read 2026-11-26.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from providers.batches.custom_ids import labels_from
from providers.batches.request.chat import ChatRequest
from providers.batches.request.fields import Notes, UnfitLineError, integer, object_in, shown, text_in
from providers.batches.request.media import Media
from providers.batches.request.messages import Part, ToolCall, ToolResult, Turn
from providers.batches.request.tools import FunctionTool, read_choice, read_tools
from providers.batches.targets.reasoning import reasoning
from providers.objects import JSONObject, JSONValue

_MEDIA_TYPES: Final = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/heic",
        "image/heif",
        "application/pdf",
        "text/plain",
        "audio/wav",
        "audio/mp3",
        "audio/mpeg",
    }
)
_BY_ENDING: Final[Mapping[str, str]] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "wav": "audio/wav",
    "mp3": "audio/mp3",
}
_OPTIONAL: Final = frozenset({"seed", "frequency_penalty", "presence_penalty"})
_OUR_OPTIONAL: Final[Mapping[str, str]] = {
    "seed": "seed",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
}
_ROLES: Final[Mapping[str, str]] = {"user": "user", "assistant": "model"}
_MODES: Final[Mapping[str, str]] = {"auto": "AUTO", "none": "NONE", "required": "ANY"}

#: ai.google.dev/gemini-api/docs/thought-signatures, read 2026-11-26.
_NEEDS_SIGNATURES: Final = re.compile(r"gemini-[3-9]")


def gemini_line(custom_id: str, request: ChatRequest, model: str, notes: Notes) -> JSONObject:
    """Return a line of a batch prediction of Gemini. Raises UnfitLineError."""
    names = _called(request)
    if names and _NEEDS_SIGNATURES.search(model):
        raise UnfitLineError(
            f"tool calls of earlier turns need a signature for {model}, which OpenAI's form cannot carry: "
            "use an older model, or lines in Gemini's own form"
        )
    body: dict[str, JSONValue] = {
        "contents": [
            {"role": _ROLES[turn.role], "parts": [_part(part, names) for part in parts]}
            for turn in request.messages.turns
            for parts in _results_apart(turn)
        ]
    }
    if request.messages.system:
        body["systemInstruction"] = {"parts": [{"text": text} for text in request.messages.system]}
    if config := _generation_config(request, model, notes):
        body["generationConfig"] = config
    body |= _tool_members(request)
    body["labels"] = {**labels_from(custom_id)}
    return {"request": body}


def _generation_config(request: ChatRequest, model: str, notes: Notes) -> dict[str, JSONValue]:
    config: dict[str, JSONValue] = {}
    if request.max_tokens is not None:
        config["maxOutputTokens"] = request.max_tokens
    if request.temperature is not None:
        config["temperature"] = request.temperature
    if request.top_p is not None:
        config["topP"] = request.top_p
    if request.stop:
        config["stopSequences"] = [*request.stop]
    for name, value in request.take_optional(_OPTIONAL, notes).items():
        config[_OUR_OPTIONAL[name]] = integer(value, "body.seed", -(2**31)) if name == "seed" else value
    if request.response_format is not None:
        config |= _response_format(request.response_format)
    if thinking := reasoning(model, request):
        config["thinkingConfig"] = thinking
    return config


def _response_format(wanted: JSONObject) -> dict[str, JSONValue]:
    kind = wanted.get("type")
    if kind == "json_object":
        return {"responseMimeType": "application/json"}
    if kind != "json_schema":
        raise UnfitLineError("'body.response_format.type' must be text, json_object or json_schema here")
    where = "body.response_format.json_schema"
    described = object_in(wanted, "json_schema", where)
    schema = dict(object_in(described, "schema", f"{where}.schema"))
    # What the schema is called and for is part of OpenAI's prompt; a schema has words of its own for it.
    for theirs, ours in (("name", "title"), ("description", "description")):
        if described.get(theirs) is not None:
            schema.setdefault(ours, text_in(described, theirs, f"{where}.{theirs}"))
    return {"responseMimeType": "application/json", "responseJsonSchema": schema}


def _tool_members(request: ChatRequest) -> dict[str, JSONValue]:
    tools = read_tools(request)
    choice, only_name = read_choice(request, tools)
    if not tools:
        return {}
    if request.parallel_tool_calls is False:
        raise UnfitLineError("'body.parallel_tool_calls' cannot be false for Gemini: leave it out")
    members: dict[str, JSONValue] = {"tools": [{"functionDeclarations": [_declared(tool) for tool in tools]}]}
    if choice is not None:
        config: dict[str, JSONValue] = {"mode": _MODES[choice]}
        if only_name:
            config["allowedFunctionNames"] = [only_name]
        members["toolConfig"] = {"functionCallingConfig": config}
    return members


def _declared(tool: FunctionTool) -> JSONValue:
    declared: dict[str, JSONValue] = {"name": tool.name}
    if tool.description:
        declared["description"] = tool.description
    if tool.parameters is not None:
        declared["parametersJsonSchema"] = tool.parameters
    return declared


def _called(request: ChatRequest) -> Mapping[str, str]:
    """Return the names of called functions by the ids of their calls: results have to name them."""
    return {part.id: part.name for part in request.parts if isinstance(part, ToolCall)}


def _results_apart(turn: Turn) -> list[list[Part]]:
    """Return the parts of a turn; results of tools in a content of their own, as many as there were calls."""
    results: list[Part] = [part for part in turn.parts if isinstance(part, ToolResult)]
    others: list[Part] = [part for part in turn.parts if not isinstance(part, ToolResult)]
    return [parts for parts in (results, others) if parts]


def _part(part: Part, names: Mapping[str, str]) -> JSONValue:
    if isinstance(part, str):
        return {"text": part}
    if isinstance(part, Media):
        return _media_part(part)
    if isinstance(part, ToolResult):
        if part.call_id not in names:
            raise UnfitLineError(f"no assistant message calls the tool_call_id {shown(part.call_id)}")
        response: JSONValue = {"output": part.text}
        return {"functionResponse": {"id": part.call_id, "name": names[part.call_id], "response": response}}
    return {"functionCall": {"id": part.id, "name": part.name, "args": part.parsed()}}


def _media_part(media: Media) -> JSONValue:
    media_type = media.media_type
    if media.uri:
        if not media.uri.startswith("gs://"):
            raise media.refused("a job fetches nothing from the web: send a data URL or a gs:// URL")
        media_type = _BY_ENDING.get(media.uri.rpartition(".")[2].lower(), "")
    if media_type not in _MEDIA_TYPES:
        what = media_type or "an address whose ending says no type"
        raise media.refused(f"{what} cannot be sent here: send PNG, JPEG, WebP, HEIC, PDF, text, WAV or MP3")
    named: dict[str, JSONValue] = {"displayName": media.name} if media.name else {}
    if media.uri:
        return {"fileData": {"mimeType": media_type, "fileUri": media.uri, **named}}
    return {"inlineData": {"mimeType": media_type, "data": media.data, **named}}
