"""The index of files and its queries."""

from __future__ import annotations

import pytest
from django.db import connection

from files_app.models import File
from tests.files_app.cast import Tenant


@pytest.mark.parametrize("column", ["file_id", "uri"])
def test_a_lookup_reads_an_index(acme: Tenant, column: str) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL reads so small a table as a whole")
    found = File.objects.for_organization(1).filter(state="available", **{column: "s3://bucket/key"})
    assert f"{column}=?" in found.explain()
