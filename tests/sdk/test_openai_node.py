"""The official openai SDK for Node, which sends the file part first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.sdk.cache import cached, npm_install, run
from tests.sdk.conftest import Gateway

VERSION = "7.57.0"
SCRIPT = Path(__file__).parent / "files.mjs"


def test_the_whole_life_of_a_file(
    gateway: Gateway, account: str, jsonl: Path, need_service: Callable[[str], str]
) -> None:
    node = need_service("Node")
    modules = cached(f"openai-node-{VERSION}", npm_install(f"openai@{VERSION}"))
    seen = json.loads(run(node, SCRIPT, gateway.api_url, gateway.api_key, account, jsonl, cwd=modules))
    created = seen["created"]
    assert (created["filename"], created["bytes"]) == (jsonl.name, jsonl.stat().st_size)
    assert created["expires_at"] == created["created_at"] + 3600
    assert seen["retrieved"] == seen["processed"] == created
    assert seen["length"] == len(jsonl.read_text(encoding="utf-8"))
    assert created["id"] in seen["listed"]
    assert seen["deleted"] == {"id": created["id"], "object": "file", "deleted": True}
    assert seen["error"] == {"name": "NotFoundError", "status": 404, "param": "id"}
    if account == "openai":
        uploads = [request for request in gateway.fake.requests if request.method == "POST"]
        assert uploads[-1].part_names == [
            "file",
            "purpose",
            "expires_after[anchor]",
            "expires_after[seconds]",
        ]
