"""Rows of Vertex AI's batch predictions.

Gemini: {"request", "status", "response": GenerateContentResponse, "processed_time"}; Claude the same with
`custom_id` and a message; Gemini's embeddings with `key`; older text embeddings {"instance", "predictions",
"status"}. `status` is empty for a good row. docs.cloud.google.com/vertex-ai/generative-ai/docs: batch
inference from Cloud Storage, batch embeddings, Claude batch, read 2026-11-26.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from providers.batches.results.answers import (
    Answer,
    Chat,
    Choice,
    Embeddings,
    Failure,
    FinishReason,
    OpenAIBody,
    Row,
    ToolCall,
    UnreadableRowError,
    Usage,
)
from providers.batches.results.anthropic_messages import is_message, read_message
from providers.batches.results.failures import google_failure
from providers.batches.results.labels import custom_id_of
from providers.batches.results.values import count, mapping, numbers, objects, parsed_object, text

_STOPS: Final[Mapping[str, FinishReason]] = {
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "MODEL_ARMOR",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
        ),
        "content_filter",
    ),
}

#: What else than nothing a good row may have as its status.
_GOOD: Final = (None, "", "OK", "SUCCEEDED", "SUCCESS")


def is_row(row: Mapping[str, Any]) -> bool:
    """Whether a row is one of a batch prediction."""
    return any(name in row for name in ("request", "instance", "predictions", "processed_time"))


def read_row(row: Mapping[str, Any]) -> Row:
    """Return what a row says. Raises UnreadableRowError."""
    custom_id = custom_id_of(row)
    echo = mapping(row.get("request") or row.get("instance"))
    failed = row.get("error") or (row.get("status") if row.get("status") not in _GOOD else None)
    response = parsed_object(row.get("response"))
    if failed:
        return Row(custom_id, google_failure(failed), echo=echo)
    answer = read_response(response) if response else _text_embeddings(row.get("predictions"))
    if answer is None:
        where = "'response'" if response else "the row"
        members = ", ".join(sorted(response or row))[:200]
        raise UnreadableRowError(f"{where} has an unknown form ({members})", custom_id)
    return Row(custom_id, answer, text(response.get("responseId")), echo)


def read_response(response: Mapping[str, Any]) -> Answer | None:
    """Return what a model answered; None for a form that is not known."""
    if is_message(response):
        return read_message(response)
    if isinstance(response.get("choices"), list):
        return OpenAIBody(response)
    if response.get("error"):
        return google_failure(response["error"])
    if "candidates" in response or "promptFeedback" in response or "usageMetadata" in response:
        return _gemini(response) if "embedding" not in response else _embedding(response)
    return _embedding(response)


def _gemini(response: Mapping[str, Any]) -> Answer:
    choices = tuple(map(_choice, objects(response.get("candidates"))))
    if not choices:
        reason = text(mapping(response.get("promptFeedback")).get("blockReason"))
        message = f"The prompt was blocked: {reason}." if reason else "The model gave no candidate."
        return Failure("content_filter" if reason else "empty_answer", message, 400 if reason else 502)
    return Chat(
        choices,
        _usage(mapping(response.get("usageMetadata"))),
        text(response.get("responseId")),
        text(response.get("modelVersion")),
        _seconds(response.get("createTime")),
    )


def _choice(candidate: Mapping[str, Any]) -> Choice:
    parts = list(objects(mapping(candidate.get("content")).get("parts")))
    texts = [text(part["text"]) for part in parts if "text" in part and not part.get("thought")]
    calls = tuple(
        _tool_call(number, mapping(part["functionCall"]))
        for number, part in enumerate(parts)
        if "functionCall" in part
    )
    reason = _STOPS.get(text(candidate.get("finishReason")), "stop")
    return Choice(
        finish_reason="tool_calls" if calls and reason == "stop" else reason,
        text="".join(texts) if texts else None,
        reasoning="".join(text(part.get("text")) for part in parts if part.get("thought")),
        tool_calls=calls,
    )


def _tool_call(number: int, call: Mapping[str, Any]) -> ToolCall:
    arguments = json.dumps(call.get("args") or {}, ensure_ascii=False)
    return ToolCall(text(call.get("id")) or f"call_{number}", text(call.get("name")), arguments)


def _usage(usage: Mapping[str, Any]) -> Usage:
    thoughts, cached = usage.get("thoughtsTokenCount"), usage.get("cachedContentTokenCount")
    return Usage(
        prompt=count(usage.get("promptTokenCount")) + count(usage.get("toolUsePromptTokenCount")),
        completion=count(usage.get("candidatesTokenCount")) + count(thoughts),
        total=count(usage.get("totalTokenCount")) or None,
        cached=None if cached is None else count(cached),
        reasoning=None if thoughts is None else count(thoughts),
    )


def _embedding(response: Mapping[str, Any]) -> Embeddings | None:
    """Return the vector, or vectors, of an embedding model of Gemini."""
    found = response.get("embeddings")
    each = list(objects(found)) if isinstance(found, list) else [mapping(response.get("embedding"))]
    vectors = [vector for one in each if (vector := numbers(one.get("values"))) is not None]
    if not vectors or len(vectors) != len(each):
        return None
    tokens = mapping(response.get("usageMetadata")).get("promptTokenCount") or response.get("tokenCount")
    return Embeddings(vectors, count(tokens) or sum(map(_tokens, each)), text(response.get("modelVersion")))


def _text_embeddings(predictions: object) -> Embeddings | None:
    """Return the vectors of the older embedding models."""
    each = predictions if isinstance(predictions, list) else [predictions]
    found = [mapping(mapping(one).get("embeddings")) for one in each]
    vectors = [vector for one in found if (vector := numbers(one.get("values"))) is not None]
    if not vectors or len(vectors) != len(found):
        return None
    return Embeddings(vectors, sum(map(_tokens, found)))


def _tokens(embedding: Mapping[str, Any]) -> int:
    statistics = mapping(embedding.get("statistics"))
    return count(statistics.get("token_count") or statistics.get("tokenCount"))


def _seconds(moment: object) -> int | None:
    """Return the Unix seconds of a time like 2026-11-23T02:19:59.123456789Z; None for anything else."""
    try:
        return int(datetime.fromisoformat(text(moment)).timestamp())
    except (ValueError, OverflowError):
        return None
