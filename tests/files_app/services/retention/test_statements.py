"""Who uses neither holds, nor trash, nor rules pays no statement for them."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.files_app.cast import Tenant

#: What it was before there were any: begin and commit of each transaction, and what is between.
UPLOAD, RETRIEVE, CONTENT, DELETE = 12, 1, 3, 10
#: PostgreSQL gets the transactions of an upload as one message each.
UPLOAD_IN_MESSAGES = 9


@pytest.fixture
def warm(acme: Tenant) -> Tenant:
    """Key and account are known to the process, as they nearly always are."""
    acme.api.get(f"/files/{acme.api.create()['id']}")
    return acme


def test_a_request_costs_as_many_statements_as_before(warm: Tenant) -> None:
    with CaptureQueriesContext(connection) as upload:
        file_id = warm.api.create()["id"]
    with CaptureQueriesContext(connection) as retrieve:
        warm.api.get(f"/files/{file_id}")
    with CaptureQueriesContext(connection) as content:
        warm.api.get(f"/files/{file_id}/content")
    with CaptureQueriesContext(connection) as delete:
        warm.api.delete(f"/files/{file_id}")
    counted = len(upload), len(retrieve), len(content), len(delete)
    is_postgresql = connection.vendor == "postgresql"
    assert counted == (UPLOAD_IN_MESSAGES if is_postgresql else UPLOAD, RETRIEVE, CONTENT, DELETE)
