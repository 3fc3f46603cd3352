"""HTTP clients without an SDK: Node's fetch, httpx, requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import requests

from tests.sdk.cache import run
from tests.sdk.conftest import Gateway

SCRIPT = Path(__file__).parent / "fetch.mjs"
NAME = '测"试 1.txt'


def headers_for(gateway: Gateway, account: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {gateway.api_key}", "x-tfy-provider-name": account}


def test_nodes_fetch(gateway: Gateway, tmp_path: Path, need_service: Callable[[str], str]) -> None:
    node = need_service("Node")
    seen = json.loads(run(node, SCRIPT, gateway.api_url, gateway.api_key, "local", cwd=tmp_path))
    assert [(answer["status"], answer["error"]["param"]) for answer in seen["texts"]] == [(400, "file")] * 3
    assert (seen["named"]["filename"], seen["blob"]["filename"]) == ('测"试.txt', "blob")
    assert (seen["type"], seen["ranges"], seen["text"]) == ("text/plain; charset=utf-8", "bytes", "ü")
    assert seen["part"] == {"status": 206, "bytes": [0xBC]}


def test_async_httpx(gateway: Gateway, account: str) -> None:
    url = f"{gateway.api_url}/files"

    async def main() -> tuple[list[int], dict[str, Any]]:
        async with httpx.AsyncClient(headers=headers_for(gateway, account)) as client:
            text = {"file": (None, b"data.jsonl"), "purpose": (None, b"user_data")}
            refused = await client.post(url, files=text)
            file = {"file": (NAME, "ü".encode(), "text/plain")}
            expiry = {"anchor": "created_at", "seconds": 3600}
            fields = {"purpose": "user_data", "expires_after": json.dumps(expiry)}
            created = await client.post(url, data=fields, files=file)
            return [refused.status_code, created.status_code], created.json()

    statuses, created = asyncio.run(main())
    assert statuses == [400, 200]
    assert created["filename"] == NAME
    assert created["expires_at"] == created["created_at"] + 3600


def test_requests_reads_a_text_as_it_was_written(gateway: Gateway) -> None:
    url, headers = f"{gateway.api_url}/files", headers_for(gateway, "local")
    for content_type in ("text/plain; charset=utf-8", "text/plain"):
        file = {"file": ("märz.txt", "über März und Österreich".encode(), content_type)}
        sent = requests.post(url, headers=headers, data={"purpose": "user_data"}, files=file, timeout=30)
        answer = requests.get(f"{url}/{sent.json()['id']}/content", headers=headers, timeout=30)
        assert answer.text == "über März und Österreich"
