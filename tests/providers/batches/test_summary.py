"""What a line says in short: any line, whoever wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.batches.results.lines import LineCutter
from providers.batches.summary import LineSummary, conversation, summary_of
from providers.batches.targets.table import RenderedDriver
from tests.providers.batches.lines import CLAUDE, CONVERSE, GEMINI, chat, rendered_line
from tests.providers.batches.results.test_properties import HOSTILE, NAMES

#: Members that decide what a line is taken for.
ROWS = st.dictionaries(NAMES, HOSTILE, max_size=8)


def summary(line: Any) -> LineSummary:
    cutter = LineCutter()
    (found,) = (*cutter.feed(json.dumps(line).encode() + b"\n"), *cutter.finish())
    return summary_of(found)


@given(row=ROWS)
def test_no_line_is_too_odd(row: dict[str, Any]) -> None:
    found = summary(row)
    f"{found}".encode()
    for said in conversation(row):
        f"{said.role}{said.words}"


@pytest.mark.parametrize(("driver", "model"), [("bedrock", CONVERSE), ("vertex", GEMINI), ("vertex", CLAUDE)])
def test_a_request_is_known_in_the_form_that_jobs_read(driver: RenderedDriver, model: str) -> None:
    line = rendered_line(driver, chat(model, max_tokens=9), custom_id="Anfrage 1")
    assert summary(line).custom_id == "Anfrage 1"
    assert summary(line).status is None
    assert [said.role for said in conversation(line)][-1] == "user"


def test_the_place_of_each_line_is_where_its_bytes_are() -> None:
    content = b'{"custom_id": "a"}\n\n  \n{"custom_id": "\xc3\xa9"}\r\n{"custom_id": "c"}'
    cutter = LineCutter()
    lines = [line for at in range(0, len(content), 7) for line in cutter.feed(content[at : at + 7])] + list(
        cutter.finish()
    )
    assert [content[line.offset : line.offset + line.size] for line in lines] == [
        line.content for line in lines
    ]
    assert [line.number for line in lines] == [1, 4, 5]
