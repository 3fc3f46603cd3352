"""The good end of a small upload: two transactions, and in the usual case nothing is said twice."""

from __future__ import annotations

import re
import threading

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from files_app.models import AuditEvent, File, FileCopy
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant, counters

pytestmark = pytest.mark.django_db(transaction=True)

_ENDS = ("BEGIN", "COMMIT")


def verbs(captured: CaptureQueriesContext) -> list[str]:
    """Return what was asked of the database, with the tables that it was asked of."""
    said = "; ".join(query["sql"] for query in captured)
    found = re.findall(r'\b(BEGIN|COMMIT|UPDATE|INSERT INTO|SELECT|FROM) ?(?:"files_app_(\w+)")?', said)
    return [f"{verb} {table}".strip() for verb, table in found if verb != "FROM" and (table or verb in _ENDS)]


def test_a_small_upload_costs_two_transactions(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    # As behind a pooler, where PostgreSQL gets the statements' text and not their names.
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    acme.api.create()  # what is remembered, and statements that are written once
    with CaptureQueriesContext(connection) as captured:
        acme.api.create()
    begin_and_end = [verb for verb in verbs(captured) if "ratecount" not in verb]
    assert [verb for verb in begin_and_end if verb not in _ENDS] == [
        *("UPDATE organization", "INSERT INTO file", "INSERT INTO filecopy"),
        *("UPDATE file", "UPDATE filecopy", "UPDATE organization", "INSERT INTO auditevent"),
    ]


def test_a_small_upload_that_is_refused_costs_no_write(acme: Tenant) -> None:
    acme.api.create()
    with CaptureQueriesContext(connection) as captured:
        assert acme.api.upload(b"no JSON", "batch", "in.jsonl").status == 400
    assert [verb for verb in verbs(captured) if "ratecount" not in verb and verb not in _ENDS] == []
    assert counters(acme.organization) == (5, 0, 1)


def test_a_small_upload_whose_lease_was_lost_is_undone(remote: Tenant, fake: FakeProvider) -> None:
    """What the provider has is deleted, no counter moves, and the trail says nothing of a file."""
    fake.script({"method": "POST"}, behaviours.pause(0))
    statuses: list[int] = []
    upload = threading.Thread(target=lambda: statuses.append(remote.api.upload().status))
    upload.start()
    fake.wait_until_paused()
    File.objects.update(lease_token="taken over")
    fake.release()
    upload.join()
    assert statuses == [503]
    assert FileCopy.objects.get().state == "deleting"
    assert remote.fresh().used_bytes == remote.organization.file_count == 0
    assert not AuditEvent.objects.filter(action="file.create", result="ok").exists()
