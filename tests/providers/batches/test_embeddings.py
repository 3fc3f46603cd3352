from typing import Any

import pytest
from google.genai import types as google

from providers.batches.targets.table import RenderedDriver
from tests.providers.batches.lines import (
    COHERE,
    EMBEDDINGS,
    GEMINI_EMBEDDING,
    TEXT_EMBEDDING,
    TITAN,
    jsonl,
    problem,
    record,
    render,
    rendered_line,
)

TARGETS: list[tuple[RenderedDriver, str]] = [
    ("bedrock", TITAN),
    ("bedrock", COHERE),
    ("vertex", GEMINI_EMBEDDING),
    ("vertex", TEXT_EMBEDDING),
]


@pytest.mark.parametrize(
    ("driver", "body", "line"),
    [
        (
            "bedrock",
            {"model": TITAN, "input": "x", "dimensions": 512, "encoding_format": "float"},
            {
                "recordId": "ü",
                "modelInput": {"inputText": "x", "dimensions": 512, "embeddingTypes": ["float"]},
            },
        ),
        ("bedrock", {"model": TITAN, "input": ["x"]}, {"recordId": "ü", "modelInput": {"inputText": "x"}}),
        (
            "bedrock",
            {"model": COHERE, "input": ["x", "y"], "input_type": "clustering"},
            {"recordId": "ü", "modelInput": {"texts": ["x", "y"], "input_type": "clustering"}},
        ),
        (
            "bedrock",
            {"model": "us.cohere.embed-v4:0", "input": "x", "dimensions": 1536, "input_type": "search_query"},
            {
                "recordId": "ü",
                "modelInput": {"texts": ["x"], "input_type": "search_query", "output_dimension": 1536},
            },
        ),
        (
            "vertex",
            {"model": GEMINI_EMBEDDING, "input": "x", "dimensions": 768, "user": "u"},
            {"key": "ü", "request": {"content": {"parts": [{"text": "x"}]}, "output_dimensionality": 768}},
        ),
        ("vertex", {"model": TEXT_EMBEDDING, "input": "x"}, {"key": "ü", "content": "x"}),
    ],
)
def test_embeddings_are_asked_for_in_the_models_words(
    driver: RenderedDriver, body: dict[str, Any], line: dict[str, Any]
) -> None:
    made = rendered_line(driver, body, url=EMBEDDINGS, custom_id="ü")
    assert made == line
    if "request" in made:
        google.Content.model_validate(made["request"]["content"])


def test_cohere_is_told_what_for_and_people_are_told_what_was_assumed() -> None:
    renderer, rendered = render("bedrock", jsonl([record({"model": COHERE, "input": "x"}, url=EMBEDDINGS)]))
    assert b'"input_type":"search_document"' in rendered
    assert any("search_document" in warning for warning in renderer.summary().warnings)


@pytest.mark.parametrize(("driver", "model"), TARGETS)
@pytest.mark.parametrize(
    "fields",
    [
        {"input": ""},
        {"input": " "},
        {"input": []},
        {"input": [1, 2]},
        {"input": [[1, 2]]},
        {"input": ["x", ""]},
        {"input": None},
        {"dimensions": 7.5},
        {"dimensions": "many"},
        {"encoding_format": "base64"},
        {"unheard_of": 1},
    ],
)
def test_what_cannot_be_embedded_is_refused(
    driver: RenderedDriver, model: str, fields: dict[str, Any]
) -> None:
    problem(driver, {"model": model, "input": "x", **fields}, url=EMBEDDINGS)


@pytest.mark.parametrize(("driver", "model"), [each for each in TARGETS if each[1] != COHERE])
def test_several_texts_need_several_lines(driver: RenderedDriver, model: str) -> None:
    assert "a line for each" in problem(driver, {"model": model, "input": ["x", "y"]}, url=EMBEDDINGS)


def test_cohere_takes_96_texts() -> None:
    rendered_line("bedrock", {"model": COHERE, "input": ["x"] * 96}, url=EMBEDDINGS)
    problem("bedrock", {"model": COHERE, "input": ["x"] * 97}, url=EMBEDDINGS)
