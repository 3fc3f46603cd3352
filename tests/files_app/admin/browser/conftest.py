"""Chromium against the real gateway with demo data. The console has to stay silent in every test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from tests.browsers import browser as browser
from tests.stack import Stack

WIDE = (1440, 900)
PHONE = (390, 844)

#: Where `make screenshots` wants the pictures; empty in an ordinary run.
PICTURES = os.environ.get("SCREENSHOTS_DIR", "")


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The web server alone: a worker would ask the providers of the demo, which do not exist."""
    stack = Stack(
        tmp_path_factory.mktemp("admin"),
        environment={"DEMO_ANTHROPIC_KEY": "sk-ant-demo-not-a-real-key", "LOG_LEVEL": "WARNING"},
    )
    stack.prepare()
    stack.manage("shell", "-v0", "-c", "from tests.files_app.admin.demo import build; build()")
    try:
        stack.start("web")
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def signed_in(gateway: Stack, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sign in once, and return the file with the cookies."""
    kept = tmp_path_factory.mktemp("session") / "cookies.json"
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{gateway.url}/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(gateway.admin_password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{gateway.url}/admin/")
    context.storage_state(path=str(kept))
    context.close()
    return kept


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(gateway: Stack, browser: Browser, signed_in: Path) -> Iterator[OpenPage]:
    """Return a function that opens a path of the admin: signed in, wide and light unless told otherwise.

    Fails the test when the console says anything: a refused script or style, an error, a missing file.
    """
    contexts: list[BrowserContext] = []
    noise: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            noise.append(f"{message.type}: {message.text}")

    def open_page(
        path: str, *, size: tuple[int, int] = WIDE, dark: bool = False, expected_errors: tuple[int, ...] = ()
    ) -> Page:
        context = browser.new_context(
            base_url=gateway.url,
            storage_state=str(signed_in),
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            device_scale_factor=1.5 if PICTURES else 1,
            has_touch=size == PHONE,
            permissions=["clipboard-read", "clipboard-write"],
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: noise.append(f"error: {error}"))
        page.on(
            "console",
            lambda message: None if any(str(s) in message.text for s in expected_errors) else listen(message),
        )
        page.goto(path)
        page.wait_for_load_state("networkidle")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert noise == []


@pytest.fixture
def picture() -> Callable[[Page, str], None]:
    """Return a function that takes a picture for the documentation, where they are wanted."""

    def take(page: Page, name: str) -> None:
        if PICTURES:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            page.mouse.move(0, 0)
            page.screenshot(path=f"{PICTURES}/{name}.png")

    return take
