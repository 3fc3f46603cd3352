"""Rows of Bedrock's invocation jobs: {"recordId", "modelInput", "modelOutput"} or, in its place, `error`.

The forms of `modelOutput` are told apart by their members: a job's invocation type stands nowhere in its
result. docs.aws.amazon.com/bedrock/latest/userguide: batch-inference-results, conversation-inference,
model-parameters, read 2026-11-26.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from providers.batches.results.answers import (
    Answer,
    Chat,
    Choice,
    Embeddings,
    FinishReason,
    OpenAIBody,
    Row,
    ToolCall,
    UnreadableRowError,
    Usage,
)
from providers.batches.results.anthropic_messages import is_message, read_message
from providers.batches.results.failures import bedrock_failure
from providers.batches.results.values import (
    count,
    mapping,
    numbers,
    objects,
    parsed_object,
    text,
    without_nulls,
)

_CONVERSE_STOPS: Final[Mapping[str, FinishReason]] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}
#: How the models of other families say why they stopped.
_FAMILY_STOPS: Final[Mapping[str, FinishReason]] = {
    "length": "length",
    "max_tokens": "length",
    "content_filtered": "content_filter",
    "error_toxic": "content_filter",
}


def is_row(row: Mapping[str, Any]) -> bool:
    """Whether a row is one of an invocation job."""
    return "modelOutput" in row or "recordId" in row


def read_row(row: Mapping[str, Any]) -> Row:
    """Return what a row says. Raises UnreadableRowError."""
    record_id = row.get("recordId")
    custom_id = record_id if isinstance(record_id, str) else None
    output = parsed_object(row.get("modelOutput"))
    echo = mapping(row.get("modelInput"))
    if not output:
        if row.get("error") is None:
            raise UnreadableRowError("has neither 'modelOutput' nor 'error'", custom_id)
        return Row(custom_id, bedrock_failure(row["error"]), echo=echo)
    answer = read_output(output)
    if answer is None:
        members = ", ".join(sorted(output))[:200]
        raise UnreadableRowError(f"'modelOutput' has an unknown form ({members})", custom_id)
    return Row(custom_id, answer, echo=echo)


def read_output(output: Mapping[str, Any]) -> Answer | None:
    """Return what a model answered; None for a form that is not known."""
    if "message" in mapping(output.get("output")):
        return _converse(without_nulls(output))
    if is_message(output):
        return read_message(output)
    if isinstance(output.get("choices"), list):
        return OpenAIBody(output)
    return _embeddings(output) or _text(output)


def _converse(output: Mapping[str, Any]) -> Chat:
    """Return what Converse answers; InvokeModel's answer of Nova has the same members."""
    blocks = list(objects(mapping(output["output"]["message"]).get("content")))
    texts = [text(block.get("text")) for block in blocks if "text" in block]
    choice = Choice(
        finish_reason=_CONVERSE_STOPS.get(text(output.get("stopReason")), "stop"),
        text="".join(texts) if texts else None,
        reasoning="".join(map(_reasoning, blocks)),
        tool_calls=tuple(_tool_call(mapping(block["toolUse"])) for block in blocks if "toolUse" in block),
    )
    return Chat((choice,), _converse_usage(mapping(output.get("usage"))))


def _reasoning(block: Mapping[str, Any]) -> str:
    return text(mapping(mapping(block.get("reasoningContent")).get("reasoningText")).get("text"))


def _tool_call(tool: Mapping[str, Any]) -> ToolCall:
    arguments = json.dumps(tool.get("input") or {}, ensure_ascii=False)
    return ToolCall(text(tool.get("toolUseId")), text(tool.get("name")), arguments)


def _converse_usage(usage: Mapping[str, Any]) -> Usage:
    cached = count(usage.get("cacheReadInputTokens") or usage.get("cacheReadInputTokenCount"))
    written = count(usage.get("cacheWriteInputTokens") or usage.get("cacheWriteInputTokenCount"))
    return Usage(
        prompt=count(usage.get("inputTokens")) + cached + written,
        completion=count(usage.get("outputTokens")),
        total=count(usage.get("totalTokens")) or None,
        cached=cached if cached or written else None,
    )


def _embeddings(output: Mapping[str, Any]) -> Embeddings | None:
    """Return the vectors of Titan, one, or of Cohere, a list of them or one by type."""
    tokens = count(output.get("inputTextTokenCount"))
    by_type = mapping(output.get("embeddingsByType"))
    titan = numbers(by_type.get("float") or output.get("embedding") or by_type.get("binary"))
    if titan is not None:
        return Embeddings([titan], tokens)
    found = output.get("embeddings")
    if isinstance(found, Mapping):
        found = found.get("float") or next(iter(found.values()), None)
    if not isinstance(found, list):
        return None
    vectors = [vector for each in found if (vector := numbers(each)) is not None]
    return Embeddings(vectors, tokens) if len(vectors) == len(found) else None


def _text(output: Mapping[str, Any]) -> Chat | None:
    """Return what the models with a body of their own wrote: Llama, Mistral, Cohere, Titan."""
    if isinstance(output.get("generation"), str):  # Llama
        usage = Usage(count(output.get("prompt_token_count")), count(output.get("generation_token_count")))
        return _chat(output["generation"], output.get("stop_reason"), usage)
    if first := next(objects(output.get("outputs")), None):  # Mistral
        return _chat(first.get("text"), first.get("stop_reason"))
    if first := next(objects(output.get("results")), None):  # Titan
        usage = Usage(count(output.get("inputTextTokenCount")), count(first.get("tokenCount")))
        return _chat(first.get("outputText"), first.get("completionReason"), usage)
    if first := next(objects(output.get("generations")), None):  # Cohere Command
        return _chat(first.get("text"), first.get("finish_reason"))
    if isinstance(output.get("text"), str):  # Cohere Command R
        return _chat(output["text"], output.get("finish_reason"))
    return None


def _chat(written: object, stop: object, usage: Usage | None = None) -> Chat | None:
    if not isinstance(written, str):
        return None
    choice = Choice(_FAMILY_STOPS.get(text(stop).lower(), "stop"), written)
    return Chat((choice,), usage or Usage())
