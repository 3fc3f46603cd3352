"""What the lines of a request say of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from files_app.observability import context


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Nothing that this test says is left behind, nor anything that another has said."""
    structlog.contextvars.clear_contextvars()
    yield
    context.forget()
    structlog.contextvars.clear_contextvars()


def line(**fields: Any) -> dict[str, Any]:
    return dict(context.merge(None, "info", {"event": "x", **fields}))


def test_a_line_of_a_request_says_what_is_known_of_it() -> None:
    record = context.begin()
    context.annotate(provider="main", file_id="file-1")
    assert line() == {
        "event": "x",
        "request_id": record.request_id,
        "provider": "main",
        "file_id": "file-1",
    }
    assert line(provider="its own")["provider"] == "its own"


def test_what_the_client_is_told_is_for_the_final_line_alone() -> None:
    record = context.begin()
    context.note_error("not_found", "There is no such file.")
    assert "code" not in line()
    assert record.problem == {"code": "not_found", "message": "There is no such file."}


def test_a_request_knows_nothing_of_the_one_before() -> None:
    context.begin()
    context.annotate(provider="main")
    record = context.begin()
    assert line() == {"event": "x", "request_id": record.request_id}


def test_a_task_has_what_was_bound_for_it() -> None:
    context.forget()
    with structlog.contextvars.bound_contextvars(task="sync"):
        context.annotate(provider="main")
        assert line() == {"event": "x", "task": "sync", "provider": "main"}
