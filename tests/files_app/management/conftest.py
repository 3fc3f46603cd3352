"""Fixtures of the commands' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.files_app.cast import Tenant
from tests.providers.stores import s3_server

__all__ = ["s3_server"]

CONTENT = bytes(range(256)) * 400


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of this host."""
    path = tmp_path / "source.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def stored(acme: Tenant) -> str:
    """The id of a file of acme's."""
    file_id: str = acme.api.create(CONTENT, "user_data", "notes.txt")["id"]
    return file_id
