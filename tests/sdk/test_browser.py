"""A page of another origin in Chromium, which refuses what the gateway does not allow by its headers."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Error

from tests.browsers import browser as browser
from tests.sdk.conftest import Gateway

LIFE_OF_A_FILE = """async ({url, key, account}) => {
    const headers = {Authorization: `Bearer ${key}`, "x-tfy-provider-name": account};
    const form = new FormData();
    form.append("purpose", "user_data");
    form.append("file", new Blob(["from a page"]), "a.txt");
    const created = await (await fetch(`${url}/files`, {method: "POST", body: form, headers})).json();
    const content = await fetch(`${url}/files/${created.id}/content`, {headers});
    const gone = await fetch(`${url}/files/${created.id}`, {method: "DELETE", headers});
    const refused = await fetch(`${url}/files`, {headers: {Authorization: "Bearer wrong"}});
    return {
        text: await content.text(),
        name: content.headers.get("Content-Disposition"),
        deleted: (await gone.json()).deleted,
        refused: [refused.status, (await refused.json()).error.code, refused.headers.has("x-request-id")],
    };
}"""


def called(browser: Browser, page_url: str, gateway: Gateway, account: str) -> Any:
    page = browser.new_page()
    try:
        page.goto(page_url)
        arguments = {"url": gateway.api_url, "key": gateway.api_key, "account": account}
        return page.evaluate(LIFE_OF_A_FILE, arguments)
    finally:
        page.close()


def test_a_page_of_the_list_uses_the_whole_api(gateway: Gateway, browser: Browser) -> None:
    assert called(browser, f"{gateway.fake.root}/page", gateway, "local") == {
        "text": "from a page",
        "name": 'attachment; filename="a.txt"',
        "deleted": True,
        "refused": [401, "invalid_api_key", True],
    }


def test_another_page_is_kept_out(gateway: Gateway, browser: Browser) -> None:
    other = gateway.fake.root.replace("127.0.0.1", "localhost")
    with pytest.raises(Error, match="Failed to fetch"):
        called(browser, f"{other}/page", gateway, "local")
