"""Overview, system, sign-in, headers: what is not about one model."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from files_app.admin.charts import nice_ceiling, nice_size
from files_app.models import Heartbeat, Organization
from files_app.services.operations import heartbeats
from tests.files_app.admin.conftest import World


def test_an_empty_gateway_says_what_to_do_first(root: Client) -> None:
    page = root.get("/admin/")
    assert [step.is_done for step in page.context["steps"]] == [False, False, False, False]
    assert b"Start here" in page.content
    Organization.objects.create(name="first")
    from django.core.cache import cache

    cache.clear()
    assert [step.is_done for step in root.get("/admin/").context["steps"]] == [True, False, False, False]


def test_the_overview_tells_the_figures_and_links_to_the_lists(
    root: Client, own: World, foreign: World
) -> None:
    page = root.get("/admin/")
    figures = page.context["figures"]
    assert (figures.file_count, figures.deletions.dead) == (6, 2)
    assert sum(day.uploads for day in figures.days) == 6
    assert len(figures.days) == 30
    body = page.content.decode()
    assert f"?organization={own.organization.pk}&amp;state=available" in body
    assert f"?account={own.account.pk}&amp;state=available" in body
    for link in ("?state=dead", "?state=deleting"):
        assert reverse("admin:files_app_filecopy_changelist") + link in body


@pytest.mark.parametrize(
    ("value", "top"), [(0, 4), (4, 4), (5, 8), (9, 12), (10, 12), (21, 24), (81, 100), (100, 120), (101, 120)]
)
def test_a_quarter_of_a_charts_height_is_round(value: int, top: float) -> None:
    assert nice_ceiling(value) == top
    assert nice_size(value * 1024**3) == top * 1024**3 * bool(value)


def test_a_silent_worker_is_shown(root: Client) -> None:
    assert b"not seen yet" in root.get(reverse("admin:system")).content
    heartbeats.beat()
    assert heartbeats.is_alive(heartbeats.last_seen())
    Heartbeat.objects.update(seen_at=timezone.now() - timedelta(hours=3))
    assert b"last seen 3 h ago" in root.get(reverse("admin:system")).content


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/admin/upload/", "/admin/files_app/file/"])
def test_no_page_runs_inline_scripts_or_styles(root: Client, own: World, path: str) -> None:
    client = Client() if "login" in path else root
    answer = client.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in policy and "unsafe-inline" not in policy
    body = answer.content.decode()
    assert "<style" not in body and " style=" not in body and "<script>" not in body
    assert "onclick=" not in body


def test_sign_in_is_locked_after_five_failures(db: None) -> None:
    User.objects.create_superuser("root", password="a-long-enough-password")
    client = Client()
    for _ in range(5):
        answer = client.post("/admin/login/", {"username": "root", "password": "wrong"})
    assert answer.status_code == 429
    assert b"Too many failed sign-ins" in answer.content
    again = client.post("/admin/login/", {"username": "root", "password": "a-long-enough-password"})
    assert again.status_code == 429


def test_an_address_that_signs_in_too_often_is_refused(db: None, settings: Settings) -> None:
    """Whatever the names: the lock of a name would let all of them have their password hashed."""
    settings.SIGN_INS_PER_MINUTE = 3
    answers = [
        Client().post("/admin/login/", {"username": f"user-{number}", "password": "wrong"})
        for number in range(4)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert b"Too many sign-ins" in answers[-1].content
    assert Client().get("/admin/login/").status_code == 200
    other = Client(REMOTE_ADDR="192.0.2.7")
    assert other.post("/admin/login/", {"username": "root", "password": "wrong"}).status_code == 200


def test_sign_in_leads_to_the_overview(db: None) -> None:
    User.objects.create_superuser("root", password="a-long-enough-password")
    data = {"username": "root", "password": "a-long-enough-password"}
    assert Client().post("/admin/login/", data).headers["Location"] == "/admin/"


def test_history_leads_to_the_audit_trail(root: Client, own: World) -> None:
    answer = root.get(reverse("admin:files_app_provideraccount_history", args=[own.account.pk]))
    assert answer.headers["Location"].endswith("auditevent/?q=ours-account")


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Asia%2FKathmandu", "+0545"),
        ("Europe/Berlin", "CE"),
        ("../../etc/passwd", "UTC"),
        ("Europe", "UTC"),
        ("", "UTC"),
    ],
)
def test_times_are_in_the_zone_of_the_cookie(root: Client, own: World, zone: str, shown: str) -> None:
    root.cookies["timezone"] = zone
    event = reverse("admin:files_app_auditevent_change", args=[own.event.pk])
    found = re.search(r"<dt>Time</dt><dd>[-0-9]+ [:0-9]+ ([^<]+)</dd>", root.get(event).content.decode())
    assert found and found[1].startswith(shown)


def test_whoever_is_signed_out_is_told_so_instead_of_redirected(db: None) -> None:
    answer = Client().put(reverse("admin:upload_send"), b"bytes", content_type="text/plain")
    assert (answer.status_code, "signed out" in answer.json()["error"]) == (401, True)
