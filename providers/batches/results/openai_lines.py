"""Writes answers as lines of OpenAI's output and error files.

An output line is {"id", "custom_id", "response": {"status_code", "request_id", "body"}, "error": null}; a
line of the error file has a `response` that failed, or none, and an `error` of {"code", "message"}.
platform.openai.com/docs/api-reference/batch/request-output, read 2026-11-26.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from providers.batches.results.answers import Answer, Chat, Choice, Embeddings, Failure, OpenAIBody
from providers.batches.results.values import compact, count, mapping, objects, text
from providers.objects import JSONObject

_FINISH_REASONS: Final = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
_FOREIGN_FINISH_REASONS: Final = {
    "eos": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}
#: What OpenAI's types take; other platforms have tiers with names of their own.
_SERVICE_TIERS: Final = ("auto", "default", "flex", "scale", "priority", "fast")


@dataclass(frozen=True, slots=True)
class Origin:
    """What the rows of a result do not say themselves.

    seed: makes the ids of one result differ from those of another, and the same each time.
    created: Unix seconds at which the result was written. model: what the job was given; empty for unknown.
    """

    seed: str
    created: int
    model: str = ""

    def make_id(self, prefix: str, custom_id: str) -> str:
        """Return an id that is the same each time the result is read."""
        parts = f"{self.seed}\0{prefix}\0{custom_id}".encode(errors="surrogatepass")
        return f"{prefix}{hashlib.sha256(parts).hexdigest()[:32]}"


def output_line(custom_id: str, answer: Answer, origin: Origin, *, request_id: str = "") -> bytes:
    """Return the line for an answer, with its end."""
    request_id = request_id or origin.make_id("req_", custom_id)
    line: dict[str, Any] = {"id": origin.make_id("batch_req_", custom_id), "custom_id": custom_id}
    if isinstance(answer, Failure):
        response = None if answer.status_code is None else _failed_response(answer, request_id)
        error = {"code": answer.code, "message": answer.message}
        return compact({**line, "response": response, "error": error})
    body = _body(answer, custom_id, origin)
    response = {"status_code": 200, "request_id": request_id, "body": body}
    return compact({**line, "response": response, "error": None})


def _failed_response(failed: Failure, request_id: str) -> dict[str, Any]:
    kind = "server_error" if (failed.status_code or 0) >= 500 else "invalid_request_error"
    error = {"message": failed.message, "type": kind, "param": None, "code": failed.code}
    return {"status_code": failed.status_code, "request_id": request_id, "body": {"error": error}}


def _body(answer: Chat | Embeddings | OpenAIBody, custom_id: str, origin: Origin) -> JSONObject:
    if isinstance(answer, Chat):
        return _chat_body(answer, custom_id, origin)
    if isinstance(answer, Embeddings):
        return _embeddings_body(answer, origin)
    return _completed(answer.body, custom_id, origin)


def _model(answer: Chat | Embeddings, origin: Origin) -> str:
    return answer.model or origin.model or "unknown"


def _chat_body(chat: Chat, custom_id: str, origin: Origin) -> JSONObject:
    usage = chat.usage
    numbers: dict[str, Any] = {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached is not None:
        numbers["prompt_tokens_details"] = {"cached_tokens": usage.cached}
    if usage.reasoning is not None:
        numbers["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return {
        "id": chat.id or origin.make_id("chatcmpl-", custom_id),
        "object": "chat.completion",
        "created": origin.created if chat.created is None else chat.created,
        "model": _model(chat, origin),
        "choices": [_choice(index, choice) for index, choice in enumerate(chat.choices)],
        "usage": numbers,
    }


def _choice(index: int, choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": choice.refusal}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in choice.tool_calls
        ]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": choice.finish_reason}


def _embeddings_body(answer: Embeddings, origin: Origin) -> JSONObject:
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": list(vector)}
            for index, vector in enumerate(answer.vectors)
        ],
        "model": _model(answer, origin),
        "usage": {"prompt_tokens": answer.prompt_tokens, "total_tokens": answer.prompt_tokens},
    }


def _completed(body: Mapping[str, Any], custom_id: str, origin: Origin) -> dict[str, Any]:
    """Return a body of OpenAI's shape with what models on other platforms leave out or say otherwise."""
    if not isinstance(body.get("choices"), list):
        return dict(body)
    created = body.get("created")
    filled = {
        **{name: value for name, value in body.items() if value is not None},
        "id": text(body.get("id")) or origin.make_id("chatcmpl-", custom_id),
        "object": "chat.completion",
        "created": count(created) if isinstance(created, int) else origin.created,
        "model": text(body.get("model")) or origin.model or "unknown",
        "choices": [_completed_choice(number, each) for number, each in enumerate(objects(body["choices"]))],
        "usage": _completed_usage(mapping(body.get("usage"))),
    }
    if filled.get("service_tier") not in _SERVICE_TIERS:
        filled.pop("service_tier", None)
    return filled


def _completed_choice(number: int, choice: Mapping[str, Any]) -> dict[str, Any]:
    said = text(choice.get("finish_reason")) or text(choice.get("stop_reason"))
    message = mapping(choice.get("message"))
    # Models that know plain completions alone write `text` beside no message.
    written = message.get("content") if message else choice.get("text")
    refusal = message.get("refusal")
    return {
        **choice,
        "index": number,
        "finish_reason": said if said in _FINISH_REASONS else _FOREIGN_FINISH_REASONS.get(said, "stop"),
        "logprobs": _logprobs(mapping(choice.get("logprobs"))),
        "message": {
            **{name: value for name, value in message.items() if value is not None},
            "role": "assistant",
            "content": written if isinstance(written, str) else _joined(written),
            "refusal": refusal if isinstance(refusal, str) else None,
        },
    }


def _logprobs(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the log probabilities where they are OpenAI's, not those of plain completions."""
    tokens = found.get("content")
    if not isinstance(tokens, list) or not all(
        {"token", "logprob"} <= mapping(each).keys() for each in tokens
    ):
        return None
    return {"content": tokens, "refusal": None}


def _joined(parts: object) -> str | None:
    """Return the text of a content that comes in parts; None where there is none."""
    texts = [text(part.get("text")) for part in objects(parts) if "text" in part]
    return "".join(texts) if texts else None


def _completed_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    details = {
        name: {kind: count(tokens) for kind, tokens in usage[name].items()}
        for name in ("prompt_tokens_details", "completion_tokens_details")
        if isinstance(usage.get(name), Mapping)
    }
    total = count(usage.get("total_tokens")) or prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **details}
