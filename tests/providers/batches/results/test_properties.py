"""Whatever a model writes, id, text and usage survive the way back, and OpenAI's types take the lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from providers.batches.custom_ids import labels_from
from tests.providers.batches.results.reading import read, translated

# What UTF-8 can say: clients' ids came in as UTF-8.
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
TOKENS = st.integers(0, 2**53)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["recordId", "modelOutput", "error", "output", "message", "content", "choices", "embedding", "usage",
     "request", "response", "status", "candidates", "parts", "text", "custom_id", "key", "predictions",
     "status_code", "body", "stopReason", "usageMetadata", "labels", "type", "index", "finish_reason"]
)  # fmt: skip
HOSTILE = st.recursive(
    JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)


def converse(custom_id: str, text: str, prompt: int, completion: int) -> dict[str, Any]:
    usage = {"inputTokens": prompt, "outputTokens": completion, "totalTokens": prompt + completion}
    message = {"role": "assistant", "content": [{"text": text, "image": None}]}
    output = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}
    return {"recordId": custom_id, "modelInput": {}, "modelOutput": output}


def gemini(custom_id: str, text: str, prompt: int, completion: int) -> dict[str, Any]:
    usage = {"promptTokenCount": prompt, "candidatesTokenCount": completion}
    candidate = {"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}
    response = {"candidates": [candidate], "usageMetadata": usage}
    return {"request": {"labels": labels_from(custom_id)}, "status": "", "response": response}


def claude(custom_id: str, text: str, prompt: int, completion: int) -> dict[str, Any]:
    usage = {"input_tokens": prompt, "output_tokens": completion}
    content = [{"type": "text", "text": text}]
    message = {"id": "m", "type": "message", "content": content, "stop_reason": "end_turn", "usage": usage}
    return {"custom_id": custom_id, "request": {}, "status": "", "response": message}


BODIES = st.fixed_dictionaries(
    {"choices": st.lists(st.dictionaries(
        st.sampled_from(["message", "finish_reason", "index", "logprobs", "text", "stop_reason"]),
        st.dictionaries(st.sampled_from(["content", "role", "refusal"]), JSON, max_size=3) | JSON,
    ), max_size=3)},
    optional=dict.fromkeys(("id", "created", "model", "object", "usage", "service_tier"), JSON),
)  # fmt: skip


SHAPES: list[Callable[[str, str, int, int], dict[str, Any]]] = [converse, gemini, claude]


@given(st.sampled_from(SHAPES), IDS, TEXTS, TOKENS, TOKENS)
def test_id_text_and_usage_survive(
    shape: Callable[[str, str, int, int], dict[str, Any]], custom_id: str, text: str, prompt: int, used: int
) -> None:
    files = translated([shape(custom_id, text, prompt, used)])
    assert not files.errors
    body = files.output[custom_id]["response"]["body"]
    assert body["choices"][0]["message"]["content"] == text
    assert body["usage"] == {
        "prompt_tokens": prompt,
        "completion_tokens": used,
        "total_tokens": prompt + used,
    }


@given(IDS, st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8), TOKENS)
def test_vectors_survive(custom_id: str, vector: list[float], tokens: int) -> None:
    titan = {"recordId": custom_id, "modelOutput": {"embedding": vector, "inputTextTokenCount": tokens}}
    body = translated([titan]).output[custom_id]["response"]["body"]
    assert body["data"][0]["embedding"] == vector and body["usage"]["total_tokens"] == tokens


@given(st.lists(st.dictionaries(NAMES, HOSTILE, max_size=6), min_size=1, max_size=4), st.binary(max_size=30))
def test_any_row_becomes_a_line_that_openais_types_take(rows: list[dict[str, Any]], junk: bytes) -> None:
    read(b"\n".join([*(json.dumps(row).encode() for row in rows), junk]))


@given(BODIES)
def test_any_body_with_choices_becomes_a_chat_completion(body: dict[str, Any]) -> None:
    line = translated([{"recordId": "a", "modelOutput": body}]).output["a"]
    ChatCompletion.model_validate(line["response"]["body"], strict=True)
