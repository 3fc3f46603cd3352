from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from providers.batches.custom_ids import labels_from
from providers.batches.results.echoes import EchoIndex
from tests.providers.batches.results.reading import only, translated


def gemini(custom_id: str = "a", **members: Any) -> dict[str, Any]:
    request = {
        "contents": [{"role": "user", "parts": [{"text": f"to {custom_id}"}]}],
        "labels": labels_from(custom_id),
    }
    response = {
        "candidates": [
            {"content": {"role": "model", "parts": [{"text": "Hallo"}]}, "finishReason": "STOP", "index": 0}
        ],
        "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 2, "totalTokenCount": 10},
        "modelVersion": "gemini-x-flash",
        "responseId": "r-1",
        "createTime": "2026-11-23T02:19:59.123456789Z",
    }
    processed = "2026-11-23T02:20:00.000+00:00"
    return {"status": "", "processed_time": processed, "request": request, "response": response, **members}


def test_a_row_of_gemini_becomes_a_chat_completion() -> None:
    files = translated([gemini()])
    assert files.output["a"]["response"]["request_id"] == "r-1"
    body = only(files)
    assert body["id"] == "r-1" and body["model"] == "gemini-x-flash" and body["created"] == 1_795_400_399
    assert body["choices"][0]["message"]["content"] == "Hallo"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10}


@pytest.mark.parametrize("custom_id", ["a", "Ä-漢字-🙂", "x" * 255, "漢" * 255, "UPPER", " ", 'a/b\\c"d\n'])
def test_every_id_comes_back_from_the_labels(custom_id: str) -> None:
    assert set(translated([gemini(custom_id)]).output) == {custom_id}


def test_ids_of_other_gateways_lines_are_read() -> None:
    raw = base64.b32encode("Ünï-".encode() * 20).decode().rstrip("=").lower()
    pieces = ["b32_" + raw[at : at + 59] for at in range(0, len(raw), 59)]
    labels = {"litellm_custom_id": "_n_", "litellm_custom_id_raw": pieces[0]}
    labels |= {f"litellm_custom_id_raw_{number}": piece for number, piece in enumerate(pieces) if number}
    rows = [
        gemini(request={"labels": labels}),
        gemini(request={"labels": {"bifrost_custom_id": "b"}}),
        gemini(request={}, requestId="c"),
    ]
    assert set(translated(rows).output) == {"Ünï-" * 20, "b", "c"}


def test_a_row_whose_labels_were_lost_is_found_by_the_request_it_repeats() -> None:
    lines = [gemini("a"), gemini("b")]
    inputs = [
        {"request": {**line["request"], "generationConfig": {"max_output_tokens": 5}}} for line in lines
    ]
    echoes = EchoIndex()
    echoes.read([b"\n".join(json.dumps(line).encode() for line in inputs)])
    for line in lines:
        line["request"] = {
            "contents": line["request"]["contents"],
            "generationConfig": {"maxOutputTokens": 5.0},
        }
    files = translated(lines[::-1], find_by_echo=echoes.find)
    assert set(files.output) == {"a", "b"}
    same = [line["request"]["contents"] for line in lines]
    assert same[0] != same[1]


@pytest.mark.parametrize(
    ("status", "code", "number"),
    [
        ('{"code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}', "invalid_request", 400),
        ('Bad Request: {"error": {"code": 429, "message": "bad", "status": "RESOURCE_EXHAUSTED"}}',
         "rate_limit_exceeded", 429),
        ({"code": 8, "message": "bad"}, "rate_limit_exceeded", 429),
        ({"code": 13, "message": "bad"}, "server_error", 500),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "bad"}}, "overloaded", 529),
    ],
)  # fmt: skip
def test_a_failed_row_is_an_error_line_of_its_id(status: object, code: str, number: int) -> None:
    files = translated([gemini("a", status=status, response={}), gemini("b")])
    line = files.errors["a"]
    assert line["error"] == {"code": code, "message": "bad"}
    assert line["response"]["status_code"] == number
    assert set(files.output) == {"b"}


def test_words_that_say_why_a_row_failed_are_kept() -> None:
    line = translated([gemini(status="Something UNAVAILABLE {", response=None)]).errors["a"]
    assert line["error"] == {"code": "overloaded", "message": "Something UNAVAILABLE {"}


@pytest.mark.parametrize(
    ("candidate", "reason", "content"),
    [
        ({"finishReason": "MAX_TOKENS"}, "length", None),
        ({"finishReason": "SAFETY"}, "content_filter", None),
        ({"finishReason": "RECITATION", "content": {"parts": [{"text": "a"}]}}, "content_filter", "a"),
        ({"content": {"parts": [{"text": ""}]}}, "stop", ""),
        ({"finishReason": "STOP", "content": {"parts": [{"functionCall": {"name": "f", "args": {}}}]}},
         "tool_calls", None),
    ],
)  # fmt: skip
def test_gemini_says_why_it_stopped(candidate: dict[str, Any], reason: str, content: str | None) -> None:
    body = only(translated([gemini(response={"candidates": [candidate]})]))
    assert body["choices"][0]["finish_reason"] == reason
    assert body["choices"][0]["message"]["content"] == content


def test_thoughts_are_apart_from_the_text_and_counted() -> None:
    parts = [{"text": "hm", "thought": True}, {"text": "Hallo"}]
    usage = {"promptTokenCount": 4, "candidatesTokenCount": 1, "thoughtsTokenCount": 6, "totalTokenCount": 11}
    response = {"candidates": [{"content": {"parts": parts}}], "usageMetadata": usage}
    body = only(translated([gemini(response=response)]))
    assert body["choices"][0]["message"]["content"] == "Hallo"
    assert body["choices"][0]["message"]["reasoning_content"] == "hm"
    assert body["usage"]["completion_tokens"] == 7
    assert body["usage"]["completion_tokens_details"] == {"reasoning_tokens": 6}


def test_a_blocked_prompt_is_an_error() -> None:
    line = translated([gemini(response={"promptFeedback": {"blockReason": "SAFETY"}})]).errors["a"]
    assert line["error"] == {"code": "content_filter", "message": "The prompt was blocked: SAFETY."}


MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "Hallo"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 9, "output_tokens": 4},
}


@pytest.mark.parametrize("response", [MESSAGE, json.dumps(MESSAGE)])
def test_claude_is_read_by_its_columns(response: object) -> None:
    row = {"custom_id": "a", "request": {"messages": []}, "response": response, "status": ""}
    files = translated([row])
    assert set(files.output) == {"a"}
    body = only(files)
    assert body["id"] == "msg_1" and body["model"] == "claude-x"
    assert body["choices"][0]["message"]["content"] == "Hallo"
    assert body["usage"] == {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


@pytest.mark.parametrize(
    ("row", "tokens"),
    [
        ({"key": "a", "status": "", "response": {"embedding": {"values": [0.5, 1]},
          "usageMetadata": {"promptTokenCount": 3}}}, 3),
        ({"key": "a", "response": {"embedding": {"values": [0.5, 1], "statistics": {"token_count": 3}}}}, 3),
        ({"instance": {"content": "x", "key": "a"}, "status": "", "predictions": [
          {"embeddings": {"values": [0.5, 1], "statistics": {"token_count": 3, "truncated": False}}}]}, 3),
    ],
)  # fmt: skip
def test_embeddings_are_read(row: dict[str, Any], tokens: int) -> None:
    files = translated([row])
    assert set(files.output) == {"a"}
    body = only(files)
    assert body["data"] == [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}]
    assert body["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
