"""The official anthropic SDK for Python against accounts of several kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import anthropic
import pytest
from anthropic.types import FileNotDownloadableError

from tests.fake_provider import VALID_KEY
from tests.sdk.conftest import Gateway, add_account


@pytest.fixture(scope="module")
def claude(gateway: Gateway) -> str:
    """An account at the fake Anthropic."""
    add_account(gateway.stack, "claude", "anthropic", gateway.fake.url("anthropic"), VALID_KEY)
    return "claude"


def client_of(gateway: Gateway, account: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=gateway.stack.url,
        api_key=gateway.api_key,
        max_retries=0,
        default_headers={"x-tfy-provider-name": account},
        _strict_response_validation=True,
    )


@pytest.fixture
def client(gateway: Gateway, account: str) -> Iterator[anthropic.Anthropic]:
    with client_of(gateway, account) as client:
        yield client


@pytest.mark.parametrize("is_beta", [False, True])
def test_the_whole_life_of_a_file(client: anthropic.Anthropic, account: str, is_beta: bool) -> None:
    files = client.beta.files if is_beta else client.files
    created = files.upload(file=("märz.pdf", b"%PDF", "application/pdf"), expires_in_seconds=7200)
    assert (created.type, created.filename, created.size_bytes) == ("file", "märz.pdf", 4)
    assert created.mime_type == "application/pdf"
    assert created.expires_at is not None
    assert created.expires_at - created.created_at == timedelta(seconds=7200)
    assert created.downloadable is (account == "local")
    assert files.retrieve_metadata(created.id) == created
    assert [file.id for file in files.list(ids=[created.id, "file_unknown"])] == [created.id]
    if created.downloadable:
        assert files.download(created.id).read() == b"%PDF"
    else:
        with pytest.raises(anthropic.BadRequestError, match="Not allowed to download"):
            files.download(created.id)
    deleted = files.delete(created.id)
    assert (deleted.id, deleted.type) == (created.id, "file_deleted")
    with pytest.raises(anthropic.NotFoundError) as caught:
        files.retrieve_metadata(created.id)
    assert (caught.value.type, (caught.value.request_id or "")[:4]) == ("not_found_error", "req_")


def test_pages_are_followed_by_themselves(client: anthropic.Anthropic) -> None:
    created = [client.files.upload(file=(f"{number}.txt", b"x")).id for number in range(5)]
    listed = [file.id for file in client.files.list(limit=2)]
    assert [each for each in listed if each in created] == created[::-1]
    assert len(set(listed)) == len(listed)
    for file_id in created:
        client.files.delete(file_id)


def test_async_the_whole_life_of_a_file(gateway: Gateway) -> None:
    async def life() -> None:
        async with anthropic.AsyncAnthropic(
            base_url=gateway.stack.url, api_key=gateway.api_key, max_retries=0
        ) as client:
            created = await client.files.upload(file=b"bytes without a name")
            assert created.id in [file.id async for file in client.files.list(limit=1)]
            assert await (await client.files.download(created.id)).read() == b"bytes without a name"
            assert (await client.files.delete(created.id)).id == created.id

    asyncio.run(life())


def test_an_account_at_anthropic_itself(gateway: Gateway, claude: str) -> None:
    with client_of(gateway, claude) as client:
        created = client.files.upload(file=("a.txt", b"x", "text/plain"), expires_in_seconds=7_776_000)
        assert created.id.startswith("file_01")
        with pytest.raises(FileNotDownloadableError):
            client.files.download(created.id)
        with pytest.raises(anthropic.BadRequestError, match="expire after"):
            client.files.upload(file=("a.txt", b"x"), expires_in_seconds=7_776_001)
        client.files.delete(created.id)


def test_errors_are_the_sdks_own_classes(gateway: Gateway, client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.AuthenticationError) as refused:
        client.with_options(api_key="wrong").files.list()
    assert (refused.value.type, refused.value.error_code) == ("authentication_error", "invalid_api_key")
    with pytest.raises(anthropic.BadRequestError) as named:
        client.files.list(extra_headers={"x-tfy-provider-name": "nobody"})
    assert named.value.type == "invalid_request_error" and "'nobody'" in str(named.value.api_message)
