"""Takes the pictures of the documentation, of a gateway with the demo: `python -m tests.screenshots DIR`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.stack import Stack

WIDE, PHONE = (1440, 900), (390, 844)
FILES = "/admin/files_app/file/"


def show_file(page: Page) -> None:
    page.goto(f"{FILES}?q=nightly-batch.jsonl")
    page.locator("#result_list tbody tr th a").first.click()
    page.get_by_role("button", name="Show the content").click()
    page.locator(".fg-line").first.wait_for()


def show_account(page: Page) -> None:
    page.locator("#result_list").get_by_role("link", name="disk").first.click()
    page.get_by_role("button", name="Test connection").click()
    page.locator(".fg-check-steps li:not(.is-busy)").nth(1).wait_for()


#: name -> (path, size, dark, what to do there)
PICTURES: dict[str, tuple[str, tuple[int, int], bool, Callable[[Page], None] | None]] = {
    "overview": ("/admin/", WIDE, False, None),
    "dark": ("/admin/", WIDE, True, None),
    "files": (FILES, WIDE, False, None),
    "file": (FILES, WIDE, False, show_file),
    "accounts": ("/admin/files_app/provideraccount/", WIDE, False, None),
    "account": ("/admin/files_app/provideraccount/", WIDE, False, show_account),
    "upload": ("/admin/upload/", WIDE, False, None),
    "phone": ("/admin/", PHONE, False, None),
    "phone-files": (FILES, PHONE, False, None),
}


def sign_in(browser: Browser, stack: Stack, kept: Path) -> None:
    context = browser.new_context(base_url=stack.url)
    page = context.new_page()
    page.goto("/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(stack.admin_password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{stack.url}/admin/")
    context.storage_state(path=str(kept))
    context.close()


def take(browser: Browser, stack: Stack, kept: Path, folder: Path) -> None:
    """Take all pictures into the folder."""
    for name, (path, (width, height), dark, act) in PICTURES.items():
        context = browser.new_context(
            base_url=stack.url,
            storage_state=str(kept),
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            device_scale_factor=1.5,
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.goto(path)
        if act:
            act(page)
        page.wait_for_load_state("networkidle")
        page.mouse.move(0, 0)
        page.screenshot(path=str(folder / f"{name}.png"))
        context.close()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, Stack(Path(temporary)) as stack:
        stack.manage("demo")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
            )
            kept = Path(temporary) / "cookies.json"
            sign_in(browser, stack, kept)
            take(browser, stack, kept, folder)
            browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
