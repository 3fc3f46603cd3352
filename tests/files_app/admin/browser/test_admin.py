"""The admin as an operator uses it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.files_app.admin.browser.conftest import PHONE, OpenPage, serious_findings
from tests.stack import Stack

Picture = Callable[[Page, str], None]

FILES = "/admin/files_app/file/"
HOSTILE = (
    '"><img src=x onerror=document.title=1>.txt',
    "gro.elpmaxe-\u05e9\u05dc\u05d5\u05dd-invoice.txt",
    "\U0001f600" * 60 + ".txt",
    "{{constructor.constructor('document.title=1')()}}.txt",
)


def drop(page: Page, *files: tuple[str, str]) -> None:
    """Drop files of a name and a text on the upload page, as a file manager would."""
    transfer = page.evaluate_handle(
        """files => {
            const transfer = new DataTransfer();
            const type = "text/plain";
            for (const [name, text] of files) transfer.items.add(new File([text], name, {type}));
            return transfer;
        }""",
        [list(file) for file in files],
    )
    page.dispatch_event("#upload-drop", "drop", {"dataTransfer": transfer})


def choose_disk(page: Page) -> None:
    page.get_by_label("Organization").select_option(label="acme-research")
    page.get_by_label("Provider account").select_option("disk")
    page.get_by_label("Purpose").select_option("user_data")


def open_file(page: Page, name: str) -> None:
    page.goto(f"{FILES}?q={name}")
    page.get_by_role("link", name=name).first.click()
    page.wait_for_load_state("networkidle")


def select_row(page: Page, number: int) -> None:
    page.locator("#result_list tbody tr").nth(number).locator("input.action-select").check()


def test_overview(open_page: OpenPage, picture: Picture) -> None:
    page = open_page("/admin/")
    expect(page.get_by_role("heading", name="Uploads and downloads")).to_be_visible()
    expect(page.locator(".fg-chart .fg-bar-uploads").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"^\d+ %$")).first).to_be_visible()
    picture(page, "overview")
    page.get_by_role("link", name="Deletions dead").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(2)


def test_sign_in_and_out(gateway: Stack, browser: Browser) -> None:
    context = browser.new_context(base_url=gateway.url)
    page = context.new_page()
    page.goto(FILES)
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(gateway.admin_password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"**{FILES}")
    page.locator(".border-t .cursor-pointer", has_text="admin").click()
    page.get_by_role("button", name="Log out").click()
    page.goto(FILES)
    expect(page.get_by_label("Username")).to_be_visible()
    context.close()


def test_search_filter_and_facets(open_page: OpenPage, picture: Picture) -> None:
    page = open_page(FILES)
    picture(page, "files")
    page.keyboard.press("/")
    expect(page.locator("#searchbar")).to_be_focused()
    page.keyboard.type("invoice")
    page.keyboard.press("Enter")
    expect(page.locator("#result_list tbody tr").first).to_contain_text("invoice")
    failed = page.locator('[data-facet="state"][data-value="failed"]')
    expect(failed).to_have_text(re.compile(r"^\d+$"))
    number = int(failed.inner_text())
    page.get_by_role("navigation", name="State").get_by_role("link", name="Failed").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(number)
    expect(page.locator(".fg-tabs [aria-current]")).to_contain_text("Failed")
    page.get_by_role("link", name="Clear all").click()
    page.locator("summary", has_text="Account").click()
    page.keyboard.press("Escape")
    expect(page.locator(".fg-popover:visible")).to_have_count(0)


def test_paging(open_page: OpenPage) -> None:
    page = open_page(FILES)
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text(re.compile(r"51.100 of"))).to_be_visible()


def test_nothing_found_says_so(open_page: OpenPage) -> None:
    page = open_page(f"{FILES}?q=there-is-no-such-file")
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    page.get_by_role("link", name="Clear search and filters").click()
    expect(page.locator("#result_list tbody tr").first).to_be_visible()


def test_preview_copy_and_download(open_page: OpenPage, picture: Picture, tmp_path: Path) -> None:
    page = open_page(FILES)
    open_file(page, "nightly-batch.jsonl")
    page.get_by_role("button", name="Show the content").click()
    expect(page.locator(".fg-line").first).to_contain_text('"custom_id": "request-1"')
    expect(page.locator(".fg-line-number").first).to_have_text("1")
    page.reload()
    page.get_by_role("button", name="Show the content").click()
    expect(page.locator(".fg-line").first).to_be_visible()
    expect(page.locator(".fg-timeline")).to_contain_text("file.content")
    picture(page, "file")
    page.get_by_role("button", name="Copy the id").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("file-")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "got.jsonl")
    assert download.value.suggested_filename == "nightly-batch.jsonl"
    assert (tmp_path / "got.jsonl").read_text().count("\n") == 60


def test_a_picture_is_previewed(open_page: OpenPage) -> None:
    page = open_page(FILES)
    open_file(page, "architecture.png")
    page.get_by_role("button", name="Show the content").click()
    expect(page.locator(".fg-preview-image")).to_be_visible()
    page.wait_for_function("document.querySelector('.fg-preview-image').naturalWidth === 240")


def test_an_upload_that_is_only_checked(open_page: OpenPage) -> None:
    page = open_page("/admin/upload/", expected_errors=(400,))
    choose_disk(page)
    page.get_by_label("Check only").check()
    drop(page, ("only-checked.txt", "one"))
    expect(page.locator(".fg-transfer.is-done")).to_contain_text("nothing was stored")
    page.get_by_label("Purpose").select_option("batch")
    drop(page, ("only-checked.jsonl", "{}"))
    expect(page.locator(".fg-transfer.is-bad")).to_contain_text("line 1: ")
    page.goto(f"{FILES}?q=only-checked")
    expect(page.locator("#result_list tbody tr")).to_have_count(0)


def test_upload_by_drag_and_drop_then_bulk_delete(open_page: OpenPage, picture: Picture) -> None:
    page = open_page("/admin/upload/")
    choose_disk(page)
    drop(page, ("dropped-one.txt", "one " * 50_000), ("dropped-two.txt", "two"))
    expect(page.locator(".fg-transfer.is-done")).to_have_count(2)
    picture(page, "upload")
    page.goto(f"{FILES}?q=dropped")
    expect(page.locator("#result_list tbody tr")).to_have_count(2)
    select_row(page, 0)
    select_row(page, 1)
    page.get_by_label("Select action to run").select_option(label="Delete files")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Delete files: 2 selected")).to_be_visible()
    page.get_by_role("button", name="Delete 2").click()
    expect(page.get_by_role("heading", name="2 of 2 done")).to_be_visible()
    page.get_by_role("link", name="Back to the list").click()
    expect(page.locator("#result_list").get_by_text("deleting")).to_have_count(2)


def test_an_upload_that_is_refused_says_why(open_page: OpenPage) -> None:
    page = open_page("/admin/upload/", expected_errors=(400,))
    choose_disk(page)
    page.get_by_label("Purpose").select_option("batch")
    drop(page, ("not-lines.jsonl", "this is no JSON\n"))
    expect(page.locator(".fg-transfer.is-bad p")).to_contain_text("The batch file is not valid")


def test_hostile_names_stay_text(open_page: OpenPage) -> None:
    page = open_page("/admin/upload/")
    choose_disk(page)
    title = page.title()
    drop(page, *((name, "<img src=x onerror=document.title=1>\n") for name in HOSTILE))
    expect(page.locator(".fg-transfer.is-done")).to_have_count(len(HOSTILE))
    assert page.title() == title
    page.goto(FILES)
    page.wait_for_load_state("networkidle")
    for name in HOSTILE:
        expect(page.locator(".fg-two-main").get_by_text(name[:40]).first).to_be_visible()
    for number in range(len(HOSTILE)):
        page.goto(FILES)
        page.locator("#result_list tbody tr th a").nth(number).click()
        page.get_by_role("button", name="Show the content").click()
        expect(page.locator(".fg-line")).to_contain_text("<img src=x")
        assert page.locator("img[src='x']").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_account_form_and_connection_test(open_page: OpenPage, picture: Picture) -> None:
    page = open_page("/admin/files_app/provideraccount/")
    picture(page, "accounts")
    page.get_by_role("link", name="New provider account").click()
    page.get_by_role("link", name="Local disk").click()
    page.get_by_label("Organization").select_option(label="initech")
    page.get_by_label("Name").fill("second-disk")
    page.get_by_label("Directory").fill("../outside")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("must be one name")).to_be_visible()
    page.get_by_label("Directory").fill("second")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".fg-check-steps li")).to_have_count(2)  # the test starts by itself
    page.get_by_label("also store, read and delete").check()
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator(".fg-check-steps li:not(.is-busy)")).to_have_count(5)
    expect(page.locator(".fg-check-steps .is-bad")).to_have_count(0)
    expect(page.locator(".fg-check-steps")).to_contain_text("the same bytes came back")
    picture(page, "account")
    page.get_by_role("button", name="Sync now").click()
    expect(page.locator("[data-sync]")).to_contain_text("files seen")


def test_credentials_are_write_only(open_page: OpenPage) -> None:
    page = open_page("/admin/files_app/provideraccount/?q=openai-prod")
    page.locator("#result_list tbody a").first.click()
    field = page.get_by_label("API key")
    expect(field).to_have_value("")
    expect(field).to_have_attribute("placeholder", "set, ends in …7a91")


def test_a_key_is_shown_once(open_page: OpenPage) -> None:
    page = open_page("/admin/files_app/apikey/add/")
    page.get_by_label("Organization").select_option(label="initech")
    page.get_by_label("Name").fill("from-the-browser")
    page.get_by_role("button", name="Save").click()
    shown = page.locator("#new-key").inner_text()
    assert re.fullmatch(r"fgw_[0-9A-Za-z]{46}", shown)
    page.get_by_role("button", name="Copy", exact=True).click()
    assert page.evaluate("navigator.clipboard.readText()") == shown
    page.get_by_role("link", name="I have copied it").click()
    expect(page.locator("#result_list")).to_contain_text("from-the-browser")
    assert shown not in page.content()


def test_dark_mode(open_page: OpenPage, picture: Picture) -> None:
    page = open_page("/admin/", dark=True)
    expect(page.locator("html")).to_have_class(re.compile("dark"))
    picture(page, "dark")


@pytest.mark.parametrize("path", ["/admin/", FILES, "/admin/upload/", "/admin/files_app/auditevent/"])
def test_phone_width(open_page: OpenPage, picture: Picture, path: str) -> None:
    page = open_page(path, size=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    if path in {"/admin/", FILES}:
        picture(page, "phone" if path == "/admin/" else "phone-files")
    page.get_by_role("button", name="Show the menu").click()
    page.get_by_role("link", name="System", exact=True).first.click()
    expect(page.get_by_role("heading", name="System")).to_be_visible()


PAGES = {
    "overview": "/admin/",
    "files": FILES,
    "failed uploads": f"{FILES}?state=failed",
    "a key": "/admin/files_app/apikey/2/change/",
    "upload": "/admin/upload/",
    "deletions": "/admin/files_app/filecopy/",
    "trash": "/admin/files_app/trashedfile/",
    "new hold": "/admin/files_app/legalhold/add/",
    "organizations": "/admin/files_app/organization/",
    "organization": "/admin/files_app/organization/2/change/",
    "keys": "/admin/files_app/apikey/",
    "new key": "/admin/files_app/apikey/add/",
    "accounts": "/admin/files_app/provideraccount/",
    "account": "/admin/files_app/provideraccount/2/change/",
    "folders": "/admin/files_app/provideraccount/4/folders/?prefix=acme-llm-files/",
    "choose a driver": "/admin/files_app/provideraccount/add/",
    "audit": "/admin/files_app/auditevent/",
    "staff": "/admin/auth/user/",
    "user": "/admin/auth/user/1/change/",
    "system": "/admin/system/",
    "usage": "/admin/usage/",
}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_pages_are_accessible(open_page: OpenPage, name: str, dark: bool) -> None:
    page = open_page(PAGES[name], dark=dark)
    assert serious_findings(page) == []


def test_the_page_of_a_file_is_accessible(open_page: OpenPage) -> None:
    page = open_page(FILES)
    open_file(page, "nightly-batch.jsonl")
    page.get_by_role("button", name="Show the content").click()
    expect(page.locator(".fg-line").first).to_be_visible()
    assert serious_findings(page) == []
