from __future__ import annotations

from typing import Any

import pytest

from tests.providers.batches.results.reading import only, translated


def record(output: dict[str, Any], record_id: str = "a") -> dict[str, Any]:
    return {"recordId": record_id, "modelInput": {"messages": []}, "modelOutput": output}


def converse(**members: Any) -> dict[str, Any]:
    """Return a Converse result with the nulls that batches write for unused members of unions."""
    block = {"text": "Hallo", "image": None, "toolUse": None, "reasoningContent": None, "cachePoint": None}
    return {
        "output": {"message": {"role": "assistant", "content": [block]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 12, "outputTokens": 3, "totalTokens": 15, "cacheReadInputTokens": None},
        "metrics": {"latencyMs": 5},
        "trace": None,
        **members,
    }


def test_converse_becomes_a_chat_completion() -> None:
    body = only(translated([record(converse())]))
    assert body["model"] == "a.model-v1:0" and body["created"] == 1_795_400_000
    (choice,) = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Hallo", "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("content_filtered", "content_filter"),
        ("guardrail_intervened", "content_filter"),
        ("tool_use", "tool_calls"),
        ("something_new", "stop"),
        (None, "stop"),
    ],
)
def test_converse_says_why_it_stopped(said: str | None, expected: str) -> None:
    body = only(translated([record(converse(stopReason=said))]))
    assert body["choices"][0]["finish_reason"] == expected


def test_converse_keeps_reasoning_tools_and_cached_tokens_apart_from_the_text() -> None:
    content = [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}, "text": None},
        {"text": "one "},
        {"text": "two"},
        {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"what": "ü"}}},
    ]
    usage = {"inputTokens": 2, "cacheReadInputTokens": 10, "outputTokens": 1, "totalTokens": 13}
    output = converse(output={"message": {"content": content}}, usage=usage)
    body = only(translated([record(output)]))
    message = body["choices"][0]["message"]
    assert message["content"] == "one two" and message["reasoning_content"] == "hm"
    assert message["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"what": "ü"}'}
    assert body["usage"]["prompt_tokens"] == 12 and body["usage"]["total_tokens"] == 13
    assert body["usage"]["prompt_tokens_details"] == {"cached_tokens": 10}


CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hallo"}],
    "stop_reason": "max_tokens",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 4, "cache_read_input_tokens": 1},
}
NOVA = {
    "output": {"message": {"content": [{"text": "Hallo"}], "role": "assistant"}},
    "stopReason": "max_tokens",
    "usage": {"inputTokens": 10, "outputTokens": 4, "totalTokens": 14},
}
GPT_OSS = {
    "choices": [
        {"finish_reason": "length", "index": 0, "message": {"content": "Hallo", "role": "assistant"}}
    ],
    "created": 1_795_400_001,
    "id": "chatcmpl-1",
    "model": "openai.gpt-oss-20b-1:0",
    "object": "chat.completion",
    "service_tier": None,
    "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14},
}
MISTRAL_CHAT = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hallo"}, "stop_reason": "length"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 4},
}
LLAMA = {
    "generation": "Hallo",
    "prompt_token_count": 10,
    "generation_token_count": 4,
    "stop_reason": "length",
}
TITAN_TEXT = {
    "inputTextTokenCount": 10,
    "results": [{"tokenCount": 4, "outputText": "Hallo", "completionReason": "LENGTH"}],
}


@pytest.mark.parametrize("output", [CLAUDE, NOVA, GPT_OSS, MISTRAL_CHAT, LLAMA, TITAN_TEXT])
def test_every_family_of_chat_models_is_read(output: dict[str, Any]) -> None:
    body = only(translated([record(output)]))
    assert body["choices"][0]["message"]["content"] == "Hallo"
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["prompt_tokens"] == 10 and body["usage"]["completion_tokens"] == 4


@pytest.mark.parametrize(
    ("output", "vectors", "tokens"),
    [
        ({"embedding": [0.5, 1], "inputTextTokenCount": 7}, [[0.5, 1.0]], 7),
        (
            {"embedding": [0.5], "embeddingsByType": {"float": [0.5]}, "inputTextTokenCount": 2},
            [[0.5]],
            2,
        ),
        ({"embeddingsByType": {"binary": [1, 0]}, "inputTextTokenCount": 2}, [[1.0, 0.0]], 2),
        ({"embeddings": [[0.1], [0.2]], "response_type": "embeddings_floats"}, [[0.1], [0.2]], 0),
        ({"embeddings": {"float": [[0.1]]}, "response_type": "embeddings_by_type"}, [[0.1]], 0),
    ],
)
def test_embeddings_are_read(output: dict[str, Any], vectors: list[list[float]], tokens: int) -> None:
    body = only(translated([record(output)]))
    assert [each["embedding"] for each in body["data"]] == vectors
    assert [each["index"] for each in body["data"]] == list(range(len(vectors)))
    assert body["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ({"errorCode": 400, "errorMessage": "no"}, 400, "invalid_request"),
        ({"errorCode": "400", "errorMessage": "no"}, 400, "invalid_request"),
        ({"errorCode": "ThrottlingException", "errorMessage": "no"}, 429, "rate_limit_exceeded"),
        ({"errorCode": "com.amazon#AccessDeniedException", "errorMessage": "no"}, 403, "permission_denied"),
        ({"errorCode": 424, "errorMessage": "no"}, 424, "model_error"),
        ({"errorCode": 500, "errorMessage": "no"}, 500, "server_error"),
    ],
)
def test_a_failed_record_is_an_error_line_of_its_id(error: dict[str, Any], status: int, code: str) -> None:
    files = translated([{"recordId": "a", "modelInput": {}, "error": error}, record(NOVA, "b")])
    line = files.errors["a"]
    assert line["error"] == {"code": code, "message": "no"}
    assert line["response"]["status_code"] == status
    assert line["response"]["body"]["error"]["code"] == code
    assert set(files.output) == {"b"}


def test_an_error_without_a_known_code_keeps_the_words_of_the_provider() -> None:
    line = translated([{"recordId": "a", "error": {"errorMessage": "odd"}}]).errors["a"]
    assert line == {**line, "response": None, "error": {"code": "provider_error", "message": "odd"}}


@pytest.mark.parametrize("output", [{"surprise": 1}, {"embeddings": [["x"]]}, {"outputs": [{"text": 5}]}])
def test_an_unknown_form_goes_to_the_error_file_with_its_id(output: dict[str, Any]) -> None:
    line = translated([record(output)]).errors["a"]
    assert line["error"]["code"] == "unreadable_result" and "line 1" in line["error"]["message"]


def test_lines_of_the_openai_compatible_jobs_stay_what_they_are() -> None:
    answered = {
        "id": "batch_req_x",
        "custom_id": "a",
        "response": {"status_code": 200, "request_id": "r-1", "body": GPT_OSS},
        "error": None,
    }
    refused = {
        "id": "x",
        "custom_id": "b",
        "response": None,
        "error": {"code": "batch_expired", "message": "late"},
    }
    body = {"error": {"message": "too long", "type": "invalid_request_error", "code": "context"}}
    failed = {"id": "y", "custom_id": "c", "response": {"status_code": 400, "body": body}, "error": None}
    files = translated([answered, refused, failed])
    assert files.output["a"]["response"]["request_id"] == "r-1"
    assert files.output["a"]["response"]["body"]["id"] == "chatcmpl-1"
    assert files.errors["b"]["error"] == {"code": "batch_expired", "message": "late"}
    assert files.errors["c"]["error"] == {"code": "invalid_request", "message": "too long"}
