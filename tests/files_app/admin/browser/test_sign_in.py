"""Signing in, in a browser: cookies between two sites, what the policy allows, pages for everybody.

The provider is at `localhost` and the gateway at 127.0.0.1, which are two sites to a browser.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from playwright.sync_api import Browser, Page, expect

from tests.files_app.admin.browser.conftest import PHONE, WIDE
from tests.files_app.admin.browser.test_admin import serious_findings
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider
from tests.stack import Stack

Picture = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider("localhost") as provider:
        provider.asks = True
        provider.person = {"sub": "0001", "preferred_username": "anna", "groups": ["files-admins"]}
        yield provider


@pytest.fixture(scope="module")
def gateway(provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The web server alone, which lets the provider's people in."""
    stack = Stack(
        tmp_path_factory.mktemp("sign-in"),
        environment={
            "OIDC_ISSUER": provider.issuer,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "OIDC_NAME": "Example SSO",
            "OIDC_ROLES": "files-admins=superuser",
            "SECOND_FACTOR_FOR": "superuser",
            "SIGN_INS_PER_MINUTE": "0",
            "LOG_LEVEL": "WARNING",
        },
    )
    stack.prepare()
    try:
        stack.start("web")
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def page(gateway: Stack, browser: Browser) -> Iterator[Page]:
    """A page of nobody yet. Its console has to stay silent, but for the refusals that a test brings about."""
    noise: list[str] = []
    context = browser.new_context(base_url=gateway.url, viewport={"width": WIDE[0], "height": WIDE[1]})
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.on(
        "console",
        lambda message: noise.append(message.text) if message.type in {"error", "warning"} else None,
    )
    yield page
    context.close()
    assert [text for text in noise if "status of 403" not in text] == []


def check(page: Page, picture: Picture, name: str) -> None:
    """Look for what shuts people out, in both sizes and themes."""
    page.wait_for_load_state("networkidle")
    for theme in ("light", "dark"):
        page.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", theme == "dark")
        for size, word in ((WIDE, "wide"), (PHONE, "phone")):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            picture(page, f"{name}-{word}-{theme}")
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], name
        assert serious_findings(page) == []
    page.evaluate("document.documentElement.classList.remove('dark')")
    page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})


def test_a_person_of_the_provider_comes_in(
    page: Page, provider: IdentityProvider, gateway: Stack, picture: Picture
) -> None:
    page.goto("/admin/files_app/file/")
    check(page, picture, "sign-in-provider")
    page.get_by_role("button", name="Continue with Example SSO").click()
    page.get_by_role("link", name="I am Anna").click()
    page.wait_for_url("**/admin/files_app/file/")
    expect(page.get_by_role("heading", name="Files", exact=True)).to_be_visible()
    cookies = {cookie["name"]: cookie["sameSite"] for cookie in page.context.cookies(gateway.url)}
    assert cookies["sessionid"] == "Strict" and "oidc" not in cookies


def test_a_refusal_says_why(page: Page, provider: IdentityProvider, picture: Picture) -> None:
    person = provider.person
    provider.person = {"sub": "0002", "preferred_username": "ben", "groups": []}
    page.goto("/admin/")
    page.get_by_role("button", name="Continue with Example SSO").click()
    page.get_by_role("link", name="I am Anna").click()
    expect(page.get_by_text("gives you no role here")).to_be_visible()
    check(page, picture, "sign-in-refused")
    provider.person = person
    page.get_by_role("link", name="Back to the sign-in page").click()
    page.get_by_role("link", name="Sign in with a code").click()
    check(page, picture, "sign-in-once")


def test_a_second_factor_is_set_up_and_asked_for(page: Page, gateway: Stack, picture: Picture) -> None:
    send_password(page, gateway)
    check(page, picture, "factor-setup")
    key = base64.b32decode(page.locator(".fg-factor-secret").inner_text().replace(" ", ""))
    totp = TOTP(key, 6, SHA1(), 30)  # noqa: S303 - the one that apps know
    page.get_by_label("Code that the app shows now").fill(totp.generate(time.time()).decode())
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator(".fg-codes li")).to_have_count(10)
    check(page, picture, "factor-codes")
    codes = page.locator(".fg-codes code").all_inner_texts()
    page.get_by_role("link", name="I have kept them").click()
    page.wait_for_url("**/admin/")
    page.goto("/admin/login/second-factor/")
    check(page, picture, "factor-page")
    page.context.clear_cookies()
    send_password(page, gateway)
    page.get_by_label("Code", exact=True).fill("000000")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("This code is wrong")).to_be_visible()
    check(page, picture, "factor-code")
    page.get_by_label("Code", exact=True).fill(codes[0])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text(re.compile("9 are left"))).to_be_visible()


def send_password(page: Page, gateway: Stack) -> None:
    page.goto("/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(gateway.admin_password)
    page.get_by_role("button", name="Log in").click()
