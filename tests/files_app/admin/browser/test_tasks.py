"""What an operator comes for, done as that person does it, with the clicks counted."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.files_app.admin.browser.conftest import OpenPage, serious_findings
from tests.stack import Stack


class Clicks:
    """Counts what a person clicks on; what is typed is no click."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.number = 0

    def link(self, name: str, where: str = "body") -> None:
        self.on(self.page.locator(where).get_by_role("link", name=name).first)

    def on(self, place: Locator) -> None:
        place.click()
        self.number += 1
        self.page.wait_for_load_state("networkidle")


SIDEBAR = "#nav-sidebar-apps"


def test_task_who_stored_it(open_page: OpenPage) -> None:
    page = open_page("/admin/")
    clicks = Clicks(page)
    clicks.link("Files", SIDEBAR)
    page.keyboard.press("/")
    page.keyboard.type("runbook.md")
    page.keyboard.press("Enter")
    expect(page.locator("#result_list .field-uploader")).to_contain_text("admin")
    assert clicks.number == 1
    clicks.on(page.locator("#result_list .field-uploader a"))
    expect(page.locator("#result_list tbody").first).to_contain_text("admin")
    expect(page.locator(".fg-facet.is-on")).to_contain_text("admin")
    assert clicks.number == 2


def test_task_why_did_it_fail(open_page: OpenPage) -> None:
    page = open_page("/admin/")
    clicks = Clicks(page)
    clicks.link("Files", SIDEBAR)
    clicks.link("Failed", ".fg-tabs")
    expect(page.locator(".field-reason", has_text="line 812").first).to_contain_text("not valid")
    assert clicks.number == 2
    clicks.on(page.locator("#result_list tbody tr", has_text="did not answer").first.locator("th a"))
    panel = page.get_by_role("region", name="What happened")
    expect(panel).to_contain_text("Test the connection: when the provider answers again")
    expect(panel.locator("code")).to_have_text(re.compile("^req_[0-9a-f]{32}$"))
    assert page.get_by_text("OpenAI did not answer in time.").count() == 1
    assert serious_findings(page) == []
    expect(panel.get_by_role("link", name="Test connection")).to_be_visible()
    assert clicks.number == 3
    page.locator(".fg-header-parent").click()
    expect(page.locator(".fg-tabs [aria-current]")).to_contain_text("Failed")


def test_task_what_expires_this_week(open_page: OpenPage) -> None:
    page = open_page("/admin/")
    clicks = Clicks(page)
    clicks.link("Files", SIDEBAR)
    clicks.on(page.locator("summary", has_text="Expiry"))
    clicks.link("within a week")
    expect(page.locator("#result_list .field-expires").first).to_contain_text(re.compile(r"in \d+ (h|d)|now"))
    expect(page.locator(".fg-pages")).to_contain_text(re.compile(r"of \d+ · [\d.]+ .iB"))
    assert clicks.number == 3
    moments = page.locator("#result_list .field-expires time").evaluate_all("all => all.map(t => t.dateTime)")
    assert moments == sorted(moments) and len(moments) > 2


SILENCE = """
from django.utils import timezone
from files_app.models import FileCopy, OpenBreaker, ProviderAccount
now, account = timezone.now(), ProviderAccount.objects.get(name="mistral-eu")
OpenBreaker.objects.create(account=account, kind="delete", process="web/1", opened_at=now, seen_at=now,
    error="Mistral did not answer in time.")
print(*FileCopy.objects.filter(state="dead").values_list("pk", flat=True), sep=",")
"""
RESTORE = """
from files_app.models import FileCopy, OpenBreaker
from tests.files_app.rows import force
OpenBreaker.objects.all().delete()
dead = FileCopy.objects.filter(pk__in=[{dead}], state="deleting")
force(dead, state="dead", attempts=12, next_attempt_at=None)
"""


def test_task_a_provider_is_down_what_is_stuck_and_retry(gateway: Stack, open_page: OpenPage) -> None:
    dead = gateway.manage("shell", "-v0", "-c", SILENCE).stdout.strip()
    try:
        page = open_page("/admin/")
        clicks = Clicks(page)
        attention = page.get_by_role("region", name="Needs attention")
        expect(attention).to_contain_text("northwind/mistral-eu does not answer (delete)")
        clicks.link("12 deletions wait")
        expect(page.locator("#result_list tbody tr")).to_have_count(12)
        expect(page.locator("#result_list")).to_contain_text("refuses the credentials")
        assert clicks.number == 1
        page.go_back()
        clicks.on(attention.get_by_role("button", name="Retry 2"))
        clicks.on(page.get_by_role("button", name="Retry 2"))
        expect(page.get_by_role("heading", name="2 of 2 done")).to_be_visible()
        assert clicks.number == 3
    finally:
        gateway.manage("shell", "-v0", "-c", RESTORE.format(dead=dead))
