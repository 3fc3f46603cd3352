"""Reads translated lines as a user of OpenAI's batches does, with OpenAI's own types as the judge."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from openai import BaseModel
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion

from providers.batches.results.openai_lines import Origin
from providers.batches.results.translation import ResultTranslator

ORIGIN = Origin("s3://bucket/results/job/file.jsonl.out", 1_795_400_000, "a.model-v1:0")


@dataclass
class Files:
    """Both files of a result: lines by custom_id."""

    output: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, Any] = field(default_factory=dict)


def translated(
    rows: Iterable[Mapping[str, Any] | bytes], *, ids: Iterable[str] | None = None, **options: Any
) -> Files:
    """Translate rows and return both files; each id stands in one of them, once."""
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    return read(b"\n".join(lines), ids=ids, **options)


def read(
    content: bytes, *, ids: Iterable[str] | None = None, chunk: int = 1_000_003, **options: Any
) -> Files:
    """Translate what a job wrote, in chunks."""
    translator = ResultTranslator(ORIGIN, has_input=ids is not None, **options)
    found = []
    for at in range(0, len(content), chunk):
        found += translator.feed(content[at : at + chunk])
    found += translator.end_part()
    found += translator.missing(ids or ())
    files = Files()
    for line in found:
        assert line.data.endswith(b"\n") and line.data.count(b"\n") == 1
        record = json.loads(line.data)
        check_line(record, is_error=line.is_error)
        assert record["custom_id"] == line.custom_id
        assert line.custom_id not in files.output and line.custom_id not in files.errors
        (files.errors if line.is_error else files.output)[line.custom_id] = record
    assert translator.counts.succeeded == len(files.output)
    assert translator.counts.failed == len(files.errors)
    return files


def check_line(record: dict[str, Any], *, is_error: bool) -> None:
    """Hold a line against OpenAI's shape."""
    assert set(record) == {"id", "custom_id", "response", "error"}
    assert isinstance(record["id"], str) and record["id"]
    if is_error:
        assert isinstance(record["error"]["code"], str) and isinstance(record["error"]["message"], str)
        response = record["response"]
        assert response is None or (response["status_code"] >= 400 and response["body"]["error"]["message"])
        return
    assert record["error"] is None
    response = record["response"]
    assert response["status_code"] == 200 and isinstance(response["request_id"], str)
    kind: type[BaseModel] = CreateEmbeddingResponse if "data" in response["body"] else ChatCompletion
    kind.model_validate(response["body"], strict=True)


def only(files: Files) -> dict[str, Any]:
    """Return the body of the only answer."""
    assert not files.errors
    (line,) = files.output.values()
    body: dict[str, Any] = line["response"]["body"]
    return body
