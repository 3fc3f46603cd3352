"""Batch lines in OpenAI's form, and what becomes of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from providers.batches.json_lines import LineLimits
from providers.batches.rendering import BatchOptions, BatchRenderer
from providers.batches.targets.table import RenderedDriver

CONVERSE = "anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "us.amazon.nova-2-lite-v1:0"
GPT = "openai.gpt-oss-20b-1:0"
TITAN = "amazon.titan-embed-text-v2:0"
COHERE = "cohere.embed-multilingual-v3"
GEMINI = "gemini-2.5-flash"
CLAUDE = "claude-sonnet-4-5@20250929"
GEMINI_EMBEDDING = "gemini-embedding-001"
TEXT_EMBEDDING = "text-embedding-005"

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG not really").decode()
PDF = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.7 not really").decode()


def record(body: dict[str, Any], custom_id: str = "r-1", url: str = CHAT) -> dict[str, Any]:
    """Return a line of OpenAI's as an object."""
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def chat(model: str, *messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the body of a chat; of one message where none is given."""
    return {"model": model, "messages": [*messages] or [{"role": "user", "content": "Hello"}], **fields}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def jsonl(records: Iterable[Any]) -> bytes:
    return b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in records)


def render(
    driver: RenderedDriver,
    data: bytes,
    options: BatchOptions | None = None,
    limits: LineLimits | None = None,
    chunk_bytes: int = 1 << 20,
) -> tuple[BatchRenderer, bytes]:
    """Render a whole file, and return the renderer and what it returned."""
    renderer = BatchRenderer(driver, options or BatchOptions(), limits)
    chunks = (data[at : at + chunk_bytes] for at in range(0, len(data), chunk_bytes))
    rendered = b"".join([*map(renderer.feed, chunks), renderer.finish()])
    return renderer, rendered


def rendered_line(
    driver: RenderedDriver, body: dict[str, Any], options: BatchOptions | None = None, **line: Any
) -> Any:
    """Return the one line that becomes of a body, which must be fit."""
    renderer, rendered = render(driver, jsonl([record(body, **line)]), options)
    assert renderer.problems == []
    return json.loads(rendered)


def problem(
    driver: RenderedDriver, body: dict[str, Any], options: BatchOptions | None = None, **line: Any
) -> str:
    """Return what is wrong with a body, which must not be fit, without the number of the line."""
    renderer, _ = render(driver, jsonl([record(body, **line)]), options)
    assert len(renderer.problems) == 1, renderer.problems
    return renderer.problems[0].removeprefix("line 1: ")
