"""Embeddings, whose bodies every family of models has of its own."""

from __future__ import annotations

from typing import Final

from providers.batches.request.fields import Notes, UnfitLineError, integer, one_of, shown
from providers.objects import JSONObject, JSONValue

_MAX_COHERE_TEXTS: Final = 96
_INPUT_TYPES: Final = ("search_document", "search_query", "classification", "clustering")


def titan_line(custom_id: str, body: JSONObject, model: str, notes: Notes) -> JSONObject:
    """Return a line for Titan Text Embeddings V2.

    docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html, read 2026-11-26.
    """
    _check(body, notes, ("dimensions",))
    members: dict[str, JSONValue] = {"inputText": _one_text(body)}
    if (dimensions := body.get("dimensions")) is not None:
        if dimensions not in (256, 512, 1024):
            raise UnfitLineError("'body.dimensions' must be 256, 512 or 1024 for Titan")
        members["dimensions"] = dimensions
    if body.get("encoding_format") is not None:
        members["embeddingTypes"] = ["float"]
    return {"recordId": custom_id, "modelInput": members}


def cohere_line(custom_id: str, body: JSONObject, model: str, notes: Notes) -> JSONObject:
    """Return a line for Cohere Embed 3 and 4.

    docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html, read 2026-11-26.
    """
    _check(body, notes, ("dimensions", "input_type"))
    texts = _texts(body)
    if len(texts) > _MAX_COHERE_TEXTS:
        raise UnfitLineError(f"'body.input' may hold {_MAX_COHERE_TEXTS} texts: write more lines")
    if (input_type := body.get("input_type")) is None:
        input_type = "search_document"
        notes.warnings.add(
            "Cohere has to know what embeddings are for; lines without 'input_type' count as search_document."
        )
    members: dict[str, JSONValue] = {
        "texts": [*texts],
        "input_type": one_of(input_type, "body.input_type", _INPUT_TYPES),
    }
    if body.get("encoding_format") is not None:
        members["embedding_types"] = ["float"]
    if (dimensions := body.get("dimensions")) is not None:
        if "embed-v4" not in model:
            raise UnfitLineError("'body.dimensions' needs Embed 4: leave it out")
        if dimensions not in (256, 512, 1024, 1536):
            raise UnfitLineError("'body.dimensions' must be 256, 512, 1024 or 1536 for Cohere")
        members["output_dimension"] = dimensions
    return {"recordId": custom_id, "modelInput": members}


def gemini_embedding_line(custom_id: str, body: JSONObject, model: str, notes: Notes) -> JSONObject:
    """Return a line for Gemini's embedding models.

    docs.cloud.google.com/vertex-ai/generative-ai/docs: batch embeddings, read 2026-11-26. The page shows the
    number of dimensions in a member beside the request, which the API refuses; it goes into the request.
    """
    _check(body, notes, ("dimensions",))
    members: dict[str, JSONValue] = {"content": {"parts": [{"text": _one_text(body)}]}}
    if (dimensions := body.get("dimensions")) is not None:
        members["output_dimensionality"] = integer(dimensions, "body.dimensions", 1, 3_072)
    return {"key": custom_id, "request": members}


def text_embedding_line(custom_id: str, body: JSONObject, model: str, notes: Notes) -> JSONObject:
    """Return a line for Vertex's older text embeddings, whose options are the job's."""
    _check(body, notes, ())
    return {"key": custom_id, "content": _one_text(body)}


def _check(body: JSONObject, notes: Notes, names: tuple[str, ...]) -> None:
    for name, value in body.items():
        if value is None or name in ("model", "input", *names):
            continue
        if name == "user":
            notes.ignored.add(name)
        elif name == "encoding_format":
            one_of(value, "body.encoding_format", ("float",))
        elif name == "dimensions":
            raise UnfitLineError("'body.dimensions' is an option of the job for this model: leave it out")
        else:
            raise UnfitLineError(f"'body.{shown(name)}' is not known here: leave it out")


def _one_text(body: JSONObject) -> str:
    texts = _texts(body)
    if len(texts) > 1:
        raise UnfitLineError("'body.input' may hold one text for this model: write a line for each")
    return texts[0]


def _texts(body: JSONObject) -> list[str]:
    value = body.get("input")
    texts = value if isinstance(value, list) else [value]
    found = [text for text in texts if isinstance(text, str) and text and not text.isspace()]
    if not texts or len(found) != len(texts):
        raise UnfitLineError("'body.input' must be text, not tokens, and not empty")
    return found
