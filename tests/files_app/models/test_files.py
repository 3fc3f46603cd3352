"""The index of files and its queries."""

from __future__ import annotations

import pytest
from django.db import connection

from files_app.models import File, FileCopy, FileState
from files_app.services.reading import lookup
from tests.files_app.cast import Tenant


@pytest.mark.parametrize("column", ["file_id", "uri"])
def test_a_lookup_reads_an_index(acme: Tenant, column: str) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL reads so small a table as a whole")
    sql = lookup._by(column, FileState.AVAILABLE).written(connection).sql
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", [1, "s3://b/k", *lookup._CONDITION[column]])
        plan = " ".join(str(row) for row in cursor.fetchall())
    assert f"{column}=?" in plan


@pytest.mark.django_db
def test_a_state_stands_in_the_statement() -> None:
    """SQLite compiles a statement for each run whose parameter may decide about an index."""
    for model in (File, FileCopy):
        sql, parameters = model.objects.filter(state="available").query.sql_with_params()
        assert "\"state\" = 'available'" in sql
        assert not parameters


@pytest.mark.django_db
def test_what_is_no_state_is_a_parameter() -> None:
    sql, parameters = File.objects.filter(state="' OR 1=1").query.sql_with_params()
    assert "OR" not in sql
    assert parameters == ("' OR 1=1",)
