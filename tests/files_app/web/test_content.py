"""A file's bytes on their way to the server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from files_app.services.reading.downloads import OpenedFile
from files_app.web.content import archive_response


def test_the_server_can_send_the_first_bytes_before_the_next_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    monkeypatch.setattr(os, "sched_yield", lambda: done.append("core given up"))

    def chunks() -> Iterator[bytes]:
        for number in range(3):
            done.append(f"read {number}")
            yield b"%d" % number

    response = archive_response("a.tar", OpenedFile(chunks(), lambda: None, 3, "application/x-tar"))
    assert b"".join(response) == b"012"
    assert done == ["read 0", "core given up", "read 1", "read 2"]
