"""The requests of a batch file, as somebody looks for the ones that failed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.files_app.admin.browser.conftest import PHONE, WIDE, OpenPage, serious_findings
from tests.files_app.admin.browser.test_admin import FILES, open_file
from tests.files_app.admin.demo import HOSTILE_ERROR

Picture = Callable[[Page, str], None]


def show_requests(page: Page, name: str = "nightly-batch.jsonl") -> None:
    open_file(page, name)
    page.get_by_role("button", name="Show requests").click()
    page.wait_for_url(re.compile("/requests/"))
    page.wait_for_load_state("networkidle")


def test_requests_that_failed_are_found_and_opened(open_page: OpenPage, picture: Picture) -> None:
    page = open_page(FILES)
    show_requests(page)
    expect(page.locator(".fg-request-id")).to_have_count(50)
    page.get_by_role("link", name="Next").click()
    expect(page.locator(".fg-request-id")).to_have_count(10)
    page.get_by_role("link", name="Only errors").click()
    expect(page.locator(".fg-request-id")).to_have_count(3)
    expect(page.locator(".fg-request-error").first).to_have_text(HOSTILE_ERROR)
    page.get_by_role("button", name="Show line 7").click()
    detail = page.locator("#request-6")
    expect(detail.get_by_role("region", name="Request")).to_contain_text("Classify the sentiment")
    expect(detail.get_by_role("region", name="Answer")).to_contain_text(HOSTILE_ERROR)
    assert page.title() != "1"
    page.keyboard.press("/")
    page.keyboard.type("request-44")
    page.keyboard.press("Enter")
    expect(page.locator(".fg-request-id")).to_have_count(1)
    expect(page).to_have_url(re.compile("errors=1"))


@pytest.mark.parametrize(("size", "name"), [(WIDE, "batch-requests"), (PHONE, "phone-batch-requests")])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_is_accessible_in_every_width(
    open_page: OpenPage, picture: Picture, size: tuple[int, int], name: str, dark: bool
) -> None:
    page = open_page(FILES, size=size, dark=dark)
    page.goto(f"{FILES}?q=nightly-batch.jsonl")
    link = page.get_by_role("link", name="nightly-batch.jsonl").first.get_attribute("href")
    page.goto(str(link))
    page.get_by_role("button", name="Show requests").click()
    page.wait_for_url(re.compile("/requests/"))
    page.get_by_role("button", name="Show line 7", exact=True).click()
    expect(page.locator("#request-6 section")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    page.locator("#request-6").scroll_into_view_if_needed()
    picture(page, f"{name}-dark" if dark else name)
    assert serious_findings(page) == []
