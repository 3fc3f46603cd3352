"""Requests, files and bytes of a day: counted beside the requests, and written down together."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from files_app.models import AuditEvent, DailyUsage, File, Organization
from files_app.services.index.callers import Caller, system_caller
from files_app.services.index.metering import traffic
from files_app.services.reading.downloads import open_file
from files_app.services.tenants.keys import revoke_key
from tests.files_app.cast import Tenant

NUMBERS = ("requests", "files", "bytes_in", "bytes_out")


def written() -> dict[tuple[str, str, str], tuple[int, ...]]:
    """Write what is counted, and return the numbers by key, account and purpose."""
    traffic.write()
    rows = DailyUsage.objects.values_list("key_name", "account_name", "purpose", *NUMBERS)
    return {row[:3]: row[3:] for row in rows}


def read(file_id: str, caller: Caller) -> int:
    opened = open_file(File.objects.get(file_id=file_id), caller=caller)
    try:
        return sum(map(len, opened.chunks))
    finally:
        opened.close()


def test_a_row_is_of_key_account_and_purpose(acme: Tenant) -> None:
    file_id = acme.api.create(b"x" * 1_000)["id"]
    acme.api.create(b"y" * 10, "assistants")
    acme.api.get(f"/files/{file_id}")
    acme.api.get(f"/files/{file_id}/content")
    acme.api.get("/files")
    acme.api.get("/files/file-unknown")
    second, _ = acme.client()
    second.get(f"/files/{file_id}/content", headers={"Range": "bytes=0-99"})
    second.delete(f"/files/{file_id}")
    found = written()
    other = next(key for key, *_ in found if key != "main")
    assert found == {
        ("main", "local", "user_data"): (3, 1, 1_000, 1_000),
        ("main", "local", "assistants"): (1, 1, 10, 0),
        ("main", "", ""): (2, 0, 0, 0),
        (other, "local", "user_data"): (2, 0, 0, 100),
    }


def test_what_is_refused_stores_nothing_and_whoever_has_no_key_is_not_counted(acme: Tenant) -> None:
    acme.set_limits(max_file_bytes=5)
    assert acme.api.upload(b"too long").status == 413
    type(acme.api)("wrong").get("/files")
    assert written() == {("main", "", ""): (1, 0, 0, 0)}


def test_what_a_client_has_not_fetched_is_not_counted(acme: Tenant) -> None:
    file_id = acme.api.create(b"x" * 3_000_000)["id"]
    traffic.forget_counts()
    with acme.api.open("GET", f"/files/{file_id}/content") as reply:
        taken = len(next(reply.chunks))
    assert written()["main", "local", "user_data"] == (1, 0, 0, taken)
    assert taken < 3_000_000


def test_staff_and_the_gateway_itself(acme: Tenant) -> None:
    file_id = acme.api.create(b"x" * 1_000)["id"]
    traffic.forget_counts()
    assert read(file_id, system_caller(acme.organization.pk)) == 1_000
    assert written() == {}
    assert read(file_id, Caller(acme.organization.pk, AuditEvent.Actor.USER, "ann")) == 1_000
    assert written() == {("", "local", "user_data"): (0, 0, 0, 1_000)}


def test_two_processes_add_up(acme: Tenant) -> None:
    another = traffic._Meter()
    line = traffic._line(acme.organization.pk, acme.key.pk, 0, "")
    for number in (1, 2, 3):
        another.add(line, traffic.Amounts(requests=number))
        acme.api.get("/files")
        traffic.write()
        another.write()
    assert written() == {("main", "", ""): (3 + 6, 0, 0, 0)}


def test_a_database_that_is_away_loses_nothing(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    acme.api.get("/files")

    def fail(rows: object) -> None:
        raise DatabaseError

    with monkeypatch.context() as patch:
        patch.setattr(traffic, "_add", fail)
        with pytest.raises(DatabaseError):
            traffic.write()
    acme.api.get("/files")
    assert written() == {("main", "", ""): (2, 0, 0, 0)}


def test_names_follow_and_stay_when_what_they_name_is_gone(acme: Tenant) -> None:
    acme.api.get("/files")
    assert set(written()) == {("main", "", "")}
    Organization.objects.filter(pk=acme.organization.pk).update(name="acme-2")
    acme.api.get("/files")
    written()
    assert DailyUsage.objects.get().organization_name == "acme-2"
    revoke_key(acme.key, caller=system_caller(acme.organization.pk))
    acme.key.delete()
    traffic._meter.add(traffic._line(acme.organization.pk, acme.key.pk or 0, 0, ""), traffic.Amounts(1))
    rows = DailyUsage.objects.filter(key_name="main")
    assert [row.requests for row in rows] == [2]


def test_counting_asks_the_database_for_nothing(acme: Tenant) -> None:
    file_id = acme.api.create()["id"]
    acme.api.get(f"/files/{file_id}")
    asks = (lambda: acme.api.create(), lambda: acme.api.get(f"/files/{file_id}/content"))
    for ask in (*asks, lambda: acme.api.get(f"/files/{file_id}")):
        with CaptureQueriesContext(connection) as asked:
            ask()
        assert not [each["sql"] for each in asked if DailyUsage._meta.db_table in each["sql"]]
    assert len(asked) == 1
