"""Fixtures of the tests of deletes."""

from __future__ import annotations

import pytest

from files_app.models import FileCopy
from tests.files_app.cast import Tenant


@pytest.fixture
def copy(remote: Tenant) -> FileCopy:
    """A copy that waits for its delete."""
    file_id = remote.api.create()["id"]
    assert remote.api.delete(f"/files/{file_id}").status == 200
    return FileCopy.objects.get()
