"""Lets the tests inside of a vendor's own SDK distribution run against a server that keeps files.

They are written for a mock: every id in them is the literal `file_id`. Before each test this plugin uploads
a file, and it puts that file's id into the outgoing URL. Environment: TEST_SDK (`openai` or `anthropic`),
TEST_API_BASE_URL, TEST_API_KEY.
"""

from __future__ import annotations

import importlib
import json
import os
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

SDK = os.environ["TEST_SDK"]
PLACEHOLDER = "/files/file_id"
BOUNDARY = "live-plugin"

current_id = ""


def upload() -> str:
    fields = (
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="live.txt"\r\n\r\nlive\r\n'
        f"--{BOUNDARY}--\r\n"
    )
    request = urllib.request.Request(
        f"{os.environ['TEST_API_BASE_URL']}/files",
        data=fields.encode(),
        headers={
            "Authorization": f"Bearer {os.environ['TEST_API_KEY']}",
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        },
    )
    with urllib.request.urlopen(request) as answer:
        return str(json.load(answer)["id"])


def pytest_configure(config: pytest.Config) -> None:
    base = importlib.import_module(f"{SDK}._base_client").BaseClient
    prepare_url = base._prepare_url
    authorization = {"Authorization": f"Bearer {os.environ['TEST_API_KEY']}"}

    def swapped(self: Any, url: str) -> Any:
        return prepare_url(self, url.replace(PLACEHOLDER, f"/files/{current_id}") if current_id else url)

    base._prepare_url = swapped
    sdk = importlib.import_module(SDK)
    if SDK == "anthropic":
        for client in (sdk.Anthropic, sdk.AsyncAnthropic):
            client._api_key_auth = property(lambda self: authorization)
    else:
        for client in (sdk.OpenAI, sdk.AsyncOpenAI):
            client._auth_headers = lambda self, security: authorization


@pytest.fixture(autouse=True)
def fresh_file(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give the test a file of its own; one that mocks the wire keeps the placeholder."""
    global current_id
    is_mocked = {"respx_mock", "respx2_mock"} & set(request.fixturenames)
    current_id = "" if is_mocked else upload()
    yield
    current_id = ""
