"""Chat for Bedrock's Converse operation, whose input is the `modelInput` of a job of that invocation type.

docs.aws.amazon.com/bedrock: API_runtime_Converse, batch-inference, read 2026-11-26. A batch knows no tools,
no structured output and no guardrails.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from unicodedata import combining, normalize

from providers.batches.request.chat import ChatRequest
from providers.batches.request.fields import Notes, UnfitLineError, number
from providers.batches.request.media import Media
from providers.batches.request.messages import Turn
from providers.batches.targets.reasoning import check_sampling, reasoning
from providers.objects import JSONObject, JSONValue

_IMAGES: Final[Mapping[str, str]] = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_DOCUMENTS: Final[Mapping[str, str]] = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9 ()\[\]-]+")
_MAX_NAME: Final = 200


def converse_line(custom_id: str, request: ChatRequest, model: str, notes: Notes) -> JSONObject:
    """Return a line of an invocation job of the type Converse. Raises UnfitLineError."""
    check_no_tools(request)
    check_no_format(request)
    check_sampling(model, request)
    request.take_optional(frozenset(), notes)
    names: set[str] = set()
    said = request.messages
    body: dict[str, JSONValue] = {
        "messages": [{"role": turn.role, "content": _blocks(turn, names)} for turn in said.turns]
    }
    if said.system:
        body["system"] = [{"text": text} for text in said.system]
    if config := _inference_config(request):
        body["inferenceConfig"] = config
    if fields := reasoning(model, request):
        body["additionalModelRequestFields"] = fields
    return {"recordId": custom_id, "modelInput": body}


def check_no_tools(request: ChatRequest) -> None:
    """Refuse what Bedrock's batches cannot do with tools."""
    has_calls = any(
        not isinstance(part, str | Media) for turn in request.messages.turns for part in turn.parts
    )
    if request.tools or has_calls or request.tool_choice not in (None, "none", "auto"):
        raise UnfitLineError(
            "tools cannot be called in Bedrock's batches: leave 'tools', 'tool_choice', calls and results out"
        )


def check_no_format(request: ChatRequest) -> None:
    """Refuse structured output."""
    if request.response_format is not None:
        raise UnfitLineError(
            "'body.response_format' does not exist in Bedrock's batches: ask for JSON in a system message"
        )


def _inference_config(request: ChatRequest) -> dict[str, JSONValue]:
    config: dict[str, JSONValue] = {}
    if request.max_tokens is not None:
        config["maxTokens"] = request.max_tokens
    if request.temperature is not None:
        config["temperature"] = number(request.temperature, "body.temperature", 0, 1)
    if request.top_p is not None:
        config["topP"] = request.top_p
    if request.stop:
        config["stopSequences"] = [*request.stop]
    return config


def _blocks(turn: Turn, names: set[str]) -> list[JSONValue]:
    blocks: list[JSONValue] = []
    has_document = False
    for part in turn.parts:
        if isinstance(part, str):
            blocks.append({"text": part})
        elif isinstance(part, Media):
            has_document = has_document or part.media_type in _DOCUMENTS
            blocks.append(_media_block(part, names))
    if has_document and not any(isinstance(part, str) for part in turn.parts):
        raise UnfitLineError(f"'{turn.where}' holds a document and no text: write what is to be done with it")
    return blocks


def _media_block(media: Media, names: set[str]) -> JSONValue:
    if media.uri:
        raise media.refused("a job fetches nothing from elsewhere: send a data URL")
    source: JSONValue = {"bytes": media.data}
    if (image := _IMAGES.get(media.media_type)) is not None:
        return {"image": {"format": image, "source": source}}
    if (document := _DOCUMENTS.get(media.media_type)) is not None:
        return {"document": {"format": document, "name": _document_name(media, names), "source": source}}
    raise media.refused(
        f"{media.media_type} cannot be sent here: send PNG, JPEG, GIF, WebP, PDF, CSV, HTML, text, Markdown, "
        "Word or Excel"
    )


def _document_name(media: Media, names: set[str]) -> str:
    """Return a file's name without what Converse forbids in one; of a request, no two are the same."""
    stem = media.name.rpartition(".")[0] or media.name
    letters = "".join(each for each in normalize("NFKD", stem) if not combining(each))
    plain = " ".join(_NOT_IN_NAMES.sub(" ", letters).split())[: _MAX_NAME - 12].strip() or "document"
    name, count = plain, 1
    while name in names:
        count += 1
        name = f"{plain} ({count})"
    names.add(name)
    return name
