"""The index of files and its queries."""

from __future__ import annotations

import pytest
from django.db import connection

from files_app.services.reading import lookup
from tests.files_app.cast import Tenant


@pytest.mark.parametrize("column", ["file_id", "uri"])
def test_a_lookup_reads_an_index(acme: Tenant, column: str) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL reads so small a table as a whole")
    sql = lookup._BY[column].written(connection).sql
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", [1, "available", "s3://b/k", *lookup._CONDITION[column]])
        plan = " ".join(str(row) for row in cursor.fetchall())
    assert f"{column}=?" in plan
