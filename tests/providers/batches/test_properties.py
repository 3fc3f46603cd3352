"""Whatever a request says comes out whole in the target's form, or its line is refused."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.batches.custom_ids import custom_id_from
from providers.batches.rendering import BatchOptions
from providers.batches.targets.table import RenderedDriver
from tests.providers.batches.lines import CLAUDE, CONVERSE, GEMINI, GPT, jsonl, record, render, rendered_line
from tests.providers.batches.oracles import check_claude, check_converse, check_gemini

IGNORING = BatchOptions(unsupported="ignore")

characters = st.characters(exclude_categories=["Cs"])
ids = st.text(characters, min_size=1, max_size=255)
texts = st.text(characters, max_size=60)
images = st.builds(
    lambda kind, data: f"data:image/{kind};base64,{base64.b64encode(data).decode()}",
    st.sampled_from(["png", "jpeg", "webp", "gif"]),
    st.binary(max_size=40),
)
pdfs = st.binary(min_size=1, max_size=40).map(
    lambda data: f"data:application/pdf;base64,{base64.b64encode(data).decode()}"
)
documents = st.fixed_dictionaries(
    {"file_data": pdfs}, optional={"filename": st.text(characters, max_size=300)}
)
parts = st.one_of(
    texts.map(lambda text: {"type": "text", "text": text}),
    images.map(lambda url: {"type": "image_url", "image_url": {"url": url}}),
    documents.map(lambda file: {"type": "file", "file": file}),
)
contents = texts | st.lists(parts, max_size=4)
systems = st.builds(
    lambda role, text: {"role": role, "content": text}, st.sampled_from(["system", "developer"]), texts
)
turns = st.builds(lambda content: {"role": "user", "content": content}, contents) | st.builds(
    lambda text: {"role": "assistant", "content": text}, texts
)
numbers = (
    st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0, 0.5, 1, 10**400])
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
bodies = st.builds(
    lambda before, after, fields: {"messages": [*before, *after], **fields},
    st.lists(systems, max_size=2),
    st.lists(turns, max_size=5),
    st.fixed_dictionaries(
        {"max_tokens": st.integers(1, 10_000) | st.integers()},
        optional={
            "temperature": numbers,
            "top_p": numbers,
            "stop": texts | st.lists(texts, max_size=5),
            "seed": st.integers() | st.integers(0, 100),
            "frequency_penalty": numbers,
            "user": texts,
        },
    ),
)

# -- what every target takes -------------------------------------------------------------------------------

words = texts.filter(lambda text: text != "" and not text.isspace())
fit_images = st.builds(
    lambda kind, data: f"data:image/{kind};base64,{base64.b64encode(data).decode()}",
    st.sampled_from(["png", "jpeg", "webp"]),
    st.binary(min_size=1, max_size=40),
)
fit_contents = words | st.builds(
    lambda text, others: [{"type": "text", "text": text}, *others],
    words,
    st.lists(
        st.one_of(
            words.map(lambda text: {"type": "text", "text": text}),
            fit_images.map(lambda url: {"type": "image_url", "image_url": {"url": url}}),
            documents.map(lambda file: {"type": "file", "file": file}),
        ),
        max_size=4,
    ),
)
fit_turns = st.builds(lambda content: {"role": "user", "content": content}, fit_contents) | st.builds(
    lambda text: {"role": "assistant", "content": text}, words
)
fit_bodies = st.builds(
    lambda before, first, after, fields: {
        "messages": [
            *[{"role": role, "content": text} for role, text in before],
            {"role": "user", "content": first},
            *after,
        ],
        **fields,
    },
    st.lists(st.tuples(st.sampled_from(["system", "developer"]), words), max_size=2),
    fit_contents,
    st.lists(fit_turns, max_size=4),
    st.fixed_dictionaries(
        {"max_tokens": st.integers(1, 2**31 - 1)},
        optional={
            "temperature": st.floats(0, 1) | st.sampled_from([0, 1]),
            "top_p": st.floats(0, 1) | st.sampled_from([0, 1]),
            "stop": words | st.lists(words, max_size=4),
            "seed": st.integers(-(2**31), 2**31 - 1),
            "presence_penalty": st.floats(-2, 2),
            "user": texts,
        },
    ),
)
CHECKS = {CONVERSE: check_converse, GEMINI: check_gemini, CLAUDE: check_claude}
every_target = pytest.mark.parametrize(
    ("driver", "model"), [("bedrock", CONVERSE), ("bedrock", GPT), ("vertex", GEMINI), ("vertex", CLAUDE)]
)


@every_target
@given(body=fit_bodies, custom_id=ids)
@settings(deadline=None)
def test_a_request_comes_out_whole(
    driver: RenderedDriver, model: str, body: dict[str, Any], custom_id: str
) -> None:
    _check(driver, model, body, custom_id)


@every_target
@given(body=bodies | st.dictionaries(texts, values), custom_id=ids)
@settings(deadline=None)
def test_any_other_request_comes_out_whole_or_is_refused(
    driver: RenderedDriver, model: str, body: dict[str, Any], custom_id: str
) -> None:
    renderer, rendered = render(driver, jsonl([record({"model": model, **body}, custom_id)]), IGNORING)
    if renderer.problems:
        assert rendered == b"" and renderer.problems[0].startswith("line 1: ")
    else:
        _check(driver, model, body, custom_id)


def _check(driver: RenderedDriver, model: str, body: dict[str, Any], custom_id: str) -> None:
    """Render a line, ask whoever knows its form, and look for everything that was said."""
    line = rendered_line(driver, {"model": model, **body}, IGNORING, custom_id=custom_id)
    if model in CHECKS:
        CHECKS[model](line)
    assert _custom_id(line) == custom_id
    request = line.get("request", line.get("modelInput"))
    strings = _strings(request)
    assert [said for said in _said(body["messages"]) if said not in strings] == []
    lengths = ("maxTokens", "maxOutputTokens", "max_tokens", "max_completion_tokens")
    assert _number(request, *lengths) == body["max_tokens"]
    assert _number(request, "temperature") == body.get("temperature")
    assert _number(request, "topP", "top_p") == body.get("top_p")


@given(st.lists(ids, min_size=1, max_size=20, unique=True), st.integers(1, 50))
@settings(deadline=None)
def test_every_id_comes_out_once_and_in_order(custom_ids: list[str], chunk_bytes: int) -> None:
    bodies = ({"model": GEMINI, "messages": [{"role": "user", "content": each}]} for each in ["x"] * 20)
    data = jsonl(record(body, each) for each, body in zip(custom_ids, bodies, strict=False))
    renderer, rendered = render("vertex", data, chunk_bytes=chunk_bytes)
    assert renderer.problems == []
    assert [_custom_id(json.loads(line)) for line in rendered.splitlines()] == custom_ids


def _custom_id(line: dict[str, Any]) -> str | None:
    if "labels" in line.get("request", {}):
        return custom_id_from(line["request"]["labels"])
    found = line.get("recordId", line.get("custom_id"))
    return found if isinstance(found, str) else None


def _said(messages: list[dict[str, Any]]) -> list[str]:
    """Return every text, and the data of every image and document; empty ones say nothing."""
    said: list[str] = []
    for message in messages:
        content = message["content"]
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            url = part.get("image_url", {}).get("url") or part.get("file", {}).get("file_data", "")
            said.append(part.get("text") or url)
    return [each.partition(";base64,")[2] if each.startswith("data:") else each for each in said if each]


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value.partition(";base64,")[2] if value.startswith("data:") else value]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for child in children for text in _strings(child)]


def _number(request: dict[str, Any], *names: str) -> Any:
    """Return a setting of a request, wherever its form keeps it."""
    place = {**request, **request.get("inferenceConfig", {}), **request.get("generationConfig", {})}
    return next((place[name] for name in names if name in place), None)
