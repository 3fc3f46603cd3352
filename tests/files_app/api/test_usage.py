"""GET /usage"""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import time_machine

from files_app.models import DailyUsage
from files_app.services.index.metering import traffic
from files_app.services.index.metering.storage import settle_usage
from tests.files_app.cast import Tenant
from tests.files_app.forms import encode, file_part, purpose_part


def test_usage_counts_what_is_there(acme: Tenant) -> None:
    acme.set_limits(quota_bytes=1000, max_file_bytes=100)
    file_id = acme.api.create(b"12345")["id"]
    assert acme.api.usage() == {
        "object": "usage",
        "organization": "acme",
        "used_bytes": 5,
        "reserved_bytes": 0,
        "quota_bytes": 1000,
        "max_file_bytes": 100,
        "file_count": 1,
    }
    acme.api.delete(f"/files/{file_id}")
    assert (acme.api.usage()["used_bytes"], acme.api.usage()["file_count"]) == (0, 0)


def test_an_upload_in_flight_is_reserved(acme: Tenant) -> None:
    form = encode([purpose_part(), file_part(b"x" * 2_000_000)])
    seen: list[int] = []

    def body() -> object:
        yield form[:1_500_000]
        seen.append(acme.api.usage()["reserved_bytes"])
        yield form[1_500_000:]

    assert acme.api.upload_body(body(), length=len(form)).status == 200  # type: ignore[arg-type]
    assert 1_900_000 < seen[0] <= 2_000_000
    assert acme.api.usage()["reserved_bytes"] == 0


def test_the_defaults_are_binary(acme: Tenant) -> None:
    assert acme.api.usage()["quota_bytes"] == 107_374_182_400
    assert acme.api.usage()["max_file_bytes"] == 536_870_912


# -- of days -------------------------------------------------------------------------------------------------


def used(tenant: Tenant, day: date, **fields: int | str) -> DailyUsage:
    row = {"organization_name": tenant.organization.name, "day": day, **fields}
    return DailyUsage.objects.create(organization=tenant.organization, **row)


def test_usage_of_days_is_what_happened(acme: Tenant, other: Tenant) -> None:
    with time_machine.travel("2026-03-30T22:00Z", tick=False) as clock:
        settle_usage()
        file_id = acme.api.create(b"x" * 1_000)["id"]
        other.api.create(b"y" * 7)
        clock.move_to("2026-03-31T12:00Z")
        acme.api.get(f"/files/{file_id}/content")
        traffic.write()
        settle_usage()
        answer = acme.api.get("/usage", query={"start": "2026-03-30"}).json()
    figures = {"object": "usage.day", "api_key": None, "provider": None, "purpose": None}
    figures |= {"adopted_gb_hours": 0.0, "requests": 1}
    assert answer == {
        "object": "list",
        "data": [
            {
                **figures,
                "date": "2026-03-30",
                "gb_hours": 2e-6,
                "bytes_in": 1_000,
                "bytes_out": 0,
                "files": 1,
            },
            {
                **figures,
                "date": "2026-03-31",
                "gb_hours": 12e-6,
                "bytes_in": 0,
                "bytes_out": 1_000,
                "files": 0,
            },
        ],
        "has_more": False,
    }


def test_usage_is_grouped_by_what_is_asked_for(acme: Tenant) -> None:
    first, key = date(2026, 2, 1), acme.key.pk
    used(acme, first, key_id=key, key_name="old name", purpose="batch", bytes_in=1)
    used(
        acme,
        first,
        key_id=key,
        key_name="main",
        purpose="vision",
        bytes_in=2,
        account_id=10**9,
        account_name="gone",
    )
    used(acme, first, bytes_in=4)

    def grouped(by: str) -> list[tuple[object, ...]]:
        query = {"start": "2026-02-01", "end": "2026-02-28", "group_by": by}
        rows = acme.api.get("/usage", query=query).json()["data"]
        return [(row["api_key"], row["provider"], row["purpose"], row["bytes_in"]) for row in rows]

    assert grouped("") == [(None, None, None, 7)]
    assert grouped("api_key") == [("", None, None, 4), ("main", None, None, 3)]
    assert grouped("purpose,provider") == [
        (None, "", "", 4),
        (None, "", "batch", 1),
        (None, "gone", "vision", 2),
    ]


def test_days_that_are_left_out_are_the_month_so_far(acme: Tenant) -> None:
    for day in (date(2026, 1, 31), date(2026, 2, 1), date(2026, 2, 10), date(2026, 2, 11)):
        used(acme, day, requests=1)
    with time_machine.travel("2026-02-10T23:59Z", tick=False):
        for query in ({"end": "2026-02-10"}, {"start": "2026-02-01"}):
            rows = acme.api.get("/usage", query=query).json()["data"]
            assert [row["date"] for row in rows] == ["2026-02-01", "2026-02-10"], query


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"start": "yesterday"}, "start"),
        ({"start": "2026-02-30"}, "start"),
        ({"start": "20260201"}, "start"),
        ({"end": "1769904000"}, "end"),
        ({"start": "2026-02-02", "end": "2026-02-01"}, "start"),
        ({"start": "2025-01-01", "end": "2026-02-01"}, "start"),
        ({"start": "0001-01-01", "end": "9999-12-31"}, "start"),
        ({"start": "9999-12-31"}, "start"),
        ({"start": "2026-02-01", "end": "2026-02-01", "group_by": "organization"}, "group_by"),
        ([("start", "2026-02-01"), ("start", "2026-02-02")], "start"),
    ],
)
def test_days_that_make_no_sense_are_refused(acme: Tenant, query: dict[str, str], param: str) -> None:
    answer = acme.api.get("/usage", query=query)
    assert (answer.status, answer.error["param"]) == (400, param)


def test_too_many_groups_are_refused(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("files_app.api.views._MOST_USED", 3)
    for number in range(4):
        used(acme, date(2026, 2, 1) + timedelta(days=number))
    answer = acme.api.get("/usage", query={"start": "2026-02-01", "end": "2026-02-04"})
    assert (answer.status, answer.error["param"]) == (400, "group_by")
    assert acme.api.get("/usage", query={"start": "2026-02-01", "end": "2026-02-03"}).status == 200


def test_usage_needs_the_scope_of_reading(acme: Tenant) -> None:
    writer, _ = acme.client(scopes=["files:write"])
    assert writer.get("/usage", query={"start": "2026-02-01"}).status == 403
