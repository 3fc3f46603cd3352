"""The usage of a month: for what is in sight, by what is asked for, as a page and as a file."""

from __future__ import annotations

import csv
from datetime import date
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from files_app.admin import usage
from files_app.models import AuditEvent, DailyUsage
from tests.files_app.admin.conftest import SignIn, World, body_of

GB_HOUR = 10**9


def used(world: World, day: date, **numbers: Any) -> None:
    names = {
        "organization_name": world.organization.name,
        "key_name": f"{world.mark}-key",
        "key_id": world.key.pk,
    }
    DailyUsage.objects.create(organization=world.organization, day=day, **{**names, **numbers})


@pytest.fixture
def figures(own: World, foreign: World) -> None:
    used(own, date(2026, 2, 1), byte_hours=2 * GB_HOUR, requests=3, purpose="batch")
    used(own, date(2026, 2, 28), byte_hours=GB_HOUR, bytes_out=2048, purpose="vision")
    used(own, date(2026, 3, 1), byte_hours=100 * GB_HOUR)
    used(foreign, date(2026, 2, 2), byte_hours=7 * GB_HOUR, requests=5, purpose="batch")


def shown(client: Client, **query: object) -> Any:
    answer = client.get(reverse("admin:usage"), {"month": "2026-02", **query})
    assert answer.status_code == 200
    return answer.context


def lines(context: Any) -> list[tuple[str, float]]:
    return [(line.name, line.used.gb_hours) for line in context["lines"]]


def test_a_month_is_added_up(root: Client, figures: None, own: World) -> None:
    page = shown(root)
    assert (page["total"].gb_hours, page["total"].requests) == (10, 8)
    assert lines(page) == [("zzforeign-org", 7), ("ours-org", 3)]
    assert lines(shown(root, by="purpose")) == [("batch", 9), ("vision", 1)]
    assert lines(shown(root, by="day")) == [("Sun 01 Feb", 2), ("Mon 02 Feb", 7), ("Sat 28 Feb", 1)]
    one = shown(root, organization=own.organization.pk, by="organization")
    assert lines(one) == [("ours-key", 3)]
    assert len(one["storage"].columns) == 28


@pytest.mark.parametrize(("by", "left"), [("", 1), ("key", 1), ("purpose", 1), ("day", 0)])
def test_what_costs_most_stands_on_top_and_the_rest_is_counted(
    root: Client, figures: None, monkeypatch: pytest.MonkeyPatch, by: str, left: int
) -> None:
    whole = lines(shown(root, by=by))
    monkeypatch.setattr(usage, "_SHOWN_ROWS", 1)
    page = shown(root, by=by)
    assert lines(page) == whole[: len(whole) - left]  # a month of days is never cut
    assert page["left_out"] == left
    assert page["total"].gb_hours == 10


@pytest.mark.parametrize(
    "query",
    [
        {"month": "2026-13"},
        {"month": "9999-12"},
        {"month": "x"},
        {"by": "colour"},
        {"organization": "9" * 30},
    ],
)
def test_an_address_that_makes_no_sense_shows_what_it_can(
    root: Client, figures: None, query: dict[str, str]
) -> None:
    shown(root, **query)


def test_staff_sees_its_organizations_alone(
    sign_in: SignIn, figures: None, own: World, foreign: World
) -> None:
    client = sign_in("Read-only", own.organization)
    assert lines(shown(client)) == [("ours-key", 3)]
    assert lines(shown(client, organization=foreign.organization.pk)) == [("ours-key", 3)]
    assert "zzforeign" not in client.get(reverse("admin:usage"), {"month": "2026-02"}).content.decode()
    exported = body_of(client.get(reverse("admin:usage"), {"month": "2026-02", "format": "csv"}))
    assert b"ours-org" in exported
    assert b"zzforeign" not in exported


def test_whoever_may_not_see_organizations_sees_no_usage(sign_in: SignIn, figures: None, own: World) -> None:
    assert sign_in(None, own.organization).get(reverse("admin:usage")).status_code == 403


def test_an_export_has_every_row_and_is_audited(root: Client, figures: None, own: World) -> None:
    query = {"month": "2026-02", "organization": own.organization.pk, "format": "csv"}
    text = body_of(root.get(reverse("admin:usage"), query)).decode()
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["day"], row["key"], row["purpose"], row["gb_hours"]) for row in rows] == [
        ("2026-02-01", "ours-key", "batch", "2.0"),
        ("2026-02-28", "ours-key", "vision", "1.0"),
    ]
    assert AuditEvent.objects.get(action="usage.export").details["rows"] == 2


def test_an_organizations_page_tells_its_month(root: Client, own: World) -> None:
    used(own, timezone.now().date(), byte_hours=5 * GB_HOUR)
    address = reverse("admin:files_app_organization_change", args=[own.organization.pk])
    assert "5.000 GB-hours" in root.get(address).content.decode()
