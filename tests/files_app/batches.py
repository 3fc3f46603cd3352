"""Batch files in real object stores: lines in OpenAI's form, accounts, and what their stores hold."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from files_app.models import Organization, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from providers.object_store import ObjectStoreDriver
from tests.files_app.cast import make_account
from tests.providers.stores import ACCESS_KEY, BUCKETS, SECRET_KEY, FakeGCS, Weed, read

#: A model of each driver whose chat lines are rendered.
MODELS = {"bedrock": "amazon.nova-lite-v1:0", "vertex": "gemini-2.5-flash"}


def chat_line(custom_id: str, model: str | None, **body: Any) -> dict[str, Any]:
    """Return one line in OpenAI's form."""
    asked = {"messages": [{"role": "user", "content": f"Question {custom_id}"}], "max_tokens": 20, **body}
    named = {} if model is None else {"model": model}
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {**named, **asked},
    }


def jsonl(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def chat_lines(model: str | None, number: int = 3, **body: Any) -> bytes:
    """Return a batch file of so many lines, whose ids are `r0`, `r1` and so on."""
    return jsonl(*(chat_line(f"r{n}", model, **body) for n in range(number)))


def bucket_account(
    organization: Organization | None, server: Weed | FakeGCS, name: str = "bucket", **options: Any
) -> ProviderAccount:
    """Create an account in a real store, under a prefix of its own: Bedrock's in S3, Vertex's in GCS."""
    place = {"bucket": BUCKETS[0], "prefix": f"b-{uuid4().hex}", "endpoint_url": server.endpoint_url}
    if isinstance(server, Weed):
        keys = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
        place["region"] = "us-east-1"
        return make_account(organization, name, "bedrock", options={**place, **options}, credentials=keys)
    return make_account(organization, name, "vertex", options={**place, "project": "test", **options})


def store_driver(account: ProviderAccount) -> ObjectStoreDriver:
    driver = driver_for(account)
    assert isinstance(driver, ObjectStoreDriver)
    return driver


def stored(account: ProviderAccount) -> dict[str, bytes]:
    """Return what an account's store holds, by key below the prefix."""
    driver = store_driver(account)
    page = driver.store.list_page(BUCKETS[0], driver.prefix, None)
    return {
        each.key.removeprefix(driver.prefix): read(driver, f"{BUCKETS[0]}/{each.key}")
        for each in page.objects
    }


def remove(account: ProviderAccount, uri: str) -> None:
    """Remove an object behind the gateway's back."""
    _, _, key = uri.partition(f"://{BUCKETS[0]}/")
    store_driver(account).store.delete(BUCKETS[0], key)
