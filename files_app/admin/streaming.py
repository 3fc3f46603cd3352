"""Answers that arrive line by line, so that a page can show progress."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.http import StreamingHttpResponse


def json_lines(values: Iterable[Mapping[str, Any]]) -> StreamingHttpResponse:
    """Return one JSON object a line, each as soon as it is known."""
    return StreamingHttpResponse(
        _encoded(values),
        content_type="application/x-ndjson",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _encoded(values: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for value in values:
        yield json.dumps(value) + "\n"
