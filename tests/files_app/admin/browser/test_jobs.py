"""Many files at once, done as a person does it, with the clicks counted."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.files_app.admin.browser.conftest import PHONE, OpenPage, serious_findings
from tests.files_app.admin.browser.test_tasks import SIDEBAR, Clicks
from tests.stack import Stack

WORK = "from files_app.services.bulk.work import work_due; work_due()"


def test_task_free_20_gb_from_the_oldest_of_two_organizations(
    open_page: OpenPage, gateway: Stack, picture: Callable[[Page, str], None]
) -> None:
    page = open_page("/admin/")
    clicks = Clicks(page)
    clicks.link("Jobs", SIDEBAR)
    clicks.link("Free space")
    expect(page.get_by_label("Purpose")).to_have_value("user_data")
    page.get_by_label("Space to free").fill("20 GB")
    boxes = page.get_by_role("group", name="These organizations")
    for number in (0, 1):
        clicks.on(boxes.get_by_role("checkbox").nth(number))
    clicks.on(page.get_by_role("button", name="Show what would go"))
    found = page.locator("#found")
    expect(found.get_by_role("rowheader").first).to_be_visible()
    assert serious_findings(page) == []
    picture(page, "free")
    clicks.on(found.get_by_role("button", name=re.compile(r"Delete [\d,]+ files?")))
    expect(page.locator(".fg-card", has_text="Progress")).to_contain_text("queued")
    assert clicks.number == 6
    picture(page, "job-queued")
    gateway.manage("shell", "-v0", "-c", WORK)
    expect(page.locator(".fg-card", has_text="Progress")).to_contain_text("100 %", timeout=20_000)
    expect(page.locator("[data-refresh]")).to_have_count(0)
    assert serious_findings(page) == []
    picture(page, "job")
    phone = open_page(page.url.removeprefix(gateway.url), size=PHONE, dark=True)
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    picture(phone, "job-phone-dark")


def test_task_delete_all_that_match_a_filter(
    open_page: OpenPage, gateway: Stack, picture: Callable[[Page, str], None]
) -> None:
    page = open_page("/admin/files_app/file/?state=failed")
    clicks = Clicks(page)
    clicks.on(page.locator("summary", has_text="All that match"))
    clicks.link("Delete…")
    expect(page.locator("form.fg-card")).to_contain_text("state failed")
    assert serious_findings(page) == []
    picture(page, "matching")
    phone = open_page(page.url.removeprefix(gateway.url), size=PHONE, dark=True)
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    picture(phone, "matching-phone-dark")
    clicks.on(page.get_by_role("link", name="Cancel"))
    expect(page.locator(".fg-tabs [aria-current]")).to_contain_text("Failed")
    assert clicks.number == 3
    listed = open_page("/admin/files_app/filejob/")
    assert serious_findings(listed) == []
    picture(listed, "jobs")
