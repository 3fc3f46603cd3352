"""`manage.py orgs`"""

from __future__ import annotations

from datetime import date

import pytest

from files_app.models import DailyUsage, Organization, SettledDay
from tests.files_app.cast import Tenant, counters
from tests.files_app.management.conftest import CONTENT
from tests.files_app.management.shell import failing, good


def test_a_list_shows_quotas(acme: Tenant, stored: str) -> None:
    (row,) = good("orgs", "list", "--json").json
    assert (row["name"], row["used_bytes"], row["file_count"]) == ("acme", len(CONTENT), 1)
    assert "100 KiB" in good("orgs", "list").out


def test_usage_ends_with_what_is_used_now(acme: Tenant, stored: str) -> None:
    days = good("orgs", "usage", "acme", "--days", "3", "--json").json["days"]
    assert [day["used_bytes"] for day in days] == [0, 0, len(CONTENT)]
    assert "##" not in good("orgs", "usage", "acme").out
    acme.set_limits(quota_bytes=len(CONTENT))
    assert "#" * 30 in good("orgs", "usage", "acme").out


def test_usage_of_a_month_is_of_every_organization(acme: Tenant, other: Tenant) -> None:
    november = {"day": date(2026, 11, 30), "organization_name": "acme", "key_name": "gone"}
    numbers = {"byte_hours": 1_500_000_000, "bytes_in": 5, "bytes_out": 7, "requests": 3, "files": 1}
    DailyUsage.objects.create(organization=acme.organization, **november, **numbers)
    DailyUsage.objects.create(
        organization=acme.organization, **{**november, "day": date(2026, 11, 1)}, requests=1
    )
    DailyUsage.objects.create(
        organization=other.organization, day=date(2026, 11, 2), adopted_byte_hours=10**9
    )
    DailyUsage.objects.create(organization=other.organization, day=date(2026, 12, 1), requests=100)
    SettledDay.objects.create(day=date(2026, 11, 30))
    numbers = {
        "gb_hours": 1.5,
        "adopted_gb_hours": 0.0,
        "bytes_in": 5,
        "bytes_out": 7,
        "requests": 4,
        "files": 1,
    }
    none = dict.fromkeys(numbers, 0)
    assert good("orgs", "usage", "--all", "--month", "2026-11", "--json").json == {
        "month": "2026-11",
        "is_final": True,
        "data": [
            {"organization": "acme", **numbers},
            {**none, "organization": "other", "adopted_gb_hours": 1.0},
        ],
    }
    rows = good("orgs", "usage", "acme", "--month", "2026-11", "--by", "day,key", "--json").json["data"]
    assert [(row["day"], row["key"], row["requests"]) for row in rows] == [
        ("2026-11-01", "gone", 1),
        ("2026-11-30", "gone", 3),
    ]
    assert "1.500" in good("orgs", "usage", "acme", "--month", "2026-11").out
    assert "not final" in good("orgs", "usage", "--all", "--month", "2026-12").err
    assert good("orgs", "usage", "--all", "--month", "2027-01", "--json").json["data"] == []


@pytest.mark.parametrize(
    "arguments",
    [["--month", "2026-13"], ["--month", "november"], [], ["acme", "--all"], ["--all", "--by", "colour"]],
)
def test_usage_of_a_month_that_makes_no_sense(acme: Tenant, arguments: list[str]) -> None:
    failing("orgs", "usage", *arguments)


@pytest.mark.parametrize("days", ["0", "367", "x", "99999999999999999999"])
def test_days_have_a_range(acme: Tenant, days: str) -> None:
    failing("orgs", "usage", "acme", "--days", days)


def test_a_recount_mends_counters(acme: Tenant, other: Tenant, stored: str) -> None:
    Organization.objects.filter(name="acme").update(used_bytes=5, reserved_bytes=7, file_count=9)
    done = failing("orgs", "recount", "--dry-run")
    assert f"acme: used_bytes is 5, the files say {len(CONTENT)}" in done.out
    assert "1 organization of 2" in done.err
    assert Organization.objects.get(name="acme").used_bytes == 5
    assert "file_count was 9" in good("orgs", "recount", "acme").out
    assert counters(acme.organization) == (len(CONTENT), 0, 1)
    assert "2 organizations are right" in good("orgs", "recount", "--dry-run").out


def test_an_unknown_organization_is_answered_with_those_there_are(acme: Tenant) -> None:
    for command in (["orgs", "usage", "nobody"], ["orgs", "recount", "acme", "nobody"]):
        assert "Known organizations: acme." in failing(*command).err


def test_rates_of_an_organization_hold_for_all_of_its_keys(acme: Tenant) -> None:
    assert "requests per minute: 2" in good("orgs", "limit", "acme", "--requests-per-minute", "2").out
    others = acme.client()[0]
    assert [acme.api.get("/usage").status, others.get("/usage").status] == [200, 200]
    assert [acme.api.get("/usage").status, others.get("/usage").status] == [429, 429]
    good("orgs", "limit", "acme", "--requests-per-minute", "default")
    assert acme.api.get("/usage").status == 200
