"""OpenAI's line, rendered for a job and answered in its provider's form, is OpenAI's line of the same id."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.batches.results.echoes import EchoIndex, input_ids
from providers.batches.targets.table import TARGETS, RenderedDriver, Target
from tests.providers.batches.lines import (
    CLAUDE,
    COHERE,
    CONVERSE,
    EMBEDDINGS,
    GEMINI,
    GEMINI_EMBEDDING,
    GPT,
    NOVA,
    TEXT_EMBEDDING,
    TITAN,
    jsonl,
    record,
    render,
)
from tests.providers.batches.results.reading import Files, read
from tests.providers.batches.test_properties import fit_bodies, ids, texts

Line = dict[str, Any]
Answer = Callable[[Line, str, int, int], Line]
TOKENS = st.integers(0, 2**53)
#: None in place of a text: the request failed.
ANSWERS = st.tuples(texts | st.none(), TOKENS, TOKENS)


def converse(line: Line, text: str, prompt: int, used: int) -> Line:
    content = [{"text": text, "image": None, "video": None, "cachePoint": None}]
    usage = {"inputTokens": prompt, "outputTokens": used, "totalTokens": prompt + used, "cacheDetails": None}
    output = {"message": {"role": "assistant", "content": content}}
    return {
        **line,
        "modelOutput": {"output": output, "stopReason": "end_turn", "usage": usage, "trace": None},
    }


def invoked(line: Line, text: str, prompt: int, used: int) -> Line:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": prompt, "completion_tokens": used, "total_tokens": prompt + used}
    return {**line, "modelOutput": {"object": "chat.completion", "choices": [choice], "usage": usage}}


def gemini(line: Line, text: str, prompt: int, used: int) -> Line:
    usage = {"promptTokenCount": prompt, "candidatesTokenCount": used, "totalTokenCount": prompt + used}
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}
    return {**line, "status": "", "response": {"candidates": [candidate], "usageMetadata": usage}}


def claude(line: Line, text: str, prompt: int, used: int) -> Line:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": CLAUDE,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": prompt, "output_tokens": used},
    }
    return {**line, "status": "", "response": message}


def failed(line: Line) -> Line:
    if "recordId" in line:
        return {**line, "error": {"errorCode": 400, "errorMessage": "no"}}
    return {**line, "status": '{"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}', "response": {}}


def job(rendered: bytes, answer: Callable[[Line], Line]) -> bytes:
    """Answer what was rendered, in another order."""
    rows = [answer(json.loads(line)) for line in reversed(rendered.splitlines())]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def result_of(driver: RenderedDriver, requests: list[Line], answer: Callable[[Line], Line]) -> Files:
    """Render requests, run their job, and read the result with its input at hand."""
    asked = jsonl(requests)
    renderer, rendered = render(driver, asked)
    assert renderer.problems == []
    echoes = EchoIndex()
    echoes.read([rendered])
    return read(job(rendered, answer), ids=list(input_ids([asked])), find_by_echo=echoes.find)


@pytest.mark.parametrize(
    ("driver", "model", "answer"),
    [
        ("bedrock", CONVERSE, converse),
        ("bedrock", NOVA, converse),
        ("bedrock", GPT, invoked),
        ("vertex", GEMINI, gemini),
        ("vertex", CLAUDE, claude),
    ],
)
@given(
    bodies=st.lists(fit_bodies, min_size=1, max_size=3),
    custom_ids=st.lists(ids, min_size=3, max_size=3, unique=True),
    answers=st.lists(ANSWERS, min_size=3, max_size=3),
)
@settings(deadline=None, max_examples=40)
def test_a_chat_comes_back(
    driver: RenderedDriver,
    model: str,
    answer: Answer,
    bodies: list[Line],
    custom_ids: list[str],
    answers: list[tuple[str | None, int, int]],
) -> None:
    plain = [{name: body[name] for name in ("messages", "max_tokens")} for body in bodies]
    requests = [record({"model": model, **body}, id_) for body, id_ in zip(plain, custom_ids, strict=False)]
    # Equal requests are told apart by their ids alone: the answers go by the order of the lines.
    left = list(reversed(list(zip(custom_ids, answers, strict=True))[: len(requests)]))
    expected = dict(left)
    order = iter(left)

    def answer_next(line: Line) -> Line:
        text, prompt, used = next(order)[1]
        return failed(line) if text is None else answer(line, text, prompt, used)

    files = result_of(driver, requests, answer_next)
    assert set(files.errors) == {id_ for id_, (text, _, _) in expected.items() if text is None}
    assert set(files.output) == {id_ for id_, (text, _, _) in expected.items() if text is not None}
    for id_, line in files.output.items():
        text, prompt, used = expected[id_]
        body = line["response"]["body"]
        assert body["choices"][0]["message"]["content"] == text
        assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (prompt, used)
    assert all(line["error"]["message"] == "no" for line in files.errors.values())


def titan(line: Line, vector: list[float], tokens: int) -> Line:
    return {**line, "modelOutput": {"embedding": vector, "inputTextTokenCount": tokens}}


def cohere(line: Line, vector: list[float], tokens: int) -> Line:
    vectors = [vector for _ in line["modelInput"]["texts"]]
    return {**line, "modelOutput": {"id": "x", "response_type": "embeddings_floats", "embeddings": vectors}}


def gemini_embedding(line: Line, vector: list[float], tokens: int) -> Line:
    usage = {"promptTokenCount": tokens}
    return {**line, "status": "", "response": {"embedding": {"values": vector}, "usageMetadata": usage}}


def text_embedding(line: Line, vector: list[float], tokens: int) -> Line:
    """Answer as the older models do, which repeat the content and not the key."""
    statistics = {"token_count": tokens, "truncated": False}
    prediction = {"embeddings": {"values": vector, "statistics": statistics}}
    return {"instance": {"content": line["content"]}, "predictions": [prediction], "status": ""}


@pytest.mark.parametrize(
    ("driver", "model", "answer"),
    [
        ("bedrock", TITAN, titan),
        ("bedrock", COHERE, cohere),
        ("vertex", GEMINI_EMBEDDING, gemini_embedding),
        ("vertex", TEXT_EMBEDDING, text_embedding),
    ],
)
@given(
    custom_id=ids,
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(str.strip),
    vector=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4),
    tokens=TOKENS,
)
@settings(deadline=None, max_examples=40)
def test_an_embedding_comes_back(
    driver: RenderedDriver,
    model: str,
    answer: Callable[[Line, list[float], int], Line],
    custom_id: str,
    text: str,
    vector: list[float],
    tokens: int,
) -> None:
    request = record({"model": model, "input": text}, custom_id, EMBEDDINGS)
    files = result_of(driver, [request], lambda line: answer(line, vector, tokens))
    assert not files.errors
    body = files.output[custom_id]["response"]["body"]
    assert [each["embedding"] for each in body["data"]] == [vector]
    assert body["usage"]["total_tokens"] == (0 if model == COHERE else tokens)


def test_every_form_of_lines_has_a_way_back() -> None:
    models = [("bedrock", CONVERSE), ("bedrock", GPT), ("bedrock", TITAN), ("bedrock", COHERE)]
    models += [("vertex", model) for model in (GEMINI, CLAUDE, GEMINI_EMBEDDING, TEXT_EMBEDDING)]
    shown = {found.format for driver, model in models for found in TARGETS if fits(found, driver, model)}
    assert shown | {"openai"} == {target.format for target in TARGETS}  # OpenAI's own lines come back as such


def fits(target: Target, driver: str, model: str) -> bool:
    return target.driver == driver and target.models.search(model) is not None
