"""An archive of many files, a month of usage and a mistake taken back, with the clicks counted."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.files_app.admin.browser.conftest import OpenPage, serious_findings
from tests.files_app.admin.browser.test_admin import choose_disk, drop, select_row
from tests.files_app.admin.browser.test_tasks import SIDEBAR, Clicks
from tests.stack import Stack

TRASH = """
from files_app.models import Organization
Organization.objects.filter(name="acme-research").update(trash_days={days})
"""


def store(page: Page, *files: tuple[str, str]) -> None:
    choose_disk(page)
    drop(page, *files)
    expect(page.locator(".fg-transfer.is-done")).to_have_count(len(files))


def search(page: Page, text: str) -> None:
    page.keyboard.press("/")
    page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.wait_for_load_state("networkidle")


def test_task_hand_many_files_on_as_an_archive(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("/admin/upload/")
    store(page, ("handed-on-1.txt", "one"), ("handed-on-2.txt", "two"))
    page.goto("/admin/")
    clicks = Clicks(page)
    clicks.link("Files", SIDEBAR)
    search(page, "handed-on")
    clicks.on(page.locator("#action-toggle"))
    page.get_by_label("Select action to run").select_option(label="Download as one archive")
    with page.expect_download() as download:
        page.get_by_role("button", name="Continue").click()
    assert clicks.number + 2 == 4  # the choice and the button
    download.value.save_as(tmp_path / "all.tar")
    with tarfile.open(tmp_path / "all.tar") as archive:
        contents = {Path(each.name).name: archive.extractfile(each) for each in archive.getmembers()}
        texts = {name: file.read() for name, file in contents.items() if file is not None}
    assert sorted(texts.values()) == [b"one", b"two"]


def test_task_usage_of_the_month(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("/admin/")
    clicks = Clicks(page)
    clicks.link("Usage", SIDEBAR)
    expect(page.get_by_role("table").first).to_be_visible()
    assert serious_findings(page) == []
    clicks.on(page.locator("summary", has_text="Export"))
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("CSV")).click()
    assert clicks.number + 1 == 3
    download.value.save_as(tmp_path / "usage.csv")
    assert "organization" in (tmp_path / "usage.csv").read_text().splitlines()[0]


def test_task_restore_a_mistake(open_page: OpenPage, gateway: Stack) -> None:
    gateway.manage("shell", "-v0", "-c", TRASH.format(days=7))
    try:
        page = open_page("/admin/upload/")
        store(page, ("by-mistake.txt", "needed"))
        page.goto("/admin/files_app/file/?q=by-mistake.txt")
        select_row(page, 0)
        page.get_by_label("Select action to run").select_option(label="Delete files")
        page.get_by_role("button", name="Continue").click()
        page.get_by_role("button", name="Delete 1").click()
        page.goto("/admin/")
        clicks = Clicks(page)
        clicks.link("Trash", SIDEBAR)
        clicks.on(page.locator("#result_list tbody tr", has_text="by-mistake.txt").locator("th a"))
        clicks.on(page.get_by_role("button", name="Restore"))
        clicks.on(page.get_by_role("button", name="Restore 1"))
        expect(page.get_by_role("heading", name="1 of 1 done")).to_be_visible()
        assert clicks.number == 4
        page.goto("/admin/files_app/file/?q=by-mistake.txt")
        expect(page.locator("#result_list tbody tr")).to_have_count(1)
        expect(page.locator(".fg-tabs [aria-current]")).not_to_contain_text("Trashed")
    finally:
        gateway.manage("shell", "-v0", "-c", TRASH.format(days=0))
