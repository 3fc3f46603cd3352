"""Chromium, for what only a browser shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright


@pytest.fixture(scope="module")
def browser(need_service: Callable[[str], str]) -> Iterator[Browser]:
    """Debian's Chromium. It ends with the module: its event loop would get in the way of other tests."""
    program = need_service("Chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield chromium
        chromium.close()
