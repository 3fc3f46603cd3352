"""Answers are, byte by byte, what REST framework's renderer makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rest_framework.renderers import JSONRenderer

from files_app.api.answers import json_answer
from files_app.models import File
from tests.files_app.cast import Tenant

ODD = (
    "plain.txt",
    "ü €.txt",
    "a\"b\\c'.txt",
    "tab\tand\x7f\x01\x1f",
    "line\u2028and\u2029paragraph",
    "😀<&>.txt",
)


def rendered(shown: Any) -> bytes:
    return bytes(JSONRenderer().render(shown))


@pytest.mark.parametrize("text", ODD)
def test_texts_are_written_as_before(text: str) -> None:
    shown = {
        "id": text,
        text: [text, None, True, 0, -1, 2**63],
        "metadata": {},
        "batch": {"counts": {"a": 1.5}},
    }
    answer = json_answer(shown)
    assert answer.content == rendered(shown)
    assert answer.headers["Content-Type"] == "application/json"


def test_a_file_and_a_list_are_written_as_before(acme: Tenant) -> None:
    for number, name in enumerate(ODD):
        made = acme.api.upload(b"x").json()
        File.objects.filter(file_id=made["id"]).update(
            filename=name,
            metadata={name: name} if number % 2 else {},
            batch={"counts": {"total": number}, "input_file_id": None} if number % 3 else None,
            uri=f"s3://bucket/{number}" if number % 2 else "",
            status_details=name if number % 2 else "",
        )
        raw = acme.api.get(f"/files/{made['id']}").body
        assert raw == rendered(json.loads(raw))
    raw = acme.api.get("/files", query={"limit": 5}).body
    page = json.loads(raw)
    assert raw == rendered(page)
    assert list(page) == ["object", "data", "first_id", "last_id", "has_more"]
    assert len(page["data"]) == 5
