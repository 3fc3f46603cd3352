"""The log: whatever a line holds, writing it ends no request."""

from __future__ import annotations

import io
import json

import pytest
import structlog

from files_app.observability.logs import LineLogger


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_half_a_character_is_written_as_an_escape(encoding: str) -> None:
    """JSON of clients and providers may hold one, and errors quote them."""
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding)
    line = structlog.processors.JSONRenderer(ensure_ascii=False)(None, "", {"message": "no '\ud800'"})
    LineLogger(stream).msg(str(line))
    stream.flush()
    assert json.loads(written.getvalue()) == {"message": "no '\ud800'"}
