"""The official openai SDK for Python, sync and async, with strict validation of every answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import openai
import pytest

from tests.fake_provider import behaviours
from tests.sdk.conftest import Gateway

SCHEMAS = json.loads(
    (Path(__file__).resolve().parent / "data" / "openai-files.json").read_text(encoding="utf-8")
)["schemas"]


def matches(body: dict[str, Any], schema: str) -> None:
    """Check a body against OpenAI's document.

    Nulls count as absent: the API answers them for what is not set, its document does not mention them.
    """
    present = {name: value for name, value in body.items() if value is not None}
    if schema == "ListFilesResponse":
        present = {**body, "data": [{n: v for n, v in f.items() if v is not None} for f in body["data"]]}
    document = {"$ref": f"#/components/schemas/{schema}", "components": {"schemas": SCHEMAS}}
    jsonschema.validate(present, document)


@pytest.fixture
def client(gateway: Gateway, account: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=gateway.api_url,
        api_key=gateway.api_key,
        max_retries=0,
        default_headers={"x-tfy-provider-name": account},
        _strict_response_validation=True,
    ) as client:
        yield client


@pytest.fixture
def run_async(
    gateway: Gateway, account: str
) -> Callable[[Callable[[openai.AsyncOpenAI], Awaitable[None]]], None]:
    def run(work: Callable[[openai.AsyncOpenAI], Awaitable[None]]) -> None:
        async def main() -> None:
            async with openai.AsyncOpenAI(
                base_url=gateway.api_url,
                api_key=gateway.api_key,
                max_retries=0,
                default_headers={"x-tfy-provider-name": account},
                _strict_response_validation=True,
            ) as client:
                await work(client)

        asyncio.run(main())

    return run


def test_the_whole_life_of_a_file(client: openai.OpenAI, jsonl: Path, account: str) -> None:
    with jsonl.open("rb") as file:
        created = client.files.create(
            file=file, purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
        )
    assert (created.filename, created.bytes) == ("märz batch.jsonl", jsonl.stat().st_size)
    assert created.expires_at == created.created_at + 3600
    assert client.files.retrieve(created.id) == created
    assert client.files.wait_for_processing(created.id).status == "processed"
    assert client.files.content(created.id).read() == jsonl.read_bytes()
    assert created.id in [file.id for file in client.files.list(purpose="batch")]
    deleted = client.files.delete(created.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (created.id, "file", True)
    for gone in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError) as caught:
            gone(created.id)
        assert (caught.value.type, caught.value.param) == ("invalid_request_error", "id")


def test_async_the_whole_life_of_a_file(
    run_async: Callable[[Callable[[openai.AsyncOpenAI], Awaitable[None]]], None], jsonl: Path
) -> None:
    async def work(client: openai.AsyncOpenAI) -> None:
        created = await client.files.create(
            file=jsonl, purpose="batch", expires_after={"anchor": "created_at", "seconds": 7200}
        )
        assert created.expires_at == created.created_at + 7200
        assert await client.files.retrieve(created.id) == created
        assert (await client.files.wait_for_processing(created.id)).id == created.id
        assert (await client.files.content(created.id)).read() == jsonl.read_bytes()
        async with client.files.with_streaming_response.content(created.id) as response:
            assert b"".join([chunk async for chunk in response.iter_bytes(10_000)]) == jsonl.read_bytes()
        assert created.id in [file.id async for file in client.files.list(limit=1)]
        assert (await client.files.delete(created.id)).deleted
        with pytest.raises(openai.NotFoundError):
            await client.files.retrieve(created.id)

    run_async(work)


def test_content_streams(client: openai.OpenAI, jsonl: Path, tmp_path: Path) -> None:
    created = client.files.create(file=jsonl, purpose="batch")
    with client.files.with_streaming_response.content(created.id) as response:
        assert response.headers["content-length"] == str(jsonl.stat().st_size)
        response.stream_to_file(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == jsonl.read_bytes()
    client.files.delete(created.id)


def test_pages_are_followed_by_themselves(client: openai.OpenAI) -> None:
    purpose = "vision"
    created = [client.files.create(file=str(n).encode(), purpose=purpose).id for n in range(5)]
    try:
        page = client.files.list(purpose=purpose, limit=2, order="asc")
        assert page.has_next_page()
        listed = [file.id for file in page]
        assert [file_id for file_id in listed if file_id in created] == created
        assert len(set(listed)) == len(listed)
    finally:
        for file_id in created:
            client.files.delete(file_id)


@pytest.mark.parametrize(
    "file",
    [
        b"raw bytes",
        ("named.txt", b"bytes"),
        ("typed.pdf", b"%PDF", "application/pdf"),
        ('quoted "name".txt', b"bytes"),
    ],
)
def test_every_form_in_which_the_sdk_takes_a_file(client: openai.OpenAI, file: Any) -> None:
    created = client.files.create(file=file, purpose="user_data")
    assert created.filename == (file[0] if isinstance(file, tuple) else "upload")
    client.files.delete(created.id)


def test_answers_are_those_of_openais_document(client: openai.OpenAI) -> None:
    raw = client.files.with_raw_response
    created = json.loads(raw.create(file=b"x", purpose="user_data").content)
    matches(created, "OpenAIFile")
    matches(json.loads(raw.retrieve(created["id"]).content), "OpenAIFile")
    matches(json.loads(raw.list(limit=3).content), "ListFilesResponse")
    matches(json.loads(raw.delete(created["id"]).content), "DeleteFileResponse")


def test_errors_are_the_sdks_own_classes(gateway: Gateway, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.files.create(file=("a.txt", b"{}"), purpose="batch")
    assert refused.value.param == "file"
    with pytest.raises(openai.BadRequestError, match="line 1: "):
        client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    with pytest.raises(openai.BadRequestError) as named:
        client.files.list(extra_headers={"x-tfy-provider-name": "nobody"})
    assert named.value.param == "x-tfy-provider-name"
    assert named.value.request_id
    with pytest.raises(openai.AuthenticationError) as unknown:
        client.with_options(api_key="wrong").files.list()
    assert unknown.value.code == "invalid_api_key"


def test_the_other_base_urls(gateway: Gateway) -> None:
    for path in ("", "/api/llm", "/api/llm/v1", "/v1/"):
        with openai.OpenAI(base_url=gateway.stack.url + path, api_key=gateway.api_key) as client:
            created = client.files.create(file=b"x", purpose="user_data")
            assert client.files.delete(created.id).deleted


def test_a_provider_that_was_busy_is_asked_again_by_the_sdk(gateway: Gateway) -> None:
    gateway.fake.script({"method": "POST"}, behaviours.fail(429, retry_after="0"))
    with openai.OpenAI(
        base_url=gateway.api_url,
        api_key=gateway.api_key,
        max_retries=1,
        default_headers={"x-tfy-provider-name": "openai"},
    ) as client:
        created = client.files.create(file=("busy.txt", b"x"), purpose="user_data")
        assert [f.filename for f in gateway.fake.store("openai") if f.filename == "busy.txt"] == ["busy.txt"]
        client.files.delete(created.id)


@pytest.mark.parametrize("end", ["processed", "error"])
def test_waiting_for_a_file_ends_with_what_its_provider_says(gateway: Gateway, end: str) -> None:
    gateway.fake.script({"method": "POST"}, behaviours.patched({"status": "uploaded"}))
    gateway.fake.script({"method": "GET", "path": "/files/"}, behaviours.patched({"status": end}))
    with openai.OpenAI(
        base_url=gateway.api_url,
        api_key=gateway.api_key,
        max_retries=0,
        default_headers={"x-tfy-provider-name": "openai"},
    ) as client:
        created = client.files.create(file=("a.txt", b"x"), purpose="user_data")
        assert created.status == "uploaded"
        assert client.files.wait_for_processing(created.id).status == end
        client.files.delete(created.id)


def test_a_real_compatible_server_as_upstream(gateway: Gateway, aimock: str) -> None:
    with openai.OpenAI(
        base_url=gateway.api_url,
        api_key=gateway.api_key,
        max_retries=0,
        default_headers={"x-tfy-provider-name": aimock},
        _strict_response_validation=True,
    ) as client:
        content = b"x" * 3_000_000
        created = client.files.create(file=("big.bin", content), purpose="user_data")
        assert created.bytes == len(content)
        assert client.files.retrieve(created.id) == created
        assert client.files.content(created.id).read() == content
        line = {"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {}}
        batch = client.files.create(file=("b.jsonl", json.dumps(line).encode()), purpose="batch")
        assert [file.id for file in client.files.list(limit=1)] == [batch.id, created.id]
        assert [file.id for file in client.files.list(purpose="batch")] == [batch.id]
        for file in (created, batch):
            assert client.files.delete(file.id).deleted
        assert list(client.files.list()) == []
